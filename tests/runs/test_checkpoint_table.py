"""Every checkpoint of a run is a row of a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.runs.checkpoint_table import record_checkpoints
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.records import TABLES_TAG, ArtifactRecord, TagsRecord

SHOWN = {"type": "tags", "tags": {TABLES_TAG: '[{"path": "predictions/validation.json", "type": "table"}]'}}


def checkpoint(step: int) -> dict[str, Any]:
    return {"type": "checkpoint", "step": step, "folder": f"checkpoint-{step}"}


def model(step: int, name: str, supersedes: bool = False) -> dict[str, Any]:
    return {
        "type": "model", "path": "model", "step": step, "task": "classification", "texts": ["a"], "max_length": None,
        "architecture": "A", "tokenizer": "T", "versions": {}, "example": ["x"], "name": name, "supersedes": supersedes,
    }  # fmt: skip


def evaluated(step: int, value: float) -> dict[str, Any]:
    return {"type": "metrics", "step": step, "values": {"eval/f1": value, "train/loss": 1.0}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def rows(folder: RunFolder, *records: dict[str, Any]) -> list[list[Any]]:
    folder.journal.write_text("".join(json.dumps({"time": 1, **record}) + "\n" for record in records))
    journal = Journal(folder.journal)
    record_checkpoints(journal, folder)
    journal.close()
    told: list[list[Any]] = json.loads(folder.checkpoint_table.read_text())["data"]
    return told


def test_a_row_has_the_numbers_of_its_step(folder: RunFolder) -> None:
    assert rows(folder, evaluated(2, 0.5), checkpoint(2), checkpoint(4), evaluated(4, float("inf"))) == [
        [2, 0.5, "checkpoints/checkpoint-2", None],
        [4, None, "checkpoints/checkpoint-4", None],
    ]


@pytest.mark.parametrize("supersedes", [False, True])
def test_a_row_has_the_model_that_holds_its_weights(folder: RunFolder, supersedes: bool) -> None:
    """Whichever of a step's two is told first, the run's own stays."""
    last = [model(4, "model"), model(4, "checkpoint-4", supersedes)]
    for order in (last, last[::-1]):
        told = rows(folder, checkpoint(2), model(2, "checkpoint-2", supersedes), checkpoint(4), *order)
        assert [row[-1] for row in told] == [None if supersedes else "checkpoint-2", "model"]


def test_mlflow_shows_it_beside_the_other_tables(folder: RunFolder) -> None:
    rows(folder, checkpoint(2), SHOWN)
    *_, artifact, tags = [entry.record for entry, _ in read_journal(folder.journal)]
    assert artifact == ArtifactRecord("checkpoints.json") and isinstance(tags, TagsRecord)
    assert [table["path"] for table in json.loads(tags.tags[TABLES_TAG])] == [
        "checkpoints.json",
        "predictions/validation.json",
    ]


def test_a_run_without_checkpoints_has_no_table(folder: RunFolder) -> None:
    folder.journal.touch()
    journal = Journal(folder.journal)
    record_checkpoints(journal, folder)
    journal.close()
    assert not folder.checkpoint_table.exists() and not folder.journal.read_text()
