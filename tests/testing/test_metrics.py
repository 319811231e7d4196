"""A suite for metrics that fails on each that is broken, in the point that it is broken in, and says what to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from broken_components import broken_in, check, heard_of, points_of
from ftrun.contracts import Direction, Metric, Predictions, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.testing import MetricSuite

pytestmark = pytest.mark.slow

ANSWERS = Task("answers", ("text",), "answer")


def answering(count: int, *told: str) -> Predictions:
    """What is told of rows whose answers are a, b, c and so on."""
    answers = {"answer": list("abcdef"[:count])}
    numbers, labels = np.zeros((count, 3, 2), "float32"), np.zeros((count, 3), "int64")
    return Predictions(numbers, labels, 0.5, "answers", answers, {"prediction": list(told)})


def exact(predictions: Predictions) -> Mapping[str, float]:
    assert predictions.decoded and predictions.rows
    pairs = list(zip(predictions.decoded["prediction"], predictions.rows["answer"], strict=True))
    return {"exact": sum(told == true for told, true in pairs) / len(pairs)}


def yields(settings: Any, task: Task) -> Mapping[str, Direction]:
    if task.kind != "answers":
        raise ExperimentError(Problem("is for answers"))
    return {"exact": "max"}


class TestATaskOfOnesOwn(MetricSuite):
    """A metric on texts is held to the suite, by predictions that are given."""

    component = Metric(name="exact", summary="Right answers", yields=yields, build=lambda settings, task: exact)
    task = ANSWERS
    cases = ((answering(2, "a", "x"), {"exact": 0.5}),)

    def make_predictions(self) -> Predictions:
        return answering(4, "a", "b", "x", "d")


def test_it_fails_on_what_is_broken_and_on_nothing_else(tmp_path: Path) -> None:
    heard = heard_of("metrics.py", tmp_path, costly=["a_run_"])
    check(heard)
    assert broken_in(heard) == points_of(MetricSuite), "what every kind is held to, too"
