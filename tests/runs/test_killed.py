"""How a run ended whose process is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_history
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.killed import mark_if_killed
from ftrun.runs.records import ArtifactRecord, EndRecord, RunRecord, TagsRecord

RUN = {"type": "run", "time": 1, "experiment_name": "tiny", "params": {}, "tags": {"ftrun.run": "tiny-1"}}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def journal(folder: RunFolder, *records: dict[str, Any]) -> None:
    folder.journal.write_text("".join(json.dumps(record) + "\n" for record in records))


def metrics(step: int) -> dict[str, Any]:
    return {"type": "metrics", "time": 1, "step": step, "values": {"train/loss": 0.5}}


def end(status: str) -> dict[str, Any]:
    return {"type": "end", "time": 1, "status": status}


def test_a_run_that_was_killed_has_the_table_of_its_checkpoints(folder: RunFolder) -> None:
    journal(folder, RUN, metrics(1), {"type": "checkpoint", "time": 1, "step": 1, "folder": "checkpoint-1"})
    assert mark_if_killed(folder)
    (row,) = json.loads(folder.checkpoint_table.read_text())["data"]
    assert row == [1, "checkpoints/checkpoint-1", None]
    told = [entry.record for entry, _ in read_journal(folder.journal)]
    assert ArtifactRecord("checkpoints.json") in told and told[-1] == EndRecord("KILLED")


def test_a_table_that_cannot_be_written_leaves_it_its_end(folder: RunFolder) -> None:
    journal(folder, RUN, {"type": "checkpoint", "time": 1, "step": 1, "folder": "checkpoint-1"})
    folder.checkpoint_table.mkdir()
    assert mark_if_killed(folder) and read_history(folder).status == "KILLED"


def test_a_run_whose_process_is_gone_was_killed_after_its_last_step(folder: RunFolder) -> None:
    journal(folder, RUN, metrics(1), metrics(2))
    assert mark_if_killed(folder)
    assert read_history(folder).status == "KILLED"
    (told,) = [entry.record.tags for entry, _ in read_journal(folder.journal) if isinstance(entry.record, TagsRecord)]
    note = told.pop("mlflow.note.content")
    assert note.startswith("Killed outright, after step 2.\n\nTo go on:") and f"    ftrun resume {folder.path}" in note
    assert told == {"ftrun.error": "killed outright, after step 2"}
    assert not mark_if_killed(folder), "it is marked once"


def test_a_description_of_somebodys_own_stays(folder: RunFolder) -> None:
    journal(folder, {**RUN, "tags": {"mlflow.note.content": "mine", "mlflow.runName": "loop s1 abc"}}, metrics(1))
    assert mark_if_killed(folder) and read_history(folder).display_name == "loop s1 abc"
    (told,) = [entry.record.tags for entry, _ in read_journal(folder.journal) if isinstance(entry.record, TagsRecord)]
    assert set(told) == {"ftrun.error"}


def test_a_run_that_is_going_on_is_not_killed(folder: RunFolder) -> None:
    journal(folder, RUN, metrics(1))
    with folder.locked():
        assert not mark_if_killed(folder)
    assert read_history(folder).status is None


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_that_has_ended_stays_as_it_ended(folder: RunFolder, status: str) -> None:
    journal(folder, RUN, end(status))
    before = folder.journal.read_bytes()
    assert not mark_if_killed(folder) and folder.journal.read_bytes() == before


def test_a_run_that_never_began_is_none_that_was_killed(folder: RunFolder) -> None:
    for records in ([], [metrics(1)]):
        journal(folder, *records)
        assert not mark_if_killed(folder)


def test_a_journal_that_is_gone_or_damaged_is_let_alone(folder: RunFolder) -> None:
    assert not mark_if_killed(folder)
    damaged = json.dumps(RUN) + "\n{torn\n" + json.dumps(metrics(1)) + "\n"
    folder.journal.write_text(damaged)
    assert not mark_if_killed(folder) and folder.journal.read_text() == damaged


def test_an_end_that_was_cut_short_is_no_end(workdir: Path) -> None:
    journal = Journal(workdir / "journal.jsonl")
    journal.append(RunRecord("x", {}, {"ftrun.run": "x"}))
    journal.close()
    with journal.path.open("a") as file:
        file.write('{"type": "end", "ti')
    assert mark_if_killed(RunFolder(workdir))
    assert read_history(RunFolder(workdir)).status == "KILLED"
    assert not mark_if_killed(RunFolder(workdir))
