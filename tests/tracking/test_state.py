"""What is remembered of a run's way to MLflow, and how far MLflow has it."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import ftrun
import pytest
from ftrun.errors import RunError
from ftrun.runs.folder import RunFolder
from ftrun.tracking.state import (
    Delivery,
    State,
    delivered_offset,
    delivery,
    read_state,
    remember_failure,
    write_state,
)
from helpers import TRACKED, Ftrun

pytestmark = pytest.mark.xdist_group("tracking")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"delivered": "all"}', "\0\0", '{"uri": 5}', '{"delivered": 1e30}', "[" * 99999]
)
def test_what_is_remembered_and_cannot_be_read_counts_as_nothing(workdir: Path, content: str) -> None:
    folder = RunFolder.create(workdir / "runs", "torn")
    folder.journal.write_text('{"type": "end", "time": 1, "status": "KILLED"}\n')
    folder.tracking_state.write_text(content)
    assert delivery(folder).pending == 1 and delivery(folder).run_id is None


@pytest.mark.slow
def test_runs_are_synced_beside_one_whose_state_cannot_be_read(tiny: Path, ftrun_command: Ftrun) -> None:
    torn = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    sound = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    for result in (torn, sound):
        (result.run_folder / "mlflow.json").write_bytes(b"\xff{" if result is torn else b"{}")
    done = ftrun_command("sync")
    assert done.returncode == 0, done.stderr
    for result in (torn, sound):
        assert f"{result.run}: all of it is in MLflow, as {result.run_id}" in done.stdout
    assert done.stderr == f"{torn.run}: {torn.run_folder / 'mlflow.json'} cannot be read; delivered anew\n"
    again = ftrun_command("sync", torn.run)
    assert again.returncode == 0 and again.stderr == ""


def test_what_is_remembered_reads_as_it_was_written_without_secrets(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    state = State("http://me:secret@host/", "/here", "1", "0123", 5, "refused by http://me:secret@host/", "model")
    write_state(folder, state)
    hidden = replace(state, uri="http://***@host/", error="refused by http://***@host/")
    assert read_state(folder) == hidden
    assert json.loads(folder.tracking_state.read_text()) == asdict(hidden)
    folder.journal.write_text("")
    assert delivery(folder) == Delivery("http://host/", "0123", 0, hidden.error, "model")


def test_what_an_earlier_version_remembered_is_read(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    facts = '{"uri": "sqlite:///a.db", "working_folder": "/here", "run_id": "0123", "experiment_id": "1", "doing": null'
    folder.tracking_state.write_text(facts + ', "delivered": 7, "error": null, "more": "of another version"}\n')
    assert read_state(folder) == State("sqlite:///a.db", "/here", "1", "0123", 7)


def test_what_is_not_known_yet_is_not_written(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    write_state(folder, State(uri="sqlite:///a.db"))
    facts = json.loads(folder.tracking_state.read_text())
    assert facts == {"uri": "sqlite:///a.db", "delivered": 0, "error": None, "doing": None}


@pytest.mark.parametrize(("remembered", "found"), [(-5, 0), (0, 0), (4, 0), (5, 5), (10, 10), (11, 0)])
def test_a_place_that_is_not_between_two_records_is_the_beginning(workdir: Path, remembered: int, found: int) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    folder.journal.write_text("1234\n" * 2)
    assert delivered_offset(folder, State(delivered=remembered)) == found


@pytest.mark.parametrize(
    ("error", "told"), [(RunError("it is full"), "it is full"), (OSError("away"), "OSError: away")]
)
def test_a_failure_is_in_the_log_and_remembered_and_the_rest_stays(workdir: Path, error: Exception, told: str) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    write_state(folder, State(run_id="0123", delivered=5))
    remember_failure(folder, error)
    assert read_state(folder) == State(run_id="0123", delivered=5, error=told)
    assert told in folder.log.read_text()
