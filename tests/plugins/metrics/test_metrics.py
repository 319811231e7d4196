"""Every metric passes the suite that anybody's does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.testing import MetricSuite, tiny_task

NUMBERS = tiny_task("regression")
LABELS, SAID = [0, 1, 1, 0, 1], [0, 1, 0, 0, 1]
SURE = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.3, 0.7]]
UNDEFINED = ["one class", "one row"]


class TestGlue(MetricSuite):
    component = "glue"
    task = Task("classification", ("first", "second"), "label", ("not_equivalent", "equivalent"), "glue/mrpc")
    cases = [(LABELS, SAID, {"accuracy": 0.8, "f1": 0.8})]


class TestAccuracy(MetricSuite):
    component = "accuracy"
    cases = [(LABELS, SAID, {"accuracy": 0.8})]


class TestF1(MetricSuite):
    component = "f1"
    settings = {"average": "macro"}
    more_settings = [{"average": None}, {"average": "binary"}]
    bad_settings = [{"average": "mean"}, {"average": True}]
    task = tiny_task()
    cases = [([0, 1, 1, 2], [0, 0, 1, 2], {"f1": (2 / 3 + 2 / 3 + 1) / 3})]


class TestPrecision(MetricSuite):
    component = "precision"
    cases = [(LABELS, SAID, {"precision": 1.0})]


class TestF1OfAClass(MetricSuite):
    component = "f1"
    settings = {"positive_class": "no"}
    more_settings = [{"positive_class": "yes", "average": "binary"}]
    bad_settings = [{"positive_class": "maybe"}, {"positive_class": 0}, {"average": "macro"}]
    cases = [(LABELS, SAID, {"f1": 0.8}), ([0, 0, 1], [0, 1, 1], {"f1": 2 / 3})]


class TestRecall(MetricSuite):
    component = "recall"
    cases = [(LABELS, SAID, {"recall": 2 / 3})]


class TestBinaryOfMany(MetricSuite):
    component = "recall"
    settings = {"average": "weighted"}
    bad_settings = [{"average": "binary"}]
    task = tiny_task()


class TestMatthewsCorrelation(MetricSuite):
    component = "matthews_correlation"
    cases = [(LABELS, SAID, {"matthews_correlation": 2 / 3})]


class TestRocAuc(MetricSuite):
    component = "roc_auc"
    bad_settings = [{"average": "micro", "multi_class": "ovo"}, {"multi_class": "one"}]
    without_value = UNDEFINED
    cases = [(LABELS, SURE, {"roc_auc": 1.0}), ([0, 1], [[0.5, 0.5]] * 2, {"roc_auc": 0.5})]


class TestAveragePrecision(MetricSuite):
    component = "average_precision"
    without_value = UNDEFINED
    cases = [([1, 0, 1, 0], [[0.1, 0.9], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]], {"average_precision": (1 + 2 / 3) / 2})]


class TestLogLoss(MetricSuite):
    component = "log_loss"
    cases = [([1, 0], [[0.75, 0.25], [0.5, 0.5]], {"log_loss": (math.log(4) + math.log(2)) / 2})]


class TestCalibration(MetricSuite):
    component = "expected_calibration_error"
    settings = {"bins": 10}
    bad_settings = [{"bins": 0}, {"bins": 10**9}]
    cases = [([1, 1, 1, 0], [[0.2, 0.8]] * 4, {"expected_calibration_error": 0.05})]


class TestCorrelation(MetricSuite):
    component = "correlation"
    task = NUMBERS
    without_value = [*UNDEFINED, "constant predictions"]
    cases = [([1.0, 2.0, 4.0], [1.0, 4.0, 2.0], {"pearson": 1 / 7, "spearmanr": 0.5})]


class TestErrors(MetricSuite):
    component = "regression-errors"
    task = NUMBERS
    cases = [([1.0, 4.0], [1.0, 2.0], {"mse": 2.0, "mae": 1.0})]


SCRIPT = """
import datasets
import evaluate

class Share(evaluate.Metric):
    def _info(self):
        columns = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
        return evaluate.MetricInfo(description="", citation="", features=datasets.Features(columns))

    def _compute(self, predictions, references):
        return {"share": sum(p == r for p, r in zip(predictions, references)) / len(predictions)}
"""


@pytest.mark.slow
class TestEvaluate(MetricSuite):
    component = "evaluate"
    bad_settings = [
        *({"yields": wrong} for wrong in (None, {"share": "up"}, {"one/two three": "max"})),
        {"trust_remote_code": False},
    ]
    cases = [(LABELS, SAID, {"share": 0.8})]
    test_a_task_that_it_does_not_suit_is_told: Any = None  # what it yields, the file says, whatever the task

    def make_settings(self, folder: Path) -> dict[str, Any]:
        (folder / "share.py").write_text(SCRIPT)
        return {"path": str(folder / "share.py"), "yields": {"share": "max"}, "trust_remote_code": True}
