"""A checkpoint has its name only when all of it is on the disk."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import RunError
from ftrun.runs.checkpoints import Checkpoint, Checkpoints, damage_of, newest_whole, sync_folder
from hypothesis import example, given, settings
from hypothesis import strategies as st

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="what a descriptor stands for is read from /proc"
)


def synced_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that is given the name of everything that is synced to disk from now on."""
    told: list[str] = []
    fsync = os.fsync

    def synced(descriptor: int) -> None:
        told.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    return told


def write(folder: Path, *steps: int, limit: int | None = None) -> None:
    """Publish small checkpoints, each with two files."""
    checkpoints = Checkpoints(folder, limit, lambda checkpoint: None)
    for step in steps:
        with checkpoints.writing(step) as written:
            (written / "model.safetensors").write_bytes(b"weights")
            (written / "optimizer.pt").write_bytes(b"moments")
    checkpoints.close()


@needs_proc
def test_everything_is_on_disk_before_a_checkpoint_has_its_name(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = synced_names(monkeypatch)
    rename = Path.rename

    def renamed(path: Path, target: Path) -> Path:
        told.append(f"{path.name} -> {target.name}")
        return rename(path, target)

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
@example(1, [True, False])
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


@needs_proc
def test_a_folder_is_on_disk_with_all_that_is_in_it_and_with_its_name(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workdir / "run" / "model" / "deeper").mkdir(parents=True)
    for name in ("config.json", "deeper/weights"):
        (workdir / "run" / "model" / name).write_text("content")
    told = synced_names(monkeypatch)
    sync_folder(workdir / "run" / "model")
    assert sorted(told) == ["config.json", "deeper", "model", "run", "weights"]


def test_a_checkpoint_under_the_name_of_another_step_is_not_gone_on_from(workdir: Path) -> None:
    write(workdir, 7)
    shutil.copytree(workdir / "checkpoint-7", workdir / "checkpoint-9")
    checkpoint, skipped = newest_whole(workdir)
    assert checkpoint and checkpoint.step == 7
    assert skipped == ["checkpoint-9 is not whole: its manifest.json is that of step 7"]


def test_a_checkpoint_that_cannot_be_read_is_told_and_the_one_before_it_used(workdir: Path) -> None:
    write(workdir, 3, 4)
    weights = workdir / "checkpoint-4" / "model.safetensors"
    weights.unlink()
    weights.symlink_to(weights)
    checkpoint, (told,) = newest_whole(workdir)
    assert checkpoint and checkpoint.step == 3
    assert told.startswith("checkpoint-4 is not whole: model.safetensors cannot be read: ")


def test_a_folder_that_somebody_put_beside_the_checkpoints_is_none_and_stays(workdir: Path) -> None:
    for name in ("checkpoint-best", "checkpoint-2-copy"):
        (workdir / name).mkdir()
    write(workdir, 1, 2, limit=1)
    checkpoint, skipped = newest_whole(workdir)
    assert checkpoint and checkpoint.step == 2 and skipped == []
    assert {path.name for path in workdir.iterdir()} == {"checkpoint-2", "checkpoint-2-copy", "checkpoint-best"}


def test_a_kill_while_an_old_checkpoint_is_removed_leaves_no_part_of_one_under_its_name(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(folder: Path, **_: object) -> None:
        (folder / "manifest.json").unlink()

    monkeypatch.setattr(shutil, "rmtree", killed)
    write(workdir, 1, 2, limit=1)
    assert [path.name for path in workdir.glob("checkpoint-*")] == ["checkpoint-2"]


def test_a_checkpoint_that_could_not_be_published_is_told_before_the_next_is_written(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ftrun.checkpoints._sealed", full_disk)
    with pytest.raises(RunError, match=r"checkpoint-1 cannot be written: No space left on device"):
        write(workdir, 1, 2)


def test_the_best_one_counts_for_the_checkpoints_after_it_was_asked_for_alone(workdir: Path) -> None:
    checkpoints = Checkpoints(workdir, None, lambda checkpoint: None)
    for step in (4, 5):
        with checkpoints.writing(step, best_step=2) as written:  # which is not there
            (written / "model.safetensors").write_bytes(b"weights")
    checkpoints.close()
    checkpoint, skipped = newest_whole(workdir, best_after=4)
    assert checkpoint and checkpoint.step == 4
    assert skipped == [
        "checkpoint-5 is whole, but the best one before it, checkpoint-2, is not: it has no manifest.json"
    ]
    assert newest_whole(workdir)[0] == Checkpoint(5, workdir / "checkpoint-5")


@pytest.mark.parametrize(
    "altered",
    [
        *({"files": {"weights": 1}}, {"files": {"weights": {"sha256": "0"}}}, {"files": [1]}, {"files": None}),
        *({"step": "two"}, {"step": None}, {"best_step": "two"}, {"best_step": [1]}),
    ],
    ids=str,
)
def test_a_manifest_that_was_altered_is_told_and_the_checkpoint_before_it_used(workdir: Path, altered: Any) -> None:
    checkpoints = Checkpoints(workdir / "checkpoints", None, lambda checkpoint: None)
    for step in (1, 2):
        with checkpoints.writing(step) as folder:
            (folder / "weights").write_text(str(step))
    checkpoints.close()
    manifest = checkpoints.folder_of(2) / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **altered}))
    newest, skipped = newest_whole(workdir / "checkpoints", best_after=0)
    assert newest and newest.step == 1
    assert skipped == ["checkpoint-2 is not whole: its manifest.json cannot be read"]
