"""What of the runs can be removed, and what stays and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.execution.cleaning import Cleaning, clean, plan_cleaning
from ftrun.execution.overview import Overview, State
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import Glance


def run_of(tmp_path: Path, state: State = "finished", pending: int = 0) -> Overview:
    """A run with a model, a checkpoint of 100 bytes and 20 of another one."""
    folder = RunFolder(tmp_path / "run")
    for path, size in ((".checkpoint-2.partial", 20), ("checkpoint-1", 100)):
        (folder.checkpoints / path).mkdir(parents=True)
        (folder.checkpoints / path / "weights").write_bytes(b"1" * size)
    folder.model.mkdir()
    (folder.model / "weights").write_bytes(b"1")
    return Overview(folder, state, None, Glance(), 121, 0.0, pending)


def names(cleaning: Cleaning) -> list[str]:
    return [path.name for path in cleaning.paths]


def test_of_a_finished_run_all_but_the_model_goes(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (cleaning,) = plan_cleaning([run])
    assert (names(cleaning), cleaning.size, cleaning.kept) == (["checkpoint-1", ".checkpoint-2.partial"], 120, None)
    assert clean(cleaning) == []
    assert list(run.folder.checkpoints.iterdir()) == [] and (run.folder.model / "weights").is_file()
    assert plan_cleaning([run]) == []


@pytest.mark.parametrize(
    ("state", "pending", "why"),
    [
        ("failed", 0, "what it goes on from: ftrun resume run"),
        ("killed", 0, "what it goes on from: ftrun resume run"),
        ("finished", 3, "MLflow has not got all of it: ftrun sync run"),
    ],
)
def test_checkpoints_that_are_wanted_stay_and_parts_go(tmp_path: Path, state: State, pending: int, why: str) -> None:
    (cleaning,) = plan_cleaning([run_of(tmp_path, state, pending)])
    assert names(cleaning) == [".checkpoint-2.partial"] and cleaning.size == 20
    assert cleaning.kept and why in cleaning.kept


def test_checkpoints_stay_where_the_model_is_gone(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    run.folder.model.rename(tmp_path / "mine")
    (cleaning,) = plan_cleaning([run])
    assert names(cleaning) == [".checkpoint-2.partial"] and "the only weights" in (cleaning.kept or "")


def test_of_a_run_that_is_going_on_nothing_goes(tmp_path: Path) -> None:
    (cleaning,) = plan_cleaning([run_of(tmp_path, "running")])
    assert (names(cleaning), cleaning.kept) == ([], "it is going on")


def test_a_run_that_was_taken_up_meanwhile_is_left_alone(tmp_path: Path) -> None:
    run = run_of(tmp_path, "killed")
    (cleaning,) = plan_cleaning([run])
    with run.folder.locked():
        assert clean(cleaning) == ["the run run is going on in another process"]
    assert (run.folder.checkpoints / ".checkpoint-2.partial").is_dir()
