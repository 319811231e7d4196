"""What is kept of encoded rows: whole or not there, and never more than it may be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from benches import IDS_A, A, B, Bench, lengths, rows_of
from ftrun.execution.encoded_cache import EncodedCache, clear, encoded_cache_folder, entries
from ftrun.execution.encoding import Encoding


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache")


def whole(file: Path) -> bytes:
    return file.read_bytes()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut short": lambda file: file.write_bytes(whole(file)[:-40]),
    "cut after the schema": lambda file: file.write_bytes(whole(file)[:400]),
    "empty": lambda file: file.write_bytes(b""),
    "garbage": lambda file: file.write_bytes(b"garbage" * 100),
    "one bit in a value": lambda file: file.write_bytes(whole(file).replace(b"\x05", b"\x04")),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
    "gone": lambda file: file.unlink(),
    "a link to nowhere": lambda file: (file.unlink(), file.symlink_to("nowhere")),
    "no description": lambda file: (file.parent / "about.json").unlink(),
    "a description that is none": lambda file: (file.parent / "about.json").write_text("[1"),
    "a description of another kind": lambda file: (file.parent / "about.json").write_text("[]"),
    "a file for the folder": lambda file: (file.parent.rename(file.parent.parent / "old"), file.parent.write_text("x")),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_what_cannot_be_read_is_made_anew(bench: Bench, damage: Callable[[Path], object]) -> None:
    bench(A)
    (file,) = bench.files
    damage(file)
    assert bench(A) == IDS_A and bench.encoded == ["train"]
    assert bench(A) == IDS_A and bench.encoded == []
    assert bench.notices == []


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(bench: Bench) -> None:
    script = """
import sys, os, signal
sys.path[:0] = [{tests!r}]
from pathlib import Path
from benches import Bench, A, BuiltModel, lengths
bench = Bench(Path({folder!r}))
def encode(batch):
    os.kill(os.getpid(), signal.SIGKILL)
bench.built = BuiltModel(None, None, encode, "lengths-1", "nowhere")
bench(A)
"""
    code = script.format(tests=str(Path(__file__).parent.parent), folder=str(bench.folder))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=env, capture_output=True).returncode == -9
    (left,) = bench.folder.iterdir()
    assert ".partial-" in left.name
    bench(A)
    assert bench.encoded == ["train"] and left.exists(), "it might be another process's that is at work"
    long_ago = time.time() - 7200
    os.utime(left / "about.json", (long_ago, long_ago))
    bench(B)
    assert not left.exists()


def test_two_that_encode_the_same_at_once_do_each_other_no_harm(bench: Bench) -> None:
    def meanwhile(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        if not bench.files:
            other = Bench(bench.folder)
            assert other(A) == IDS_A and other.encoded == ["train"]
        return lengths(batch)

    with EncodedCache(bench.folder) as other_run:
        assert bench(A, built=replace(bench.built, encode=meanwhile)) == IDS_A
        (file,) = bench.files
        assert other_run.find(file.parent.name) == file
    assert [path.name for path in bench.folder.iterdir()] == [file.parent.name]


def test_the_least_recently_used_goes_first_and_never_what_is_in_use(bench: Bench) -> None:
    kept: dict[str, Any] = {name: rows_of(name, name) for name in ("a", "bb", "ccc")}
    for age, rows in enumerate(kept.values()):
        bench(rows)
        newest = max(bench.files, key=lambda file: file.parent.stat().st_mtime_ns)
        os.utime(newest.parent / "about.json", (age, age))
    bench(kept["a"])  # used now: "bb" is the least recently used
    bench.limit = sum(entry.size for entry in entries(bench.folder)) + 100
    bench(rows_of("dddd", "dddd"))
    used = {}
    for name, rows in kept.items():
        with EncodedCache(bench.folder) as cache:
            key = Encoding(bench.splits, bench.built, bench.provider, cache, bench._progress, print).key(rows)
            assert key
            used[name] = cache.find(key) is not None
    assert used == {"a": True, "bb": False, "ccc": True}
    with EncodedCache(bench.folder, limit=1) as cache:
        held = Encoding(bench.splits, bench.built, bench.provider, cache, bench._progress, print)
        first, second = held.encode("train", kept["a"]), held.encode("validation", B)
        assert first[1]["input_ids"] == [1] and second[1]["input_ids"] == [1, 2]
        assert len(bench.files) == 2


def keep(cache: EncodedCache, key: str, rows: bytes = b"rows", **about: Any) -> None:
    with cache.writing(key, about) as file:
        file.write_bytes(rows)


def test_what_is_kept_is_found_under_its_key_with_what_it_is(tmp_path: Path) -> None:
    with EncodedCache(tmp_path / "cache") as cache:
        keep(cache, "k", data="mine", rows_of="负")
        found = cache.find("k")
        assert found and found.read_bytes() == b"rows" and cache.find("other") is None
    (entry,) = entries(tmp_path / "cache")
    assert (entry.folder.name, entry.about["data"], entry.about["rows_of"]) == ("k", "mine", "负")


def test_a_block_that_raises_keeps_nothing(tmp_path: Path) -> None:
    with EncodedCache(tmp_path) as cache:
        with pytest.raises(ZeroDivisionError), cache.writing("k", {}):
            raise ZeroDivisionError
        assert cache.find("k") is None
    assert list(tmp_path.iterdir()) == []


def test_what_is_whole_stays_though_it_is_written_again(tmp_path: Path) -> None:
    with EncodedCache(tmp_path) as cache:
        keep(cache, "k", b"first")
        keep(cache, "k", b"second")
        found = cache.find("k")
        assert found and found.read_bytes() == b"first"


def test_what_is_discarded_is_made_anew(tmp_path: Path) -> None:
    with EncodedCache(tmp_path) as cache:
        keep(cache, "k", b"first")
        cache.discard("k")
        cache.discard("never there")
        keep(cache, "k", b"second")
        found = cache.find("k")
        assert found and found.read_bytes() == b"second"


def test_a_cache_that_is_not_there_has_nothing_in_it(tmp_path: Path) -> None:
    cache = EncodedCache(tmp_path / "not there")
    cache.prune()
    assert cache.find("k") is None and list(entries(cache.folder)) == [] and clear(cache.folder) == ([], [])


def test_what_is_in_use_is_cleared_once_the_run_has_ended(tmp_path: Path) -> None:
    with EncodedCache(tmp_path) as cache:
        keep(cache, "k")
        assert cache.find("k")
        removed, kept = clear(tmp_path)
        assert not removed and [entry.folder.name for entry in kept] == ["k"]
    removed, kept = clear(tmp_path)
    assert [entry.folder.name for entry in removed] == ["k"] and not kept and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"HF_DATASETS_CACHE": "/data/cache", "HF_HOME": "/hf"}, "/data/cache/ftrun-encoded"),
        ({"HF_HOME": "/hf"}, "/hf/datasets/ftrun-encoded"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/huggingface/datasets/ftrun-encoded"),
        ({"HF_DATASETS_CACHE": "", "HF_HOME": "", "XDG_CACHE_HOME": ""}, "~/.cache/huggingface/datasets/ftrun-encoded"),
        ({"HF_HOME": "~/hf"}, "~/hf/datasets/ftrun-encoded"),
    ],
)
def test_it_is_kept_where_the_datasets_library_keeps_its_own(
    monkeypatch: pytest.MonkeyPatch, env: dict[str, str], folder: str
) -> None:
    for name in ("HF_DATASETS_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert encoded_cache_folder() == Path(folder).expanduser()
