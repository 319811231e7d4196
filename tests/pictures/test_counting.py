"""What figures show, counted: by scikit-learn's definitions, on classes without a row, too."""

from __future__ import annotations

import math

import numpy as np
import pytest
from ftrun.pictures.counting import (
    by_class,
    confusion,
    most_confused,
    precision_over_recall,
    reliability,
    smoothed,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_fscore_support

PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)


@settings(max_examples=30)
@given(PAIRS)
def test_confusion_and_scores_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, said = (np.array(column) for column in zip(*pairs, strict=True))
    classes = {"labels": range(4)}
    assert confusion(labels, said, 4).tolist() == confusion_matrix(labels, said, **classes).tolist()
    found = by_class(labels, said, 4)
    expected = precision_recall_fscore_support(labels, said, zero_division=0, **classes)
    for ours, theirs in zip((found.precision, found.recall, found.f1, found.support), expected, strict=True):
        assert ours == pytest.approx(theirs)


def test_the_pairs_that_are_confused_most_come_first() -> None:
    labels, said = np.array([0, 0, 0, 1, 2, 2, 2, 2]), np.array([1, 1, 0, 0, 2, 0, 0, 0])
    found = most_confused(labels, said, 3, 2)
    assert found == [(2, 0, 3, 0.75), (0, 1, 2, pytest.approx(2 / 3))]
    assert most_confused(labels, labels, 3, 2) == []


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=30).filter(lambda rows: any(dict(rows)))
)
def test_average_precision_is_scikit_learns(rows: list[tuple[bool, int]]) -> None:
    there, probability = np.array([row[0] for row in rows]), np.array([row[1] / 5 for row in rows])
    curve = precision_over_recall(there, probability)
    assert curve.average_precision == pytest.approx(average_precision_score(there, probability))
    assert curve.recall[-1] == 1.0 and curve.precision[-1] == pytest.approx(there.mean())


def test_reliability_is_counted_bin_by_bin() -> None:
    told = reliability(np.array([True, True, False, True]), np.array([0.8, 0.75, 0.75, 1.0]), bins=4)
    assert told.rows.tolist() == [0, 0, 2, 2] and told.right.tolist()[2:] == [0.5, 1.0]
    assert math.isnan(told.right[0]) and told.error == pytest.approx((2 * 0.25 + 2 * 0.1) / 4)


def test_smoothing_passes_over_what_is_no_number() -> None:
    assert smoothed(np.array([2.0, 2.0, 2.0]), 5).tolist() == pytest.approx([2, 2, 2])
    found = smoothed(np.array([math.nan, 1.0, math.nan, 3.0]), 3)
    assert math.isnan(found[0]) and found[1:].tolist() == pytest.approx([1.0, 1.0, (1 * 0.5 + 3) / 1.5])
