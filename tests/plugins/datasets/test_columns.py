"""Columns as a whole: what is no text or no label is told, and labels take the place of what they were made of."""

from __future__ import annotations

import pyarrow as pa
from datasets import Dataset
from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.columns import SplitColumns


def split(is_test: bool = False, **columns: object) -> SplitColumns:
    settings = LabelledText(text_columns=["text"], label_column="label")
    return SplitColumns("rows", Dataset(pa.table(columns)), settings, is_test)


def test_columns_that_are_missing_or_hold_something_else_are_told_each() -> None:
    told = [problem.message for problem in split(text=[["a"]], labl=[1]).column_problems()]
    assert told == [
        'rows has list<item: int64> in column "text"'.replace("int64", "string"),
        'rows has no column "label"',
    ]
    assert list(split(text=["a"], label=[1]).column_problems()) == []


def test_a_test_may_have_no_label_column_and_nothing_else() -> None:
    assert list(split(is_test=True, text=["a"]).column_problems()) == []
    assert [problem.place for problem in split(text=["a"]).column_problems()] == ["dataset.label_column"]


def test_text_becomes_text_and_labels_take_the_place_of_their_column() -> None:
    rows = split(text=[1, 2], label=["a", "b"], idx=[7, 8])
    done = rows.with_labels(pa.chunked_array([[0, 1]]))
    assert done[:] == {"text": ["1", "2"], "label": [0, 1], "idx": [7, 8]}
    assert rows.with_labels(None).column_names == ["text", "idx"]


def test_the_first_row_of_several_is_named() -> None:
    problem = split(text=["a"]).first_of(pa.chunked_array([[False, True, True]]), "is odd", "Mend it.")
    assert problem.message == "rows is odd: 2 rows, the first of them row 2"
