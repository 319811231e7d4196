"""Rows are a file, a split, or at hand; what is none of these is a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.execution.row_sources import RowSource, columns_of_texts, data_file, rows_of_objects
from ftrun.execution.row_tables import refuse_no_rows
from ftrun.execution.trained import find_trained
from ftrun.planning.catalogue import load_catalogue
from makers import make_word_teller, named


def test_a_file_is_one_that_is_there_and_else_a_split_is_meant(workdir: Path) -> None:
    Path("rows.csv").write_text("text\na\n")
    assert RowSource("rows.csv").file == Path("rows.csv") and RowSource(Path("rows.csv")).name == "rows"
    assert data_file("validation") is None and RowSource("validation").name == "validation"
    assert RowSource(["a text"]).file is None and RowSource(["a text"]).name is None
    for missing in ("gone.csv", "folder/gone", Path("validation")):
        with pytest.raises(ExperimentError, match="--data: there is no file"):
            data_file(missing)
    with pytest.raises(ExperimentError, match="is a folder"):
        data_file("")
    Path("june.2").mkdir()
    for folder, name in ((".", workdir.name), (Path("june.2"), "june.2"), ("june.2/", "june.2")):
        assert RowSource(folder).file == Path(folder) and RowSource(folder).name == name


def test_a_folder_that_is_called_as_a_split_does_not_hide_it(workdir: Path) -> None:
    Path("validation").mkdir()
    Path("train").write_text("a")
    assert data_file("validation") is None and data_file("train") is None
    assert data_file("validation/") == Path("validation")
    for name, told in {
        "validation": "validation is a folder.*(?s:.*)has it as ./validation",
        "train": "train must end in one of",
    }.items():
        with pytest.raises(ExperimentError, match=told):
            refuse_no_rows(name)
    make_word_teller(Path("teller"), ["good", "bad"], **named("good", "bad"))
    for data in ("validation", "validation/", Path("validation").absolute()):
        with pytest.raises(ExperimentError, match="validation is a folder"):
            RowSource(data).read(find_trained("teller", load_catalogue(), "cpu"))


def test_objects_may_lack_columns_and_are_read_as_rows_of_json(workdir: Path) -> None:
    table = rows_of_objects([{"text": "a", "id": 1}, {"text": "b"}])
    assert table.columns == {"text": ["a", "b"], "id": [1, None]} and table.records == [
        {"text": "a", "id": 1},
        {"text": "b"},
    ]
    with pytest.raises(ExperimentError, match="a row has a column 1, which is no text"):
        rows_of_objects([{1: "a"}])


def test_texts_at_hand_are_text_and_what_becomes_it() -> None:
    texts = ["a", np.str_("b"), 1, np.float64(0.5), np.bool_(True), pd.Timestamp("2020-01-01")]
    told = rows_of_objects([{"text": text} for text in texts]).texts("text")
    assert told == ["a", "b", "1", "0.5", "true", "2020-01-01 00:00:00"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        *((nothing, "no text") for nothing in (None, float("nan"), np.float32("nan"), pd.NA, pd.NaT)),
        (("a", "b"), "a list"),
        (np.array(["a", "b"]), "a list"),
        ({"a"}, "a value of type set"),
        (b"a", "bytes"),
        (Path("a"), "a value of type PosixPath"),
    ],
)
def test_what_is_no_text_is_not_predicted_as_what_python_shows_of_it(text: Any, what: str) -> None:
    with pytest.raises(ExperimentError, match=f"the list has {what} in column .text.*row 2"):
        rows_of_objects([{"text": "a"}, {"text": text}]).texts("text")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "there are no rows"),
        (7, "this is int, and not a file"),
        ({"text": ["a"]}, "this is dict, and not a file"),
        ([1, 2], "row 1 is int '1'"),
        (["a", {"text": "b"}], "row 2 is dict"),
        (["a", None], "row 2 is NoneType 'None'"),
        ([["a", "b"], ["c"]], "there is 1 text for a model of 2"),
        (["a", ["b", "c", "d"]], "there are 3 texts for a model of"),
        ([[]], "row 1 is list"),
    ],
)
def test_rows_at_hand_that_are_none_are_told(workdir: Path, data: Any, told: str) -> None:
    make_word_teller(Path("teller"), ["good", "bad"], **named("good", "bad"))
    trained = find_trained("teller", load_catalogue(), "cpu")
    source = RowSource(data)
    with pytest.raises(ExperimentError, match=told):
        source.table(_Predictor(trained.task), source.read(trained))  # type: ignore[arg-type]


class _Predictor:
    """What a source of texts wants of one."""

    def __init__(self, task: Task | None) -> None:
        self.task = task


def test_texts_without_names_are_called_as_in_the_training() -> None:
    assert columns_of_texts(Task("regression", ("a", "b")), 2) == ("a", "b")
    assert columns_of_texts(Task("regression", ()), 1) == ("text",)
    assert columns_of_texts(Task("regression", ()), 2) == ("text", "text_pair")
