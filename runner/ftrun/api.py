"""What `import ftrun` offers a program: to run an experiment, and to go on with a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.execution.beginning import FreshStart
from ftrun.execution.outcome import Outcome
from ftrun.execution.resumption import plan_resumption
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.experiment import load_experiment, with_backend
from ftrun.planning.plan import make_plan
from ftrun.runs.folder import RUNS_FOLDER
from ftrun.runs.results import RunResult
from ftrun.screen.console import make_console
from ftrun.screen.watchers import make_watcher


def run(
    path: str | os.PathLike[str],
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
    backend: str | None = None,
) -> RunResult:
    """Run an experiment file, as the command `ftrun FILE` does.

    Args:
        path: The TOML file.
        profile: The `[profile.NAME]` to lay over it.
        overrides: Values by dotted key, such as `{"training.num_train_epochs": 1}`.
        unset: Dotted keys to take out.
        runs_folder: Where run folders are made; `runs` in the working folder by default.
        progress: Whether to show what goes on.
        backend: The backend to run on; the file's by default. Overrides may not choose another one.

    Returns:
        The run as it ended; `status` and `error` tell how, also where it failed.

    Raises:
        ExperimentError: If the file or a part of it is wrong; nothing was run then.
        RunError: If the run folder cannot be made.
        KeyboardInterrupt: After Ctrl-C, once the run has written its checkpoint and is recorded as KILLED. SIGTERM is
            passed on in the same way, to what the program has it do.
    """
    catalogue = load_catalogue()
    chosen = with_backend(overrides or {}, backend)
    plan = make_plan(load_experiment(Path(path), profile, chosen, unset), catalogue)
    watcher = _watcher(progress, catalogue)
    return _in_program(execute(plan, catalogue, watcher, FreshStart(plan, Path(runs_folder))))


def resume(
    run: str | os.PathLike[str],
    backend: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_changes: bool = False,
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
    unset: Sequence[str] = (),
) -> RunResult:
    """Go on with a run that stopped, as the command `ftrun resume RUN` does.

    Args:
        run: Its name, its folder, MLflow's name or id of it, or an experiment file for its latest unfinished run.
        backend: The backend to go on with; the run's own by default. Overrides may not choose another one.
        overrides: Values by dotted key, to change what the run was begun with.
        allow_changes: Whether to go on though settings, packages, data or machine have changed.
        runs_folder: Where runs are looked for.
        progress: Whether to show what goes on.
        unset: Dotted keys to take out of what the run was begun with.

    Returns:
        The run as it ended.

    Raises:
        ExperimentError: If there is no such run, or something has changed that may not.
        RunFinishedError: If nothing is left to do.
        RunError: If the run is still going on, or a later version of ftrun has written it.
        KeyboardInterrupt: As `run`.
    """
    catalogue = load_catalogue()
    chosen = with_backend(overrides or {}, backend)
    plan, resumption = plan_resumption(str(run), catalogue, chosen, Path(runs_folder), allow_changes, unset=unset)
    return _in_program(execute(plan, catalogue, _watcher(progress, catalogue), resumption))


def _watcher(progress: bool, catalogue: Catalogue) -> Watcher:
    """Who shows the run, and has said what there is to know of its plugins."""
    watcher = make_watcher(make_console()) if progress else Watcher()
    for sentence in catalogue.notices:
        watcher.notice(sentence)
    return watcher


def _in_program(outcome: Outcome) -> RunResult:
    """The result, for a program that called; a signal that ended the run goes on to where it was meant for."""
    if outcome.signal is not None:
        signal.raise_signal(outcome.signal)
    return outcome.result
