"""The score is the mean squared error of probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from ftrun.contracts import Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.testing import MetricSuite
from ftrun_brier import BrierSettings, ftrun_metrics
from ftrun_brier.scores import evaluator

LABELS = np.array([0, 1])


def measured(logits: list[list[float]], skill: bool = False) -> dict[str, float]:
    return dict(evaluator(BrierSettings(skill=skill))(Predictions(np.array(logits, "float32"), LABELS, 0.0)))


def test_certainty_is_best_where_it_is_right_and_worst_where_it_is_wrong() -> None:
    assert measured([[99, 0], [0, 99]]) == {"brier": pytest.approx(0)}
    assert measured([[0, 99], [99, 0]]) == {"brier": pytest.approx(2)}
    assert measured([[0, 0], [0, 0]], skill=True) == {"brier": 0.5, "brier_skill": 0.0}


def test_it_is_no_metric_of_numbers() -> None:
    (metric,) = ftrun_metrics()
    with pytest.raises(ExperimentError, match="this is regression"):
        metric.yields(BrierSettings(), Task("regression", ("text",)))


class TestBrier(MetricSuite):
    """What ftrun holds every metric to."""

    component = "brier"
    more_settings = ({"skill": True},)
