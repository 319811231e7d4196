"""Labels of further rows are taken as training takes them, or refused by row."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.execution.row_sources import rows_of_objects
from ftrun.execution.row_tables import RowTable, read_rows
from ftrun.execution.written_labels import labels_of, labels_of_split
from ftrun.rowfiles import Dialect
from helpers import plan_of

TASK = Task("classification", ("text",), "label", ("no", "yes", "1"))
MANY = replace(TASK, kind="multi_label")


def test_labels_are_taken_as_training_takes_them(tiny: Path) -> None:
    plan = plan_of(tiny)
    assert labels_of(RowTable("rows", {"label": ["yes", 1, "no"]}), TASK, plan) == [1, 2, 0]


NUMBERS = Task("regression", ("text",))


def test_numbers_are_those_that_training_takes(tiny: Path) -> None:
    plan = plan_of(tiny)
    assert labels_of(RowTable("rows", {"label": ["1.5", " 2 ", 3, Decimal("0.5")]}), NUMBERS, plan) == [1.5, 2, 3, 0.5]
    for cell in ("nan", "1_000", True, "1e300", 10**400, "0,5", [1]):
        with pytest.raises(ExperimentError, match='in column "label", row 2, which is no finite float32 number'):
            labels_of(RowTable("rows", {"label": ["1.5", cell]}), NUMBERS, plan)
    for cell in (None, float("nan"), " "):
        with pytest.raises(ExperimentError, match='no label in column "label": row 2'):
            labels_of(RowTable("rows", {"label": ["1.5", cell]}), NUMBERS, plan)


@pytest.mark.parametrize(
    ("names", "cells"), [(("0", "1"), [1, 1.0, "1"]), (("0.0", "1.0"), [1, 1.0]), (("False", "True"), [True])]
)
def test_a_label_that_training_takes_for_a_class_is_of_it(tiny: Path, names: Any, cells: list[Any]) -> None:
    task = replace(TASK, class_names=names)
    assert labels_of(RowTable("rows", {"label": cells}), task, plan_of(tiny)) == [1] * len(cells)
    for cell in (0.5, float("inf"), "2"):
        with pytest.raises(ExperimentError, match="which is none of the classes"):
            labels_of(RowTable("rows", {"label": [cell]}), task, plan_of(tiny))


STARS = ("1", "2", "3")


def test_parquets_own_classes_are_taken_by_the_names_that_it_gives_them(tiny: Path) -> None:
    one, many = ClassLabel(names=list(STARS)), List(ClassLabel(names=list(STARS)))
    features = Features({"text": Value("string"), "label": one, "labels": many})
    rows = {"text": ["a", "b"], "label": [1, 2], "labels": [[1], [0, 2]]}
    Dataset.from_dict(rows, features=features).to_parquet("stars.parquet")
    table, plan = read_rows(Path("stars.parquet"), Dialect()), plan_of(tiny)
    assert labels_of(table, Task("classification", ("text",), "label", STARS), plan) == [1, 2]
    told = labels_of(table, Task("multi_label", ("text",), "labels", STARS), plan)
    assert told == [[0, 1, 0], [1, 0, 1]]
    assert labels_of(table, Task("classification", ("text",), "label", ("3", "2", "1")), plan) == [1, 0]
    with pytest.raises(ExperimentError, match='has classes in column "label", not numbers'):
        labels_of(table, NUMBERS, plan)
    secret = replace(table, columns={**table.columns, "label": [1, -1]})
    with pytest.raises(ExperimentError, match='no label in column "label": row 2'):
        labels_of(secret, Task("classification", ("text",), "label", STARS), plan)


def test_lists_of_numpy_and_what_pandas_has_for_nothing_are_taken_as_what_they_are(tiny: Path) -> None:
    rows = [{"label": np.array(["yes", "no"])}, {"label": ("1",)}, {"label": np.array([], object)}]
    assert labels_of(rows_of_objects(rows), MANY, plan_of(tiny)) == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert labels_of(rows_of_objects([{"label": np.float64(1)}]), TASK, plan_of(tiny)) == [2]
    for nothing in (pd.NA, pd.NaT, float("nan"), "  "):
        for task in (TASK, MANY):
            with pytest.raises(ExperimentError, match='no label in column "label"'):
                labels_of(rows_of_objects([{"label": nothing}]), task, plan_of(tiny))


def test_labels_of_every_place_are_taken_by_name(tiny: Path) -> None:
    plan, task = plan_of(tiny), replace(TASK, kind="of_places")
    assert labels_of(RowTable("rows", {"label": [["yes", "no"], [], ["1"]]}), task, plan) == [[1, 0], [], [2]]
    assert labels_of(RowTable("rows", {"label": ["yes"]}), task, plan) == [1]
    with pytest.raises(ExperimentError, match='has "maybe" in column "label", row 2, which is none of the classes'):
        labels_of(RowTable("rows", {"label": [["yes"], ["maybe"]]}), task, plan)


def test_labels_of_a_split_are_told_by_the_names_of_classes_that_have_changed_places() -> None:
    there = replace(MANY, class_names=("1", "new", "yes"))
    table = RowTable("validation", {"label": [["yes"], ["1", "yes"], []]})
    assert labels_of_split(table, [], there, MANY) == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    table = RowTable("validation", {"label": [["1", "new"]]})
    with pytest.raises(ExperimentError, match='validation has "new" in column "label", row 1, which is none of'):
        labels_of_split(table, [], there, MANY)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"kind": "regression", "class_names": None}, "its kind was multi_label, and now it is regression"),
        ({"label_column": "score"}, "its label column was label, and now it is score"),
        ({"text_columns": ("a", "b")}, 'its text was "text", and now it is "a", "b"'),
    ],
)
def test_a_split_that_asks_for_something_else_is_refused(now: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=f"since the run the data set has changed: {told}"):
        labels_of_split(RowTable("validation", {}), [], replace(MANY, **now), MANY)


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
