"""What a run's folder can do without."""

from __future__ import annotations

import os
from pathlib import Path

from ftrun.runs.folder import RunFolder
from ftrun.runs.leftovers import leftovers, remove, whole_checkpoints


def test_checkpoints_and_parts_are_told_apart_and_removed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for name in ("checkpoint-1", "checkpoint-2", ".checkpoint-3.partial", ".checkpoint-0.removed"):
        (folder.checkpoints / name).mkdir(parents=True)
        (folder.checkpoints / name / "weights").write_text("1")
    (folder.uploads / ".checkpoint-4.removed").mkdir(parents=True)
    (folder.uploads / "checkpoint-4").mkdir()
    for name in (".experiment.toml.123", ".mlflow.json.456", ".lock", ".mlflow.lock", "experiment.toml"):
        (tmp_path / name).write_text("")
    os.utime(tmp_path / ".experiment.toml.123", (1, 1))
    assert [path.name for path in whole_checkpoints(folder)] == ["checkpoint-1", "checkpoint-2"]
    parts = [path.name for path in leftovers(folder)]
    assert parts == [".experiment.toml.123", ".checkpoint-0.removed", ".checkpoint-3.partial", ".checkpoint-4.removed"]
    assert remove([*whole_checkpoints(folder), *leftovers(folder)]) == []
    assert list(folder.checkpoints.iterdir()) == []
    assert [path.name for path in folder.uploads.iterdir()] == ["checkpoint-4"]
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {
        ".mlflow.json.456", ".lock", ".mlflow.lock", "experiment.toml"
    }  # fmt: skip


def test_a_link_goes_and_not_what_it_leads_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = tmp_path / "checkpoint-1"
    link.symlink_to(elsewhere)
    assert remove([link, tmp_path / "gone already"]) == []
    assert elsewhere.is_dir() and not link.is_symlink()
