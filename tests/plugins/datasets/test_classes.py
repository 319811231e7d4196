"""One map from labels to classes: by name, in whatever type a column has it, or by id where the file says so."""

from __future__ import annotations

from typing import Any

import pytest
from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.classes import Classes, in_order, odd_classes, whole_and_not, words_for_nothing


@pytest.mark.parametrize(
    ("value", "place"),
    [("1", 0), (1, 0), (1.0, 0), ("2.0", 1), (2, 1), (True, 2), ("true", 2), ("01", None), (3, None)],
)
def test_a_class_is_the_same_in_every_type(value: Any, place: int | None) -> None:
    classes = Classes(["1", "2.0", "true"], LabelledText(text_columns=["text"]))
    assert classes(value, None) == place


def test_a_declared_id_is_the_class_of_its_name() -> None:
    classes = Classes(["b", "a"], LabelledText(text_columns=["text"]))
    assert [classes(value, ["a", "b", "c"]) for value in (0, 1, 2, -1)] == [1, 0, None, None]


def test_numbers_stand_in_their_order_and_before_text() -> None:
    assert sorted(["b", "10", "nan", "9", "a"], key=in_order) == ["9", "10", "a", "b", "nan"]


def test_classes_that_are_hardly_meant_are_told() -> None:
    assert "differ in nothing but case" in odd_classes(["a", "A ", "b"], 100, "label")[0]
    assert (
        odd_classes(["1", "\ufeff1", "2"], 100, "label")[0]
        == "the classes '1', '\\ufeff1' differ in nothing but case or spaces"
    )
    assert 'is "id" the label column' in odd_classes([str(number) for number in range(60)], 61, "id")[0]


def test_a_number_that_is_written_in_two_ways_is_told() -> None:
    assert odd_classes([str(2**53), str(2**53 + 1), " inf", "inf "], 100, "label")[1:] == []
    assert odd_classes(["1.1", "1.10", "2"], 100, "label") == [
        "the classes '1.1', '1.10' are one number in several ways"
    ]
    assert odd_classes(["1", "2", "nan", "inf", "-inf", "1_0"], 100, "label") == []
    assert whole_and_not(["0", "0.00", "-1", "-1.0", "1.5", "01", "x", "1.0", "2."]) == [("0", "0.00"), ("-1", "-1.0")]


def test_words_for_what_is_missing_are_told_and_words_like_any_other_are_not() -> None:
    assert words_for_nothing(["0", "1", "nan"]) == [
        "the class 'nan' is often written for a label that is missing: leave the cell blank where a row has none"
    ]
    assert "'NULL', 'None' are" in words_for_nothing(["a", "NULL", "None"])[0]
    assert words_for_nothing(["none", "na", "nano", "anger"]) == []


def test_lists_that_were_written_into_cells_are_told() -> None:
    assert "look like lists" in odd_classes(["['a', 'b']", "['a']"], 100, "label")[0]
    assert "the classes 'b'] look like lists" in odd_classes(["'b']", "a"], 100, "label")[0]
    assert odd_classes(["[POS]", "(a)", "[0.5, 1)", "it's"], 100, "label") == []
