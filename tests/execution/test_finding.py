"""Which run is meant, and which were killed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.errors import ExperimentError
from helpers import Ftrun, died_after

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


@pytest.mark.parametrize("target", ["name", "folder", "file", "id"])
def test_a_run_is_found_by(tiny: Path, target: str) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "tiny-died")
    shutil.rmtree(undisturbed.run_folder)
    (folder / "mlflow.json").write_text('{"run_id": "0123456789abcdef"}')
    called = {"name": folder.name, "folder": str(folder), "file": "tiny.toml", "id": "0123456789abcdef"}[target]
    if target == "file":
        with pytest.raises(ExperimentError, match="To go on with what was begun: ftrun resume tiny-died"):
            ftrun.resume(called, overrides={"seed": 2}, progress=False)
    settings = SAVING if target == "file" else {}
    assert ftrun.resume(called, overrides=settings, progress=False).run_folder == folder


def test_what_is_not_there_is_told(tiny: Path, ftrun_command: Ftrun) -> None:
    result = run(tiny, {"training.max_steps": 1})
    for target, sentence in {
        result.run[:-1] + "x": f"Did you mean {result.run}?",
        "tiny.toml": "there is nothing to resume of tiny.toml: every run of it here is finished",
        "elsewhere.toml": "elsewhere.toml",
    }.items():
        done = ftrun_command("resume", target)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    done = ftrun_command("resume", result.run)
    assert done.returncode == 0 and "is finished; there is nothing to resume" in done.stderr
