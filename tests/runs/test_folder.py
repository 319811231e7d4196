"""A run's folder: its own, and one process's at a time."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from filelock import FileLock
from ftrun.errors import RunError
from ftrun.runs.folder import RunFolder, write_whole
from helpers import Begin, died_after
from hypothesis import given
from hypothesis import strategies as st

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def test_a_run_that_goes_on_is_not_gone_on_with(
    tiny: Path, begin_python: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "held")
    code = f"import pathlib, time, ftrun.runs.folder\nwith ftrun.runs.folder.RunFolder(pathlib.Path({str(folder)!r})).locked(): print('held', flush=True); time.sleep(60)"
    Path("holder.py").write_text(code)
    holder = begin_python("holder")
    assert holder.stdout and holder.stdout.readline() == "held\n"
    acquire = FileLock.acquire
    monkeypatch.setattr(FileLock, "acquire", lambda lock, timeout: acquire(lock, timeout=timeout / 20))
    with pytest.raises(RunError, match="is going on in another process"):
        ftrun.resume(folder, progress=False)


def test_runs_started_at_once_have_folders_of_their_own(tmp_path: Path) -> None:
    assert len({RunFolder.create(tmp_path, "e").name for _ in range(50)}) == 50


def test_a_small_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", "one")
    write_whole(tmp_path / "a.json", "two")
    assert (tmp_path / "a.json").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_named_after_its_experiment_and_the_moment(workdir: Path) -> None:
    folder = RunFolder.create(Path("runs"), "mrpc")
    assert re.fullmatch(r"mrpc-\d{8}T\d{6}Z-[0-9a-f]{6}", folder.name)
    assert folder.path.is_absolute() and folder.path == workdir / "runs" / folder.name


def test_all_that_a_run_keeps_is_below_its_folder(workdir: Path) -> None:
    folder = RunFolder(workdir)
    kept = [folder.experiment, folder.journal, folder.log, folder.model, folder.tracking_state, folder.checkpoints]
    assert {path.parent for path in [*kept, folder.predictions_folder]} == {workdir}
    assert folder.predictions("validation") == workdir / "predictions" / "validation.json"


def test_a_folder_that_cannot_be_made_is_told_with_the_reason(workdir: Path) -> None:
    Path("runs").write_text("a file")
    with pytest.raises(RunError, match=r"the run folder /.*/runs/mrpc-.* cannot be made: Not a directory"):
        RunFolder.create(Path("runs"), "mrpc")


def test_a_run_is_one_holders_at_a_time_and_free_when_it_is_over(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with folder.locked(), pytest.raises(RunError, match="is going on in another process"), folder.locked(0.0):
        raise AssertionError
    with folder.locked(0.0):
        pass


def test_a_run_that_failed_is_free_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunFolder(tmp_path).locked():
        raise ZeroDivisionError
    with RunFolder(tmp_path).locked(0.0):
        pass


def test_a_folder_that_is_a_file_cannot_be_held_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(RunError, match=r"cannot be written: "), RunFolder(tmp_path / "run").locked(0.0):
        raise AssertionError


@given(st.text().filter(lambda text: "\r" not in text and text.isprintable()))
def test_what_is_written_whole_is_read_back(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_whole(Path(folder) / "a.json", text)
        assert (Path(folder) / "a.json").read_text(encoding="utf-8") == text


def test_a_small_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    write_whole(tmp_path / "a.json", "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(tmp_path / "a.json", "new \ud800")
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_run_is_held_by_whoever_runs_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert not folder.is_held()
    with folder.locked():
        assert folder.is_held()
    assert not folder.is_held() and not RunFolder(tmp_path / "nowhere").is_held()
