"""Predictions that are made up are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from ftrun.contracts import Predictions
from ftrun.testing import said, tiny_task


@pytest.mark.parametrize("kind", said.KINDS)
def test_they_are_what_they_are_called(kind: str) -> None:
    task = tiny_task(kind)
    right = said.perfect(task)
    assert np.array_equal(right.values, right.labels) and np.isfinite(right.logits).all()
    assert len(said.ordinary(task).logits) == said.ROWS and right.kind == kind
    assert all(not np.array_equal(other.values, other.labels) for other in said.worse(task))
    assert np.ptp(said.constant(said.ordinary(task)).logits, axis=0).max() == 0
    assert np.ptp(said.one_class(said.ordinary(task)).labels, axis=0).max() == 0


def test_a_case_may_give_classes_or_probabilities() -> None:
    task = tiny_task(classes=2)
    by_class, by_share = (said.predictions_of(task, [0, 1], some) for some in ([0, 1], [[0.9, 0.1], [0.2, 0.8]]))
    assert np.array_equal(by_class.values, by_share.values) and by_share.logits[0, 0] == pytest.approx(np.log(0.9))


def test_rows_and_what_is_told_of_them_go_with_what_is_changed() -> None:
    rows, decoded = {"answer": ["a", "b", "c"]}, {"prediction": ["x", "y", "z"]}
    said_of = Predictions(np.arange(6).reshape(3, 2), np.arange(3), 0.5, "answers", rows, decoded)
    for changed, answers, told, labels in (
        (said.one_class(said_of), ["a", "a", "a"], ["x", "y", "z"], [0, 0, 0]),
        (said.constant(said_of), ["a", "b", "c"], ["x", "x", "x"], [0, 1, 2]),
        (said.picked(said_of, [2, 0]), ["c", "a"], ["z", "x"], [2, 0]),
    ):
        assert (changed.rows, changed.decoded) == ({"answer": answers}, {"prediction": told})
        assert changed.labels.tolist() == labels and changed.kind == "answers"


@pytest.mark.parametrize("rows", [1, 2, 7, 12])
def test_another_order_has_every_row_once(rows: int) -> None:
    assert sorted(said.turned(rows)) == list(range(rows)) and (said.turned(rows) != list(range(rows)) or rows < 3)
