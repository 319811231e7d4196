"""Predictions that are made up are what they are called."""

from __future__ import annotations

import numpy as np
import pytest
from ftrun.testing import said, tiny_task


@pytest.mark.parametrize("kind", said.KINDS)
def test_they_are_what_they_are_called(kind: str) -> None:
    task = tiny_task(kind)
    right = said.perfect(task)
    assert np.array_equal(right.values, right.labels) and np.isfinite(right.logits).all()
    assert len(said.ordinary(task).logits) == said.ROWS and right.kind == kind
    assert all(not np.array_equal(other.values, other.labels) for other in said.worse(task))
    assert np.ptp(said.constant(task).logits, axis=0).max() == 0
    assert np.ptp(said.one_class(task).labels, axis=0).max() == 0


def test_a_case_may_give_classes_or_probabilities() -> None:
    task = tiny_task(classes=2)
    by_class, by_share = (said.predictions_of(task, [0, 1], some) for some in ([0, 1], [[0.9, 0.1], [0.2, 0.8]]))
    assert np.array_equal(by_class.values, by_share.values) and by_share.logits[0, 0] == pytest.approx(np.log(0.9))


@pytest.mark.parametrize("rows", [1, 2, 7, 12])
def test_another_order_has_every_row_once(rows: int) -> None:
    assert sorted(said.turned(rows)) == list(range(rows)) and (said.turned(rows) != list(range(rows)) or rows < 3)
