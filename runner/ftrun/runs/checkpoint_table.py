"""The table of every checkpoint that a run has written, in the form that MLflow shows as one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.history import read_evaluations
from ftrun.runs.journal import Journal, read_current
from ftrun.runs.records import (
    MODEL_NAME,
    TABLES_TAG,
    ArtifactRecord,
    CheckpointRecord,
    ModelRecord,
    Record,
    TagsRecord,
)


def record_checkpoints(journal: Journal, folder: RunFolder) -> None:
    """Every checkpoint that was written as a row.

    There stand the step, the numbers of its evaluation, its folder, which `save_total_limit` may have removed, and what
    MLflow calls the model that holds its weights.

    Raises:
        OSError: If the table cannot be written.
        RunError: If the journal cannot be.
    """
    told = (entry.record for entry, _ in read_current(folder.journal))
    records = [record for record in told if isinstance(record, (CheckpointRecord, ModelRecord, TagsRecord))]
    folders = {record.step: record.folder for record in records if isinstance(record, CheckpointRecord)}
    if not folders:
        return
    path = folder.checkpoint_table
    write_whole(path, json.dumps(_table(folder, folders, _models(records)), allow_nan=False))
    journal.append(ArtifactRecord(path.name))
    shown = [{"path": path.name, "type": "table"}, *(table for table in _tables(records) if table["path"] != path.name)]
    journal.append(TagsRecord({TABLES_TAG: json.dumps(shown)}))


def _models(records: Sequence[Record]) -> Mapping[int | None, str]:
    """What MLflow calls the model of each step; the run's own takes the place of the checkpoint of its step."""
    checkpoints: dict[int | None, str] = {}
    own: dict[int | None, str] = {}
    for record in records:
        match record:
            case ModelRecord(name=name, step=step) if name == MODEL_NAME:
                own = {step: name}
            case ModelRecord(name=name, step=step):
                checkpoints = {**({} if record.supersedes else checkpoints), step: name}
    return {**checkpoints, **own}


def _tables(records: Sequence[Record]) -> list[dict[str, str]]:
    """The tables that MLflow has been told of."""
    told = [
        record.tags[TABLES_TAG] for record in records if isinstance(record, TagsRecord) and TABLES_TAG in record.tags
    ]
    tables: list[dict[str, str]] = json.loads(told[-1]) if told else []
    return tables


def _table(folder: RunFolder, folders: Mapping[int, str], models: Mapping[int | None, str]) -> dict[str, Any]:
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
