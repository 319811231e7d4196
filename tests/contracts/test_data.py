"""What data, models and metrics pass to each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ftrun.contracts import Predictions, Splits, Task
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(("names", "count"), [(("a", "b", "c"), 3), (("a",), 1), (None, 1)])
def test_a_model_gives_a_number_for_each_class_or_one_for_regression(names: Any, count: int) -> None:
    assert Task("classification", ("text",), "label", names).num_labels == count


def test_the_rows_that_are_used_are_told_by_what_for_and_by_split() -> None:
    rows: Any = {name: [name] for name in ("train", "dev", "hard", "test")}
    told = Splits(
        Task("regression", ("text",)), rows["train"], {"dev": rows["dev"], "rows": rows["hard"]}, "mine", "here", "1",
        {"test": rows["test"]}, train_split="rows",
    )  # fmt: skip
    assert told.used == {
        ("training", "rows"): ["train"],
        ("evaluation", "dev"): ["dev"],
        ("evaluation", "rows"): ["hard"],
    }, "what is to be predicted is not used, and a split may be there for both"


@given(st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=1, max_size=5))
def test_the_class_that_is_predicted_is_the_first_of_the_likeliest(logits: list[list[float]]) -> None:
    said = Predictions(np.array(logits), None, None)
    assert said.values.tolist() == [row.index(max(row)) for row in logits]


def test_a_class_is_predicted_for_every_place() -> None:
    logits = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 0.0]]])
    assert Predictions(logits, None, None, "token_classification").values.tolist() == [[1, 0], [1, 0]]


def test_of_several_classes_those_from_a_half_are_predicted() -> None:
    logits = np.array([[-0.1, 0.0, 0.1], [-1.0, -1.0, -1.0]])
    assert Predictions(logits, None, None, "multi_label").values.tolist() == [[0, 1, 1], [0, 0, 0]]


def test_a_regression_predicts_its_number_and_no_rows_are_none() -> None:
    assert Predictions(np.array([[1.5], [-2.0]]), None, None, "regression").values.tolist() == [1.5, -2.0]
    for shape in ((0, 1), (0, 3)):
        assert Predictions(np.zeros(shape), None, None).values.tolist() == []
