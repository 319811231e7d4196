"""Labels of further rows are taken as training takes them, or refused by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.execution.row_tables import RowTable
from ftrun.execution.written_labels import labels_of
from helpers import plan_of

TASK = Task("classification", ("text",), "label", ("no", "yes", "1"))
MANY = replace(TASK, kind="multi_label")


def test_labels_are_taken_as_training_takes_them(tiny: Path) -> None:
    plan = plan_of(tiny)
    assert labels_of(RowTable("rows", {"label": ["yes", 1, "no"]}), TASK, plan) == [1, 2, 0]
    with pytest.raises(ExperimentError, match="no finite number"):
        labels_of(RowTable("rows", {"label": ["1.5", "nan"]}), Task("regression", ("text",)), plan)


def test_labels_of_every_place_are_taken_by_name(tiny: Path) -> None:
    plan, task = plan_of(tiny), replace(TASK, kind="of_places")
    assert labels_of(RowTable("rows", {"label": [["yes", "no"], [], ["1"]]}), task, plan) == [[1, 0], [], [2]]
    assert labels_of(RowTable("rows", {"label": ["yes"]}), task, plan) == [1]
    with pytest.raises(ExperimentError, match='has "maybe" in column "label", row 2, which is none of the classes'):
        labels_of(RowTable("rows", {"label": [["yes"], ["maybe"]]}), task, plan)


def test_labels_of_a_kind_without_classes_are_what_the_rows_have(tiny: Path) -> None:
    plan, task = plan_of(tiny), Task("answers", ("text",))
    assert labels_of(RowTable("rows", {"label": ["Paris", "", [3, 5]]}, ".jsonl"), task, plan) == ["Paris", "", [3, 5]]
    with pytest.raises(ExperimentError, match='no label in column "label": row 2'):
        labels_of(RowTable("rows", {"label": ["Paris", None]}), task, plan)
    with pytest.raises(ExperimentError, match="cannot be read with labels for answers, as its cells are text alone"):
        labels_of(RowTable("rows", {"label": ["[3, 5]"]}, ".csv"), task, plan)


def many(tiny: Path, columns: dict[str, list[Any]], **given: Any) -> list[Any]:
    Path("rows.json").write_text('{"text": "a", "label": []}')
    data = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    plan = plan_of(tiny, {"dataset": {**data, "kind": "multi_label", **given}, "metrics": []})
    return labels_of(RowTable("rows", columns), MANY, plan)


VECTORS = {"label_vectors": True}


def test_any_number_of_classes_is_taken_as_the_data_has_them(tiny: Path) -> None:
    wanted = [[0, 1, 1], [0, 0, 0]]
    assert many(tiny, {"label": [["1", "yes"], []]}) == wanted
    assert many(tiny, {"label": ["yes| 1", " "]}, label_separator="|") == wanted
    assert many(tiny, {"label": [[0, 1, 1.0], [False, 0, "0"]]}, **VECTORS) == wanted
    columns = {"no": ["0", 0.0], "yes": ["1", False], "1": [True, "0"]}
    assert many(tiny, columns, label_columns=["no", "yes", "1"]) == wanted


@pytest.mark.parametrize(
    ("columns", "given", "told"),
    [
        ({"label": [["yes"], ["maybe"]]}, {}, 'has "maybe" in column "label", row 2, which is none of the classes'),
        ({"label": [[0, 1, 2]]}, VECTORS, 'has "2" in column "label", row 1, which is neither 0 nor 1'),
        ({"label": [[0, 1, 0], [0, 1]]}, VECTORS, 'a list of 2 in column "label", row 2, and the task has 3 classes'),
        ({"label": [[0, 1, 0], None]}, VECTORS, 'no label in column "label", row 2, where a list with 0 or 1'),
        ({"label": ["yes"]}, VECTORS, 'has "yes" in column "label", row 1, where a list with 0 or 1'),
        ({"label": [["yes"], None]}, {}, 'no label in column "label", row 2, where a list of classes is wanted'),
        ({"label": ["yes|1"]}, {}, 'has "yes|1" in column "label", row 1'),
        ({"label": ["yes|yes"]}, {"label_separator": "|"}, "a class more than once"),
        ({"no": [0], "yes": [2]}, {"label_columns": ["no", "yes"]}, 'has "2" in column "yes", row 1'),
        ({"no": [0]}, {"label_columns": ["no", "yes"]}, 'has no column "yes", which holds labels'),
    ],
)
def test_a_row_whose_classes_make_no_sense_is_named(tiny: Path, columns: Any, given: Any, told: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        many(tiny, columns, **given)
    assert told in str(caught.value)
