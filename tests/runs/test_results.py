"""What a run came to, for a program and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import ftrun
import pytest


def test_the_result_is_typed_and_tells_how_fast(tiny: Path) -> None:
    result = ftrun.run(tiny, progress=False)
    assert isinstance(result, ftrun.RunResult)
    assert result.examples_per_second == pytest.approx(88 / result.training_seconds)
    assert 0 < result.training_seconds < result.seconds


def test_a_number_that_json_has_not_is_null_in_json_and_itself_in_python(workdir: Path) -> None:
    metrics = {"eval/loss": float("nan"), "eval/mse": float("inf"), "eval/f1": 0.5}
    result = ftrun.RunResult("tiny", "loop", "tiny-1", workdir, "FINISHED", metrics=metrics)
    assert json.loads(json.dumps(result.as_json(), allow_nan=False))["metrics"] == {
        **dict.fromkeys(("eval/loss", "eval/mse")),
        "eval/f1": 0.5,
    }
    assert result.metrics["eval/mse"] == float("inf")
