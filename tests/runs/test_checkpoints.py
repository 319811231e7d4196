"""A checkpoint has its name only when all of it is on the disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from ftrun.runs.checkpoints import Checkpoint, Checkpoints, damage_of
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="what a descriptor stands for is read from /proc")
def test_everything_is_on_disk_before_a_checkpoint_has_its_name(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        told.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        told.append(f"{path.name} -> {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    published: list[Checkpoint] = []
    checkpoints = Checkpoints(workdir / "checkpoints", None, published.append)
    with checkpoints.writing(7) as folder:
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "optimizer.pt").write_bytes(b"moments")
    checkpoints.close()
    assert [(one.step, damage_of(one.folder)) for one in published] == [(7, None)]
    aside = ".checkpoint-7.partial"
    named = f"{aside} -> checkpoint-7"
    before, after = told[: told.index(named)], told[told.index(named) + 1 :]
    assert sorted(before) == [aside, "manifest.json", "model.safetensors", "optimizer.pt"]
    assert before[-1] == aside and after == ["checkpoints"]


@settings(max_examples=25)
@given(st.integers(1, 4), st.lists(st.booleans(), min_size=1, max_size=7))
def test_as_many_are_kept_as_transformers_keeps(limit: int, better: list[bool]) -> None:
    from transformers.trainer_utils import rotate_checkpoints

    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder) / "theirs", Path(folder) / "ours"
        checkpoints = Checkpoints(ours, limit, lambda checkpoint: None)
        best = None
        for step, is_better in enumerate(better, start=1):
            best = step if is_better else best
            with checkpoints.writing(step, best) as written:
                (written / "model.safetensors").write_bytes(b"weights")
            (theirs / f"checkpoint-{step}").mkdir(parents=True)
            rotate_checkpoints(str(theirs), limit, str(theirs / f"checkpoint-{best}") if best else None)
        checkpoints.close()
        assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()}
