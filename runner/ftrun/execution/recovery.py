"""A run with its model: the one that is here, or else what MLflow has of it."""

from __future__ import annotations

import shlex
from pathlib import Path

from ftrun.errors import ExperimentError, Problem
from ftrun.execution.finding import find_run, tracking_of
from ftrun.execution.watcher import Watcher
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_history
from ftrun.tracking.fetching import fetch, is_of_mlflow, run_id_in
from ftrun.tracking.state import read_state
from ftrun.tracking.target import target_uri, uri_around, with_credentials


def find_or_fetch(target: str, runs_folder: Path, watcher: Watcher) -> RunFolder:
    """The run that is meant, and its model is there: here, or fetched from MLflow.

    Args:
        target: Its folder, its name, MLflow's name or id of it, `runs:/ID/model` or `models:/NAME/VERSION`.
        runs_folder: Where runs are looked for.
        watcher: Sees it fetched.

    Raises:
        ExperimentError: If there is none, or it has no model.
        RunError: If MLflow is out of reach.
    """
    run = _run_here(target, runs_folder)
    if run and run.model.is_dir():
        return run
    if run is None:
        with watcher:
            return fetch(target, watcher.fetching)
    run_id = read_state(run).run_id
    if run_id is None or read_history(run).status != "FINISHED":
        raise ExperimentError(_without_model(run))
    with watcher:
        return fetch(run_id, watcher.fetching, _uri_of(run))


def _run_here(target: str, runs_folder: Path) -> RunFolder | None:
    """The run that is meant, by its folder; None if MLflow is to be asked."""
    if not is_of_mlflow(target):
        return find_run(target, runs_folder)
    run_id = run_id_in(target)
    try:
        return None if run_id is None else find_run(run_id, runs_folder)
    except ExperimentError:
        return None


def _uri_of(run: RunFolder) -> str | None:
    uri = tracking_of(run).get("uri")
    return target_uri(read_state(run), uri, with_credentials(uri) if uri else uri_around())


def _without_model(run: RunFolder) -> Problem:
    checkpoints = sorted(run.checkpoints.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
    name = f"name one of its checkpoints: {checkpoints[-1]}" if checkpoints else ""
    if read_history(run).status == "FINISHED":
        message = f"the run {run.name} has no model: {run.model} is gone, and MLflow has not got the run"
        return Problem(message, hint=f"Put it back{f', or {name}' if name else ''}.")
    goes_on = run.is_held()
    ways = ["Wait for it" if goes_on else f"Go on with it: ftrun resume {shlex.quote(run.name)}", name]
    why = "it is still going on" if goes_on else "it has not come to its end"
    return Problem(f"the run {run.name} has no model: {why}", hint=f"{'; or '.join(filter(None, ways))}.")
