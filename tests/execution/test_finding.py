"""Which run is meant, and which were killed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution import finding
from ftrun.execution.finding import find_run, mark_killed_runs, tracked_runs, tracking_of
from ftrun.runs.folder import RunFolder
from helpers import Ftrun, begun, died_after, plan_of, rows_of, slow, splits_of

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


@pytest.mark.parametrize("target", ["name", *map(slow, ("folder", "file", "id"))])
def test_a_run_is_found_by(tiny: Path, target: str) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "tiny-died")
    shutil.rmtree(undisturbed.run_folder)
    (folder / "mlflow.json").write_text('{"run_id": "0123456789abcdef"}')
    called = {"name": folder.name, "folder": str(folder), "file": "tiny.toml", "id": "0123456789abcdef"}[target]
    if target == "file":
        with pytest.raises(ExperimentError, match="To go on with what was begun: ftrun resume tiny-died"):
            ftrun.resume(called, overrides={"seed": 2}, progress=False)
    settings = SAVING if target == "file" else {}
    assert ftrun.resume(called, overrides=settings, progress=False).run_folder == folder


@pytest.mark.slow
def test_what_is_not_there_is_told(tiny: Path, ftrun_command: Ftrun) -> None:
    result = run(tiny, {"training.max_steps": 1})
    for target, sentence in {
        result.run[:-1] + "x": f"Did you mean {result.run}?",
        "tiny.toml": "there is nothing to resume of tiny.toml: every run of it here is finished",
        "elsewhere.toml": "elsewhere.toml",
    }.items():
        done = ftrun_command("resume", target)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    done = ftrun_command("resume", result.run)
    assert done.returncode == 0 and "is finished; there is nothing to resume" in done.stderr


DATA = splits_of(rows_of(text=["a"], label=[0]))


@pytest.fixture
def two(tiny: Path) -> tuple[RunFolder, RunFolder]:
    """Two runs of one experiment, the first of them touched last."""
    plan = plan_of(tiny)
    first, second = begun(plan, DATA), begun(plan, DATA)
    os.utime(second.journal, (1, 1))
    return first, second


def test_a_run_is_meant_by_its_name_its_folder_or_mlflows_id(two: tuple[RunFolder, RunFolder]) -> None:
    _, folder = two
    folder.tracking_state.write_text('{"run_id": "0123456789abcdef"}')
    for target in (folder.name, str(folder.path), f"runs/{folder.name}", "0123456789abcdef"):
        assert find_run(target, Path("runs")) == folder


def test_a_run_is_meant_by_what_mlflow_calls_it_if_no_other_is_called_so(tiny: Path) -> None:
    first, second, third = (begun(plan_of(tiny), DATA, {"mlflow.runName": name}) for name in ("a s1", "b s1", "b s1"))
    assert find_run("a s1", Path("runs")) == first
    with pytest.raises(ExperimentError, match='2 runs here are called "b s1"') as refused:
        find_run("b s1", Path("runs"))
    assert second.name in str(refused.value) and third.name in str(refused.value)


def test_an_experiments_file_means_its_latest_unfinished_run(two: tuple[RunFolder, RunFolder]) -> None:
    first, second = two
    assert find_run("tiny.toml", Path("runs")) == first
    with first.journal.open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    assert find_run("tiny.toml", Path("runs")) == second


def test_a_run_of_another_experiment_is_not_meant(two: tuple[RunFolder, RunFolder]) -> None:
    Path("other.toml").write_text('extends = "tiny.toml"\nname = "other"\n')
    with pytest.raises(ExperimentError, match=r"nothing to resume of other.toml: it has no run here"):
        find_run("other.toml", Path("runs"))


def test_a_run_that_cannot_be_read_hides_no_other(two: tuple[RunFolder, RunFolder]) -> None:
    first, second = two
    first.experiment.write_text("[[")
    assert find_run("tiny.toml", Path("runs")) == second


@pytest.mark.parametrize("target", ["", " ", "x" * 300, "\0", "../..", "负", "runs", "tiny-", "*"])
def test_what_is_no_run_is_told_with_the_latest_that_are(two: tuple[RunFolder, RunFolder], target: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        find_run(target, Path("runs"))
    assert f'there is no run "{target}" here' in str(refused.value)
    assert two[0].name in str(refused.value)


def test_where_there_are_no_runs_that_is_told(workdir: Path) -> None:
    with pytest.raises(ExperimentError, match=r"The latest here: none\."):
        find_run("tiny", Path("runs"))
    assert mark_killed_runs(Path("runs")) == [] == tracked_runs(Path("runs"))


def test_runs_whose_process_is_gone_are_marked_once_and_those_that_go_on_are_not(
    two: tuple[RunFolder, RunFolder],
) -> None:
    first, second = two
    with first.locked():
        assert mark_killed_runs(Path("runs")) == [second]
    assert mark_killed_runs(Path("runs")) == [first]
    assert mark_killed_runs(Path("runs")) == []


def test_mlflow_is_told_of_a_killed_run_only_where_it_is_to_have_it(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, str | None]] = []
    monkeypatch.setattr(finding, "deliver_later", lambda folder, uri: told.append((folder.name, uri)))
    begun(plan_of(tiny), DATA)
    tracked = begun(plan_of(tiny, {"tracking": {"enabled": True, "uri": "http://127.0.0.1:9"}}), DATA)
    begun(plan_of(tiny), DATA).experiment.write_text("[[")
    assert len(mark_killed_runs(Path("runs"))) == 3
    assert told == [(tracked.name, "http://127.0.0.1:9")]


def test_a_run_of_which_it_cannot_be_told_is_not_left_out_of_what_mlflow_is_to_have(tiny: Path) -> None:
    begun(plan_of(tiny), DATA)
    tracked = begun(plan_of(tiny, {"tracking.enabled": True}), DATA)
    torn = begun(plan_of(tiny), DATA)
    torn.experiment.write_text("[[")
    assert {folder.name for folder in tracked_runs(Path("runs"))} == {tracked.name, torn.name}
    with pytest.raises(ExperimentError):
        tracking_of(torn)
