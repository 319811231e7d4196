"""What a run uses is on record as it goes on, in MLflow, and no part of what is compared."""

from __future__ import annotations

import threading
from pathlib import Path

import ftrun
import pytest
from ftrun.execution import monitor
from helpers import TRACKED, died_after, journal_of, measured_of, mlflow_client

SAVING = {"training.save_strategy": "steps", "training.save_steps": 3}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "INTERVAL", 0.01)


def steps(run_folder: Path) -> list[int]:
    """The steps of the points of memory, in the order of the journal."""
    return [step for key, step in measured_of(run_folder) if key == "system/process_memory_usage_megabytes"]


@pytest.mark.slow
@pytest.mark.usefixtures("store", "often")
def test_the_points_count_on_across_a_resume_and_mlflow_has_them(tiny: Path) -> None:
    begun = ftrun.run(tiny, overrides={**TRACKED, **SAVING}, progress=False)
    folder = died_after(begun.run_folder, 9, "tiny-died")
    before = steps(folder)
    assert before == list(range(1, len(before) + 1)) and len(before) > 1
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FINISHED" and result.run_id
    assert not [record for record in journal_of(folder) if record["type"] == "differing"]
    after = steps(folder)
    assert after == list(range(1, len(after) + 1)) and len(after) > len(before)
    history = mlflow_client(result).get_metric_history(result.run_id, "system/process_memory_usage_megabytes")
    assert sorted(point.step for point in history) == after
    assert journal_of(folder)[-1]["type"] == "end"
    assert not [thread for thread in threading.enumerate() if thread.name == "ftrun-monitor"]


@pytest.mark.usefixtures("often")
def test_there_are_none_where_nobody_wants_them_and_in_a_run_that_is_over_sooner(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = ftrun.run(tiny, overrides={"tracking.system_metrics": False}, progress=False)
    monkeypatch.setattr(monitor, "INTERVAL", 60.0)
    short = ftrun.run(tiny, progress=False)
    assert none.status == short.status == "FINISHED"
    assert steps(none.run_folder) == steps(short.run_folder) == []
