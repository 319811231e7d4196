"""A checkpoint has its name only when all of it is on the disk."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import RunError
from ftrun.runs.checkpoints import Checkpoint, Checkpoints, damage_of, newest_whole
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
