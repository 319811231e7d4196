"""The runs in a folder at a glance."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from ftrun.execution.overview import Overview, overview
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from ftrun.runs.records import EndRecord, Status
from helpers import begun, plan_of, rows_of, splits_of

DATA = splits_of(rows_of(text=["a"], label=[0]))


def ended(tiny: Path, status: Status, tracked: bool = False) -> RunFolder:
    """A run that ended, as its journal says."""
    folder = begun(plan_of(tiny, {"tracking.enabled": tracked}), DATA, {"ftrun.backend": "loop"})
    journal = Journal(folder.journal)
    journal.metrics(1, {"train/loss": 0.5})
    journal.metrics(1, {"eval/loss": 0.5, "eval/f1": float("nan")})
    journal.append(EndRecord(status))
    journal.close()
    return folder


def by_name(runs: list[Overview]) -> dict[str, Overview]:
    return {run.folder.name: run for run in runs}


def test_each_is_told_with_its_state(tiny: Path) -> None:
    statuses: tuple[Status, ...] = ("FINISHED", "FAILED", "KILLED")
    folders = [ended(tiny, status) for status in statuses]
    gone, alive = begun(plan_of(tiny), DATA), begun(plan_of(tiny), DATA)
    with alive.locked():
        runs, unreadable = overview(Path("runs"))
    states = [by_name(runs)[folder.name].state for folder in (*folders, gone, alive)]
    assert {run.backend for run in runs} == {"loop"}
    assert states == ["finished", "failed", "killed", "killed", "running"] and unreadable == []
    assert [run.began for run in runs] == sorted((run.began for run in runs), reverse=True)


def test_a_run_as_json_has_null_where_a_number_is_not_finite(tiny: Path) -> None:
    folder = ended(tiny, "FINISHED")
    ((run,), _) = overview(Path("runs"))
    facts = json.loads(json.dumps(run.as_json(), allow_nan=False))
    assert facts["metrics"] == {"eval/loss": 0.5, "eval/f1": None} and facts["metrics_step"] == 1
    assert (facts["run"], facts["state"], facts["backend"], facts["steps"]) == (folder.name, "finished", "loop", 1)
    assert facts["bytes"] == sum(path.stat().st_size for path in folder.path.rglob("*"))


def test_what_mlflow_is_to_have_and_has_not_is_pending(tiny: Path) -> None:
    kept_here, tracked = ended(tiny, "FINISHED"), ended(tiny, "FINISHED", tracked=True)
    lines = tracked.journal.read_text().count("\n")
    runs = by_name(overview(Path("runs"))[0])
    assert (runs[kept_here.name].pending, runs[tracked.name].pending) == (0, lines)
    tracked.tracking_state.write_text(json.dumps({"delivered": tracked.journal.stat().st_size}))
    assert by_name(overview(Path("runs"))[0])[tracked.name].pending == 0
    tracked.tracking_state.unlink()
    tracked.experiment.write_text("[[")
    assert by_name(overview(Path("runs"))[0])[tracked.name].pending == lines


def test_a_folder_that_cannot_be_read_is_named_and_hides_no_other(tiny: Path) -> None:
    sound, damaged = ended(tiny, "FINISHED"), ended(tiny, "FINISHED")
    damaged.journal.write_text("{{\n" + damaged.journal.read_text())
    (Path("runs") / "notes").mkdir()
    (Path("runs") / ".hidden").mkdir()
    runs, unreadable = overview(Path("runs"))
    assert [run.folder.name for run in runs] == [sound.name]
    assert unreadable == [
        "runs/notes: it is no run's folder, which has a journal.jsonl and an experiment.toml",
        f"runs/{damaged.name}: its journal is damaged in line 1",
    ]
    assert overview(Path("nowhere")) == ([], [])


@pytest.mark.slow
def test_five_hundred_runs_of_a_thousand_steps_take_seconds(tiny: Path) -> None:
    folder = ended(tiny, "FINISHED")
    first, *others = folder.journal.read_text().splitlines(keepends=True)
    step = next(line for line in others if "train/loss" in line)
    for number in range(500):
        run = RunFolder(Path("runs") / f"many-{number}")
        run.path.mkdir()
        run.experiment.write_bytes(folder.experiment.read_bytes())
        run.journal.write_text("".join([first, *[step] * 1000, *others]))
    began = time.perf_counter()
    runs, _ = overview(Path("runs"))
    assert len(runs) == 501 and time.perf_counter() - began < 10
