"""A run's folder: its own, and one process's at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from filelock import FileLock
from ftrun.errors import RunError
from helpers import Begin, died_after

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
