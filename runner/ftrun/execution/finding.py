"""The runs in a folder: which one is meant, which were killed, which are MLflow's to have."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.errors import ExperimentError, Problem, RunError, nearest
from ftrun.planning.experiment import Experiment, load_experiment
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import History, read_history
from ftrun.runs.killed import mark_if_killed
from ftrun.tracking.feeder import deliver_later
from ftrun.tracking.state import read_state


def find_run(
    target: str, runs_folder: Path, profile: str | None = None, overrides: Mapping[str, Any] | None = None
) -> RunFolder:
    """The run that is meant by its folder or its name, MLflow's name or id of it, or an experiment file for its latest
    unfinished run.

    Args:
        target: What is said of it.
        runs_folder: Where runs are looked for.
        profile: With an experiment file: its profile, which may name the experiment otherwise.
        overrides: With an experiment file: values by dotted key, which may do so, too.

    Raises:
        ExperimentError: If there is none, or several bear the name.
    """
    for path in (Path(target), runs_folder / target):
        if is_run(path):
            return RunFolder(path.absolute())
    runs = _runs(runs_folder)
    if target.endswith(".toml"):
        return _latest_unfinished(target, load_experiment(Path(target), profile, overrides), runs)
    for folder in runs:
        if read_state(folder).run_id == target:
            return folder
    if called := [folder for folder in runs if _display_name(folder) == target]:
        return _only(called, target)
    close = nearest(target, [folder.name for folder in runs])
    latest = ", ".join(folder.name for folder in sorted(runs, key=_last_touched)[-3:])
    hint = f"Did you mean {close}?" if close else f"The latest here: {latest or 'none'}."
    raise ExperimentError(Problem(f'there is no run "{target}" here', hint=hint))


def _display_name(folder: RunFolder) -> str | None:
    """What MLflow's pages call a run; None if its journal cannot be read, which is no other run's fault."""
    with contextlib.suppress(RunError, OSError):
        return read_history(folder).display_name
    return None


def _only(called: Sequence[RunFolder], name: str) -> RunFolder:
    if len(called) == 1:
        return called[0]
    hint = f"Say which: {', '.join(folder.name for folder in called)}."
    raise ExperimentError(Problem(f'{len(called)} runs here are called "{name}"', hint=hint))


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run."""
    return all(os.path.isfile(path / name) for name in ("journal.jsonl", "experiment.toml"))  # noqa: PTH113 - Path's own raises for what cannot be a path


def recorded_experiment(folder: RunFolder, history: History) -> Path:
    """The file in a run's folder that says what it runs."""
    return folder.path / history.experiment


def mark_killed_runs(runs_folder: Path) -> list[RunFolder]:
    """Write down the end of every run whose process is gone, and have MLflow told; returns those that were found."""
    killed = [folder for folder in _runs(runs_folder) if mark_if_killed(folder)]
    for folder in killed:
        with contextlib.suppress(ExperimentError):  # nobody knows where to; `ftrun sync` says so
            tracking = tracking_of(folder)
            if tracking.get("enabled", True):
                deliver_later(folder, tracking.get("uri"))
    return killed


def tracked_runs(runs_folder: Path) -> list[RunFolder]:
    """The runs in a folder that MLflow is to have, and those of which that cannot be told."""

    def is_tracked(folder: RunFolder) -> bool:
        try:
            return bool(tracking_of(folder).get("enabled", True))
        except ExperimentError:
            return True

    return [folder for folder in _runs(runs_folder) if is_tracked(folder)]


def _runs(runs_folder: Path) -> list[RunFolder]:
    return [RunFolder(path.absolute()) for path in sorted(runs_folder.glob("*")) if is_run(path)]


def tracking_of(folder: RunFolder) -> Mapping[str, Any]:
    """The `[tracking]` table that a run was begun with.

    Raises:
        ExperimentError: If the experiment in its folder cannot be read: it must not go anywhere then.
    """
    tracking: Mapping[str, Any] = load_experiment(folder.experiment).tables.get("tracking", {})
    return tracking


def _recorded(folder: RunFolder) -> Mapping[str, Any]:
    """The experiment in a run's folder; empty if it cannot be read, which is no other run's fault."""
    try:
        return load_experiment(folder.experiment).tables
    except (ExperimentError, OSError):
        return {}


def _latest_unfinished(target: str, experiment: Experiment, runs: Sequence[RunFolder]) -> RunFolder:
    name = experiment.tables.get("name")
    of_this = [folder for folder in runs if _recorded(folder).get("name") == name]
    left = [folder for folder in of_this if read_history(folder).status != "FINISHED"]
    if not left:
        count = "every run of it here is finished" if of_this else "it has no run here"
        raise ExperimentError(Problem(f"there is nothing to resume of {target}: {count}"))
    return max(left, key=_last_touched)


def _last_touched(folder: RunFolder) -> float:
    return folder.journal.stat().st_mtime
