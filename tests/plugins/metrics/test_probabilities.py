"""Metrics of probabilities: by their definitions, and no value, no warning and no failure where they have none."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from ftrun.contracts import Metric, Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import load_catalogue
from helpers import plan_of
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = ("roc_auc", "average_precision", "log_loss", "expected_calibration_error")


def task_of(classes: int) -> Task:
    return Task("classification", ("text",), "label", tuple(f"class {place}" for place in range(classes)))


def component(name: str) -> Metric[Any]:
    found = load_catalogue().find("metric", name, "").component
    assert isinstance(found, Metric)
    return found


def compute(name: str, probabilities: Any, labels: list[int], **values: Any) -> float:
    """A metric of rows with these probabilities; of two classes where each is one number, that of class 1."""
    rows = np.asarray(probabilities, "float64")
    rows = np.stack([1 - rows, rows], axis=1) if rows.ndim == 1 else rows
    with np.errstate(divide="ignore"):
        logits = np.log(rows).astype("float32")
    return of_logits(name, logits, labels, **values)


def of_logits(name: str, logits: Any, labels: list[int], **values: Any) -> float:
    metric, task = component(name), task_of(logits.shape[1])
    options = metric.settings(**values)
    computed = metric.build(options, task)(Predictions(logits, np.array(labels), 0.0))
    assert set(computed) == set(metric.yields(options, task)) == {name}
    return float(computed[name])


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=2, max_size=20))
def test_roc_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    ones, zeros = ([tenths for tenths, label in rows if label is which] for which in (True, False))
    pairs = [(one > zero) + (one == zero) / 2 for one, zero in itertools.product(ones, zeros)]
    found = compute("roc_auc", [tenths / 10 for tenths, _ in rows], [int(label) for _, label in rows])
    assert found == pytest.approx(sum(pairs) / len(pairs)) if pairs else math.isnan(found)


def test_several_classes_are_each_against_the_rest_unless_told() -> None:
    rows, labels = [[0.61, 0.3, 0.09], [0.2, 0.48, 0.32], [0.5, 0.22, 0.28], [0.31, 0.35, 0.34]], [0, 1, 2, 0]
    macro = compute("roc_auc", rows, labels)
    areas = [
        compute("roc_auc", [row[place] for row in rows], [int(it == place) for it in labels]) for place in range(3)
    ]
    assert macro == pytest.approx(sum(areas) / 3)
    weighted = compute("roc_auc", rows, labels, average="weighted")
    assert weighted == pytest.approx((2 * areas[0] + areas[1] + areas[2]) / 4)
    assert compute("roc_auc", rows, labels, multi_class="ovo") != pytest.approx(macro)


def test_average_precision_is_the_mean_precision_at_the_rows_that_are_there() -> None:
    assert compute("average_precision", [0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx((1 + 2 / 3) / 2)
    rows, labels = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.5, 0.2, 0.3]], [0, 1, 2]
    each = [
        compute("average_precision", [row[place] for row in rows], [int(it == place) for it in labels])
        for place in range(3)
    ]
    assert compute("average_precision", rows, labels) == pytest.approx(sum(each) / 3)


def test_log_loss_is_that_of_the_right_class() -> None:
    assert compute("log_loss", [0.25, 0.5], [1, 0]) == pytest.approx((math.log(4) + math.log(2)) / 2)
    assert math.isfinite(of_logits("log_loss", np.array([[1e4, -1e4]], "float32"), [1]))


def test_calibration_is_the_gap_between_said_and_right_bin_by_bin() -> None:
    said, labels = [0.8, 0.8, 0.8, 0.8, 0.6, 0.6], [1, 1, 1, 0, 1, 1]
    expected = (4 * abs(0.75 - 0.8) + 2 * abs(1 - 0.6)) / 6
    assert compute("expected_calibration_error", said, labels) == pytest.approx(expected)
    assert compute("expected_calibration_error", said, labels, bins=1) == pytest.approx(abs(5 / 6 - 4.4 / 6))
    assert compute("expected_calibration_error", [1.0, 0.0], [1, 0]) == 0.0


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_labels_of_one_class_have_no_value(name: str, average: str) -> None:
    assert math.isnan(compute(name, [0.2, 0.8], [1, 1], average=average))
    assert math.isnan(compute(name, [[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]], [2, 2], average=average))


def test_a_class_without_a_row_leaves_no_value_where_every_class_counts() -> None:
    rows, labels = [[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], [0, 1]
    assert math.isnan(compute("roc_auc", rows, labels))
    assert math.isnan(compute("average_precision", rows, labels))
    assert compute("average_precision", rows, labels, average="weighted") == 1.0
    assert compute("log_loss", rows, labels) == pytest.approx(-(math.log(0.6) + math.log(0.5)) / 2)


def test_constant_predictions_are_chance() -> None:
    assert compute("roc_auc", [0.7] * 4, [0, 1, 1, 1]) == 0.5
    assert compute("average_precision", [0.7] * 4, [0, 1, 1, 1]) == 0.75
    assert compute("expected_calibration_error", [0.75] * 4, [0, 1, 1, 1]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_logits_that_are_no_numbers_have_no_value(name: str, fault: float) -> None:
    assert math.isnan(of_logits(name, np.array([[fault, 0.0], [0.0, 1.0]], "float32"), [0, 1]))


@pytest.mark.parametrize("name", NAMES)
def test_regression_is_refused_before_any_work(name: str) -> None:
    metric = component(name)
    with pytest.raises(ExperimentError, match=f'"{name}" is a metric of classification.*, and the task is regression'):
        metric.yields(metric.settings(), Task("regression", ("text",)))


def test_what_scikit_learn_has_not_is_refused_with_its_place(tiny: Any) -> None:
    with pytest.raises(ExperimentError, match=r"metrics\[0\]\.average.*not for multi_class"):
        plan_of(tiny, {"metrics": [{"use": "roc_auc", "average": "micro", "multi_class": "ovo"}]})


MANY = Task("multi_label", ("text",), "label", ("a", "b", "c"))
LABELS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0], [0, 0, 0]])
SHARES = np.array([[0.9, 0.2, 0.6], [0.3, 0.7, 0.9], [0.6, 0.4, 0.7], [0.7, 0.1, 0.2]])


def of_many(name: str, labels: Any = LABELS, **values: Any) -> float:
    metric = component(name)
    options = metric.settings(**values)
    assert set(metric.yields(options, MANY)) == {name}
    logits = np.log(SHARES / (1 - SHARES)).astype("float32")
    return float(metric.build(options, MANY)(Predictions(logits, labels, 0.0, "multi_label"))[name])


def test_of_any_number_of_classes_every_class_is_measured_by_itself() -> None:
    areas = [compute("roc_auc", SHARES[:, place].tolist(), LABELS[:, place].tolist()) for place in range(3)]
    assert of_many("roc_auc") == pytest.approx(np.mean(areas))
    assert of_many("roc_auc", average="micro") == pytest.approx(
        compute("roc_auc", SHARES.ravel().tolist(), LABELS.ravel().tolist())
    )
    precise = [compute("average_precision", SHARES[:, place].tolist(), LABELS[:, place].tolist()) for place in range(3)]
    assert of_many("average_precision") == pytest.approx(np.mean(precise))
    right = np.where(LABELS == 1, SHARES, 1 - SHARES)
    assert of_many("log_loss") == pytest.approx(-np.log(right).mean(), rel=1e-6)


def test_a_class_that_no_row_or_every_row_is_of_has_no_area() -> None:
    never = LABELS * np.array([1, 1, 0])
    for name in ("roc_auc", "average_precision"):
        assert math.isnan(of_many(name, never)) and math.isnan(of_many(name, 1 - never))
        assert not math.isnan(of_many(name, never, average="micro"))


def test_what_is_for_one_class_a_row_is_refused_for_any_number() -> None:
    with pytest.raises(ExperimentError, match="a metric of classification, and the task is multi_label"):
        of_many("expected_calibration_error")
    with pytest.raises(ExperimentError, match='"ovo" is for one class a row'):
        of_many("roc_auc", multi_class="ovo")
