"""The pictures of a run: there when it has ended, in MLflow by path, and never its failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.execution.depiction import Depiction
from ftrun.pictures.artist import Artist
from ftrun.runs.folder import RunFolder
from helpers import TRACKED, journal_of, mlflow_client, run

DRAWN = {"tracking.pictures": True, "training.max_steps": 3}
TABLES = ["predictions/validation.json", "pictures/validation/per_class.json", "pictures/validation/wrong.json"]


def notices_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr("ftrun.execution.watcher.Watcher.notice", lambda self, sentence: told.append(sentence))
    return told


def test_they_are_on_record_before_the_end(tiny: Path) -> None:
    folder = run(tiny, DRAWN).run_folder
    assert (folder / "pictures" / "validation" / "confusion.png").exists()
    records = journal_of(folder)
    (place,) = [index for index, record in enumerate(records) if record.get("path") == "pictures"]
    tags = records[place + 1]
    assert records[-1]["type"] == "end"
    assert [shown["path"] for shown in json.loads(tags["tags"]["mlflow.loggedArtifacts"])] == TABLES


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_shows_them(tiny: Path) -> None:
    import mlflow.artifacts

    result = run(tiny, TRACKED | DRAWN)
    client = mlflow_client(result)
    assert "pictures/loss.png" in {found.path for found in client.list_artifacts(result.run_id, "pictures")}
    tags = client.get_run(result.run_id).data.tags
    assert [shown["path"] for shown in json.loads(tags["mlflow.loggedArtifacts"])] == TABLES
    for path in TABLES:
        uri = f"{client.get_run(result.run_id).info.artifact_uri}/{path}"
        assert set(json.loads(mlflow.artifacts.load_text(uri))) == {"columns", "data"}


def test_a_run_that_wants_none_has_none(tiny: Path) -> None:
    folder = run(tiny, {"training.max_steps": 3}).run_folder
    assert not (folder / "pictures").exists()


@pytest.mark.parametrize("fault", ["slow", "absent", "broken"])
def test_a_failure_to_draw_is_a_notice(tiny: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    told = notices_of(monkeypatch)
    if fault == "slow":
        monkeypatch.setattr("ftrun.execution.depiction.PATIENCE", 0.0)
    elif fault == "absent":
        monkeypatch.setattr("ftrun.pictures.artist.sys.executable", "/no/python")
    else:
        monkeypatch.setattr(Artist, "finish", lambda self, patience: self.abandon())
    folder = run(tiny, DRAWN).run_folder
    assert not list(folder.glob("*pictures*")) and not list(folder.glob(".pictures*"))
    assert any("drawn" in sentence for sentence in told)


def test_ctrl_c_ends_the_waiting_and_not_the_run(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Depiction, journal: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Depiction, "record", interrupted)
    folder = run(tiny, DRAWN).run_folder
    assert not list(folder.glob(".pictures*")) and journal_of(folder)[-1]["status"] == "FINISHED"


@pytest.mark.slow
def test_a_run_that_died_before_its_end_has_them_once_it_goes_on(tiny: Path) -> None:
    saving = {"training.save_strategy": "steps", "training.save_steps": 2}
    folder = run(tiny, DRAWN | saving).run_folder
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (place,) = [index for index, line in enumerate(lines) if '"path": "pictures"' in line]
    (folder / "journal.jsonl").write_text("".join(lines[:place]))
    (folder / "pictures" / "validation" / "old.png").write_text("of before")
    (folder / ".pictures.1").mkdir()
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FINISHED" and "pictures" in [record.get("path") for record in journal_of(folder)]
    assert RunFolder(folder).pictures.joinpath("loss.png").exists() and not list(folder.glob(".pictures*"))
    assert not (folder / "pictures" / "validation" / "old.png").exists()
