"""The process that draws, as the run sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.pictures.artist import Artist
from ftrun.pictures.subject import Drawn, Subject
from ftrun.runs.folder import RunFolder

SUBJECT = Subject("classification", [f"class {place}" for place in range(10_000)])  # more than a pipe holds


@pytest.fixture
def folder(workdir: Path) -> RunFolder:
    return RunFolder.create(workdir / "runs", "tiny")


def test_it_draws_while_the_run_goes_on(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "none that there is")
    assert Artist(folder, SUBJECT).finish(120) == Drawn([], [], True)
    assert [path.name for path in folder.pictures.iterdir()] == ["loss.png"]


def test_what_takes_too_long_is_ended_and_leaves_nothing(folder: RunFolder) -> None:
    (folder.path / ".pictures.1").mkdir()
    artist = Artist(folder, SUBJECT)
    assert artist.finish(0.0) is None and artist._process.returncode is not None
    assert [path.name for path in folder.path.glob("*pictures*")] == []


def test_a_process_that_fails_has_drawn_nothing(folder: RunFolder) -> None:
    (folder.path / ".pictures.").write_text("")
    folder.journal.mkdir()
    assert Artist(folder, SUBJECT).finish(120) is None
    assert "IsADirectoryError" in folder.log.read_text() and not folder.pictures.exists()
