"""A run's model on the Hub: the model, its tokenizer and a card made of the record; only where a person said so."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Mapping
from pathlib import Path

from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.execution.finding import recorded_experiment, tracking_of
from ftrun.planning.experiment import PushSettings, load_experiment
from ftrun.runs.card import model_card
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import glance_at
from ftrun.runs.history import read_history
from ftrun.runs.journal import Journal
from ftrun.runs.records import PUSHED_TAG, TagsRecord
from ftrun.settings import validate
from ftrun.tracking.feeder import deliver_later
from ftrun.tracking.fetching import is_fetched
from ftrun.upload import Uploaded, obstacle, upload

log = logging.getLogger(__name__)

CARD = "README.md"


def push_settings(folder: RunFolder, repo: str | None = None, public: bool = False) -> PushSettings:
    """Where the model of a run goes.

    Args:
        folder: The run's.
        repo: Another repository than the one that the run was begun with.
        public: Whether anybody may see it, whatever the run was begun with.

    Raises:
        ExperimentError: If neither names one, or it is no name of one.
        RunError: If its journal cannot be read.
    """
    tables = load_experiment(recorded_experiment(folder, read_history(folder))).tables
    table = {
        **tables.get("push", {}),
        **({} if repo is None else {"repo": repo}),
        **({"private": False} if public else {}),
    }
    settings, problems = validate(PushSettings, table, "push")
    if settings is None:
        raise ExperimentError(*problems)
    if settings.repo is None:
        hint = f"Say it: ftrun push {shlex.quote(folder.name)} --repo USER/NAME."
        raise ExperimentError(Problem(f"the run {folder.name} names no repository to push to", "push.repo", hint))
    return settings


def foreseen(settings: PushSettings) -> str | None:
    """What a person should know before training, where the model is to be pushed and that cannot be; else None."""
    problem = obstacle() if settings.repo else None
    return None if problem is None else f"as things are, the model will not be pushed: {' '.join(str(problem).split())}"


def push(folder: RunFolder, settings: PushSettings) -> Uploaded:
    """Put the model of a run into its repository.

    Raises:
        RunError: If the run has no model, or the Hub does not take it.
    """
    if read_history(folder).status != "FINISHED":
        hint = f"To finish it: ftrun resume {shlex.quote(folder.name)}."
        raise RunError(Problem(f"the run {folder.name} is not finished, and has no trained model yet", hint=hint))
    files = files_of(folder)
    if not files:
        raise RunError(f"the run {folder.name} has no model to push: {folder.model} is gone or empty")
    assert settings.repo is not None
    message = f"The model of the run {folder.name}"
    return upload(settings.repo, {**files, CARD: model_card(folder).encode()}, message, settings.private)


def record_push(folder: RunFolder, uploaded: Uploaded) -> None:
    """Put on a run's record where its model was pushed to; for whoever holds the run.

    Raises:
        RunError: If the journal cannot be written.
    """
    where = f"{uploaded.repo_id}@{uploaded.commit}"
    if glance_at(folder).pushed == where:
        return
    journal = Journal(folder.journal)
    journal.append(TagsRecord({PUSHED_TAG: where}))
    journal.close()


def remember_push(folder: RunFolder, uploaded: Uploaded) -> str | None:
    """Put on the record of a run that nobody holds where its model was pushed to, and tell MLflow.

    Returns:
        What a person should know of it, in a sentence.

    Raises:
        RunError: If another process has the run, or the journal cannot be written.
    """
    if is_fetched(folder):
        return "that is on no record: the run's own folder is not here"
    with folder.locked():
        record_push(folder, uploaded)
    tracking = tracking_of(folder)
    if tracking.get("enabled", True):
        deliver_later(folder, tracking.get("uri"))
    return None


def files_of(folder: RunFolder) -> Mapping[str, Path]:
    """The files of a run's model and tokenizer by their paths in the repository."""
    found = (path for path in folder.model.rglob("*") if path.is_file())
    return {path.relative_to(folder.model).as_posix(): path for path in found}


def pushed_sentence(uploaded: Uploaded) -> str:
    """Where the model is now."""
    seen = ", where anybody can see it" if uploaded.is_public else ""
    where = f"the model is at {uploaded.url} at commit {uploaded.commit[:12]}{seen}"
    return where if uploaded.is_new else f"nothing has changed: {where}"


def push_finished(folder: RunFolder, settings: PushSettings) -> str:
    """Push the model of a run that has just finished; a sentence about it, however that went: the run is as it is."""
    later = f"to push it later: ftrun push {shlex.quote(folder.name)}"
    try:
        uploaded = push(folder, settings)
    except KeyboardInterrupt:
        return f"the push was interrupted; {later}"
    except Exception as error:  # nothing that happens to a copy is the run's failure
        log.info("the model is not pushed", exc_info=True)
        return f"the model is not pushed: {' '.join(str(error).split())} ({later})"
    try:
        record_push(folder, uploaded)
    except RunError as error:  # a full disk
        return f"{pushed_sentence(uploaded)}; that is on no record: {error}"
    return pushed_sentence(uploaded)
