"""A run goes where it is already; else where its file says; else where the environment says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click.testing
import ftrun
import pytest
from ftrun.cli.sync import command as sync_command
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from ftrun.tracking.state import State, write_state
from ftrun.tracking.target import MissingCredentialsError, missing_credentials, target_uri
from helpers import TRACKED, died_after

KEPT, WHOLE, OTHER = "http://***@host/", "http://me:secret@host/", "sqlite:////other.db"


@pytest.mark.parametrize(
    ("state", "uri", "around", "target"),
    [
        (State(), None, "", None),
        (State(), None, OTHER, OTHER),
        (State(), WHOLE, OTHER, WHOLE),
        (State(), KEPT, WHOLE, WHOLE),
        (State(uri="sqlite:////a.db"), None, OTHER, OTHER),
        (State(uri="sqlite:////a.db", run_id="1"), None, OTHER, "sqlite:////a.db"),
        (State(uri=KEPT, run_id="1"), OTHER, WHOLE, WHOLE),
    ],
)
def test_a_run_goes_to(state: State, uri: str | None, around: str, target: str | None) -> None:
    assert target_uri(state, uri, around) == target


def test_credentials_that_nobody_has_are_asked_for(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingCredentialsError, match="is not on record"):
        target_uri(State(uri=KEPT, run_id="1"), None, OTHER)
    folder = RunFolder.create(workdir / "runs", "x")
    assert missing_credentials(folder, None) is None
    write_state(folder, State(uri=WHOLE, run_id="1"))
    told = missing_credentials(folder, None)
    assert told and "MLFLOW_TRACKING_URI to the whole URI, or to http://host/ with MLFLOW_TRACKING_USERNAME" in told
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    assert missing_credentials(folder, None) is None


@pytest.mark.slow
@pytest.mark.parametrize("where", ["file", "environment"])
def test_a_relative_store_is_the_same_one_from_another_folder(
    tiny: Path, new_store: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    uri = "sqlite:///sub/mlflow.db"
    (tiny.parent / "sub").mkdir()
    shutil.copy(new_store, tiny.parent / "sub")
    if where == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    overrides = TRACKED if where == "environment" else {**TRACKED, "tracking.uri": uri}
    result = ftrun.run(tiny, overrides={**overrides, "training.max_steps": 1}, progress=False)
    state = json.loads((result.run_folder / "mlflow.json").read_text())
    (result.run_folder / "mlflow.json").write_text(json.dumps({**state, "delivered": 0}))
    elsewhere = tiny.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    done = click.testing.CliRunner().invoke(sync_command, [str(result.run_folder)], standalone_mode=False)
    store = tiny.parent / "sub" / "mlflow.db"
    assert f"all of it is in MLflow, as {result.run_id} at sqlite:///{store}" in done.output
    assert list(elsewhere.iterdir()) == [] and result.tracking_uri == f"sqlite:///{store}"


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_resume_by_name_says_that_it_needs_credentials(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = "http://me:hunter2@127.0.0.1:9"
    overrides = {**TRACKED, "tracking.uri": whole, "training.save_strategy": "epoch"}
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 0.0)
    begun = ftrun.run(tiny, overrides=overrides, progress=False)
    told = "note: MLflow is not told: what *** stands for in http://***@127.0.0.1:9 is not on record; to have the run "
    ways = "delivered, set MLFLOW_TRACKING_URI to the whole URI, or to http://127.0.0.1:9 with MLFLOW_TRACKING_USERNAME"
    for name, environment in {"without": {}, "with": {"MLFLOW_TRACKING_URI": whole}}.items():
        folder = died_after(begun.run_folder, 6, name)
        capsys.readouterr()
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            assert ftrun.resume(name, overrides={"training.max_steps": 7}, allow_changes=True).status == "FINISHED"
        shown = "".join(capsys.readouterr())
        assert (told + ways in shown) == (name == "without"), shown
        assert ("is not told" in shown) == (name == "without") and "hunter2" not in shown
        assert "hunter2" not in (folder / "log.txt").read_text()


def test_credentials_are_asked_for_unless_the_environment_has_them(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(workdir / "runs", "late")
    record = {"type": "run", "time": 1, "experiment_name": "late", "params": {}, "tags": {}}
    folder.journal.write_text(json.dumps(record) + "\n")
    known = State(uri="http://***@127.0.0.1:9")
    write_state(folder, known)
    for around in ("", "http://***@127.0.0.1:9"):  # the latter is copied from what is shown
        monkeypatch.setenv("MLFLOW_TRACKING_URI", around)
        told = deliver(folder).error or ""
        assert told.startswith("what *** stands for in http://***@127.0.0.1:9 is not on record")
        assert "http://127.0.0.1:9 with MLFLOW_TRACKING_USERNAME" in told and told == missing_credentials(folder, None)
    whole = "http://me:hunter2@127.0.0.1:9"
    assert target_uri(known, None, whole) == whole
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "me")
            assert target_uri(known, None, "") == "http://127.0.0.1:9" and missing_credentials(folder, None) is None
