"""The checkpoints that MLflow is to have: kept aside, whatever `save_total_limit` removes, until it has them."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from ftrun.contracts import BuiltModel, Splits
from ftrun.execution.model_facts import model_facts
from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.history import read_evaluations
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.records import TABLES_TAG, ArtifactRecord, CheckpointRecord, ModelRecord, Record, TagsRecord
from ftrun.tracking.mlmodel import model_files

log = logging.getLogger(__name__)

Policy = Literal["none", "best", "last", "all"]


class Uploads:
    """Offers checkpoints to MLflow as they are published.

    Args:
        journal: The run's; folder: the run's.
        policy: Which ones.
        built: The model, and its tokenizer; splits: what it learns from.
    """

    def __init__(self, journal: Journal, folder: RunFolder, policy: Policy, built: BuiltModel, splits: Splits) -> None:
        self._journal = journal
        self._folder = folder
        self._policy = policy
        self._facts: Callable[[str, int, Path], ModelRecord | str] = lambda path, step, made: model_facts(
            path, step, built, splits, made
        )

    def offer(self, step: int, checkpoint: Path, is_best: bool) -> None:
        """A checkpoint is published; is it one for MLflow, its model is kept aside, and the journal says so.

        Args:
            step: The optimizer steps before it.
            checkpoint: Its folder.
            is_best: Whether no evaluation so far was better.
        """
        if self._policy == "none" or (self._policy == "best" and not is_best):
            return
        aside = self._folder.uploads / checkpoint.name
        facts = self._facts(aside.relative_to(self._folder.path).as_posix(), step, checkpoint)
        if isinstance(facts, str):  # said at the end, of the model
            return
        try:
            if self._policy != "all":
                _remove_all(self._folder.uploads)
            _keep(checkpoint, aside)
        except OSError as error:  # which is no reason to end a training
            log.warning("%s is not kept for MLflow: %s", checkpoint.name, error)
            return
        named = {**vars(facts), "name": checkpoint.name, "supersedes": self._policy != "all"}
        self._journal.append(ModelRecord(**named))


def record_checkpoints(journal: Journal, folder: RunFolder) -> None:
    """Every checkpoint that was written as a row of a table, in the form that MLflow shows as one.

    There stand the step, the numbers of its evaluation, its folder, which `save_total_limit` may have removed, and what
    MLflow calls the model that holds its weights.
    """
    told = (entry.record for entry, _ in read_journal(folder.journal))
    records = [record for record in told if isinstance(record, (CheckpointRecord, ModelRecord, TagsRecord))]
    folders = {record.step: record.folder for record in records if isinstance(record, CheckpointRecord)}
    if not folders:
        return
    models: dict[int | None, str] = {}
    for record in records:
        if isinstance(record, ModelRecord):
            models = {} if record.supersedes else models
            models[record.step] = record.name
    path = folder.checkpoint_table
    write_whole(path, json.dumps(_table(folder, folders, models), allow_nan=False))
    journal.append(ArtifactRecord(path.name))
    shown = [{"path": path.name, "type": "table"}, *(table for table in _tables(records) if table["path"] != path.name)]
    journal.append(TagsRecord({TABLES_TAG: json.dumps(shown)}))


def _tables(records: Sequence[Record]) -> list[dict[str, str]]:
    """The tables that MLflow has been told of."""
    told = [
        record.tags[TABLES_TAG] for record in records if isinstance(record, TagsRecord) and TABLES_TAG in record.tags
    ]
    tables: list[dict[str, str]] = json.loads(told[-1]) if told else []
    return tables


def _table(folder: RunFolder, folders: dict[int, str], models: dict[int | None, str]) -> dict[str, Any]:
    evaluations = {
        step: {point.key: point.value for point in points} for step, points in read_evaluations(folder).items()
    }
    keys = list(dict.fromkeys(key for step in folders for key in evaluations.get(step, {})))
    data = []
    for step, name in sorted(folders.items()):
        numbers = [evaluations.get(step, {}).get(key) for key in keys]
        finite = [number if number is not None and abs(number) < float("inf") else None for number in numbers]
        data.append([step, *finite, f"{folder.checkpoints.name}/{name}", models.get(step)])
    return {"columns": ["step", *keys, "folder", "model"], "data": data}


def _keep(checkpoint: Path, aside: Path) -> None:
    """Hold the files of a checkpoint's model by names of their own, which takes no room on the disk."""
    _remove(aside)
    aside.mkdir(parents=True)
    for file in model_files(checkpoint):
        try:
            os.link(file, aside / file.name)
        except OSError:  # a file system without links
            shutil.copy2(file, aside / file.name)


def _remove_all(uploads: Path) -> None:
    """What was to be uploaded, and is superseded before it was."""
    for aside in list(uploads.glob("*")):
        _remove(aside)


def _remove(aside: Path) -> None:
    """Never half of it under its own name: whoever uploads it finds all of it, or nothing."""
    if aside.exists():
        gone = aside.with_name(f".{aside.name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        aside.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
