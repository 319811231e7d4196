"""What a run came to, for a program and as JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import ftrun
import pytest
from hypothesis import given
from hypothesis import strategies as st


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


def test_a_result_as_json_is_read_back_as_it_was(workdir: Path) -> None:
    result = ftrun.RunResult("tiny", "loop", "tiny-1", workdir / "负", "FAILED", error='it said "no"', steps=10**12)
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert told == {**told, "run_folder": str(workdir / "负"), "error": 'it said "no"', "steps": 10**12}
    assert set(told) == {field.name for field in dataclasses.fields(ftrun.RunResult)}


@given(st.dictionaries(st.text(), st.floats(), max_size=5))
def test_any_numbers_can_be_told_as_json(metrics: dict[str, float]) -> None:
    result = ftrun.RunResult("tiny", "loop", "tiny-1", Path("runs/tiny-1"), "FINISHED", metrics=metrics)
    told = json.loads(json.dumps(result.as_json(), allow_nan=False))["metrics"]
    assert told == {key: value if math.isfinite(value) else None for key, value in metrics.items()}


def test_a_run_that_took_no_step_has_no_speed(workdir: Path) -> None:
    result = ftrun.RunResult("tiny", "loop", "tiny-1", workdir, "FAILED")
    assert result.examples_per_second is None and result.training_seconds == 0 and result.metrics == {}
