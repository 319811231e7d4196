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

    monkeypatch.setattr("ftrun.runs.checkpoints._sealed", full_disk)
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


def publish(folder: Path, *steps: int, best: int | None = None, **options: Any) -> Checkpoints:
    checkpoints = Checkpoints(folder, options.pop("limit", None), lambda checkpoint: None, **options)
    for step in steps:
        with checkpoints.writing(step, best) as written:
            (written / "weights.bin").write_bytes(b"weights")
    checkpoints.close()
    return checkpoints


def test_the_newest_whole_one_is_found_with_what_it_holds(workdir: Path) -> None:
    publish(workdir / "checkpoints", 1, 2, 10, format="trainer-1")
    found, skipped = newest_whole(workdir / "checkpoints")
    assert found == Checkpoint(10, workdir / "checkpoints" / "checkpoint-10", "trainer-1") and skipped == []


def test_where_there_is_none_none_is_found(workdir: Path) -> None:
    assert newest_whole(workdir / "checkpoints") == (None, [])
    (workdir / "checkpoints").mkdir()
    for other in ("checkpoint-", "checkpoint-x", "checkpoint--1", ".checkpoint-3.partial", "notes"):
        (workdir / "checkpoints" / other).mkdir()
    assert newest_whole(workdir / "checkpoints") == (None, [])


def test_one_that_is_whole_is_no_use_without_the_best_before_it_where_that_is_asked_for(workdir: Path) -> None:
    folder = workdir / "checkpoints"
    publish(folder, 1, 2, 3, best=2)
    (folder / "checkpoint-2" / "weights.bin").write_bytes(b"another")
    assert newest_whole(folder)[0] == Checkpoint(3, folder / "checkpoint-3")
    found, skipped = newest_whole(folder, best_after=0)
    assert found is None and skipped[0] == (
        "checkpoint-3 is whole, but the best one before it, checkpoint-2, is not: weights.bin was altered"
    )
    assert newest_whole(folder, best_after=3)[0] == Checkpoint(3, folder / "checkpoint-3")


def test_a_block_that_raises_publishes_nothing_and_leaves_nothing(workdir: Path) -> None:
    checkpoints = Checkpoints(workdir / "checkpoints", None, lambda checkpoint: None)
    with pytest.raises(ZeroDivisionError), checkpoints.writing(1):
        raise ZeroDivisionError
    checkpoints.close()
    assert list((workdir / "checkpoints").iterdir()) == []


def test_a_disk_that_is_full_is_told_with_what_there_is_to_resume_from(workdir: Path) -> None:
    folder = workdir / "checkpoints"
    checkpoints = publish(folder, 4)
    told = r"checkpoint-5 cannot be written: No space left.*; checkpoint-4 is whole"
    with pytest.raises(RunError, match=told), checkpoints.writing(5):
        raise OSError(28, "No space left on device")


def test_what_a_killed_process_left_is_removed_when_the_run_goes_on(workdir: Path) -> None:
    folder = workdir / "checkpoints"
    publish(folder, 1, 2, 3)
    (folder / ".checkpoint-4.partial").mkdir()
    publish(folder, 3, resumed_from=2)
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert damage_of(folder / "checkpoint-3") is None


def test_a_checkpoint_under_anothers_name_is_none(workdir: Path) -> None:
    folder = workdir / "checkpoints"
    publish(folder, 1)
    (folder / "checkpoint-1").rename(folder / "checkpoint-7")
    assert damage_of(folder / "checkpoint-7") == "its manifest.json is that of step 1"


WHOLE: dict[str, Any] = {"format": 1, "step": 1, "best_step": None, "holds": None, "files": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["size", "sha256", "weights.bin"]), inner)
    ),
    max_leaves=4,
)


@settings(max_examples=50)
@given(
    st.binary(max_size=20)
    | JSON.map(lambda value: json.dumps(value).encode())
    | JSON.map(lambda value: json.dumps({**WHOLE, "files": {"weights.bin": value}}).encode())
    | JSON.map(lambda value: json.dumps({**WHOLE, "files": {"weights.bin": {"size": value, "sha256": value}}}).encode())
)
def test_a_manifest_that_is_damaged_is_told_whatever_stands_in_it(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path) / "checkpoints"
        publish(folder, 1)
        (folder / "checkpoint-1" / "manifest.json").write_bytes(content)
        found, skipped = newest_whole(folder, best_after=0)
        assert found is None and skipped[0].startswith("checkpoint-1 is not whole: ")


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"step": 1, "files": {"a\\u0000b": {"size": 1, "sha256": ""}}}'])
def test_a_manifest_that_no_reader_takes_is_told(workdir: Path, content: bytes) -> None:
    publish(workdir / "checkpoints", 1)
    (workdir / "checkpoints" / "checkpoint-1" / "manifest.json").write_bytes(content)
    assert "cannot be read" in (damage_of(workdir / "checkpoints" / "checkpoint-1") or "")
