"""Tokenized rows are kept from run to run, and are always those of the rows at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click.testing
import ftrun
import pytest
from ftrun.cli.cache import command as cache_command
from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError
from ftrun.execution.encoded_cache import EncodedCache, encoded_cache_folder, entries
from ftrun.execution.encoding import Encoding
from helpers import points_of

TASK = Task("classification", ("text",), "label", ("a", "b"))


def lengths(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    return {"input_ids": [[len(word) for word in text.split()] for text in batch["text"]], "labels": batch["label"]}


class Bench:
    """Encodes rows as a run does, each time with a cache of its own making in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoded: list[str] = []
        self.notices: list[str] = []
        self.limit = 20 * 1024**3
        self.built = BuiltModel(None, None, lengths, "lengths-1", "nowhere")
        self.splits = Splits(task=TASK, train=None, evaluation={}, name="rows", source="here", digest="1")
        self.provider = "someone 1.0"

    def __call__(self, rows: Any, split: str = "train", **changes: Any) -> list[Any]:
        """The encoded rows; `encoded` then holds the split if it was not in the cache."""
        self.encoded.clear()
        with EncodedCache(self.folder, self.limit) as cache:
            encoding = Encoding(self.splits, self.built, self.provider, cache, self._progress, self.notices.append)
            encoded = replace(encoding, **changes).encode(split, rows)
            return [dict(encoded[index]) for index in range(len(encoded))]

    def _progress(self, split: str, done: int, total: int) -> None:
        if done == total:
            self.encoded.append(split)

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*/rows.arrow"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache")


def rows_of(*texts: str, labels: Sequence[int] | None = None) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"text": list(texts), "label": list(labels or [0] * len(texts))})


A, B = rows_of("one", "two words"), rows_of("three", "a bc")
IDS_A = [{"input_ids": [3], "labels": 0}, {"input_ids": [3, 5], "labels": 0}]
IDS_B = [{"input_ids": [5], "labels": 0}, {"input_ids": [1, 2], "labels": 0}]


def test_other_rows_under_the_same_name_are_encoded_anew(bench: Bench) -> None:
    assert bench(A) == IDS_A and bench.encoded == ["train"]
    assert bench(B) == IDS_B and bench.encoded == ["train"]
    assert bench(A) == IDS_A and bench.encoded == []
    assert bench(A, "validation") == IDS_A and bench.encoded == [], "the name of a split decides nothing"


def test_every_value_counts(bench: Bench) -> None:
    others = [
        rows_of("one", "two word"),
        rows_of("one", "two words", labels=[0, 1]),
        rows_of("two words", "one"),
        rows_of("one", "two words", "one"),
        A.add_column("more", [1, 2]),
        A.rename_column("text", "texts").add_column("text", ["one", "two words"]),
        A.select([1, 0]),
        A.select([0, 0]),
        A.shuffle(seed=3).select([1]),
    ]
    bench(A)
    for rows in others:
        bench(rows)
        assert bench.encoded == ["train"], rows
    assert len(bench.files) == 1 + len(others)


def test_what_decides_the_encoding_counts(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun.execution.encoding

    bench(A)
    built, splits = bench.built, bench.splits
    changes: list[dict[str, Any]] = [
        {"built": replace(built, encode_key="lengths-2")},
        {"splits": replace(splits, task=replace(TASK, class_names=("b", "a")))},
        {"splits": replace(splits, digest="2")},
        {"provider": "someone 1.1"},
    ]
    for change in changes:
        bench(A, **change)
        assert bench.encoded == ["train"], change
    real = ftrun.execution.encoding.versions
    monkeypatch.setattr(ftrun.execution.encoding, "versions", lambda extra: {**real(extra), "tokenizers": "99"})
    bench(A)
    assert bench.encoded == ["train"]


def test_rows_picked_out_of_a_table_are_the_rows_that_are_encoded(bench: Bench) -> None:
    table = rows_of(*(f"{'x' * (1 + index % 7)} {index}" for index in range(100)))
    for choice in ([3, 1, 99, 1], [3, 1, 99, 2], list(range(99, -1, -1)), list(range(0, 100, 2))):
        expected = [{"input_ids": [1 + index % 7, len(str(index))], "labels": 0} for index in choice]
        assert bench(table.select(choice)) == expected and bench.encoded == ["train"]
        assert bench(table.select(choice)) == expected and bench.encoded == []


def test_a_model_that_encodes_otherwise_under_the_same_key_is_not_believed(bench: Bench) -> None:
    bench(A)
    longer = replace(bench.built, encode=lambda batch: {**lengths(batch), "labels": [1] * len(batch["text"])})
    assert bench(A, built=longer)[0] == {"input_ids": [3], "labels": 1} and bench.encoded == ["train"]
    other = replace(bench.built, encode=lambda batch: {"length": [len(text) for text in batch["text"]]})
    assert bench(A, built=other)[0] == {"length": 3} and bench.encoded == ["train"]
    assert bench(A, built=other)[0] == {"length": 3} and bench.encoded == []


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


def test_where_the_cache_cannot_be_written_it_is_done_in_memory_and_said(bench: Bench) -> None:
    bench.folder.write_text("a file where the folder should be")
    assert bench(A) == IDS_A and bench(A) == IDS_A
    assert bench.encoded == ["train"]
    assert "train is tokenized in memory: the cache" in bench.notices[0]
    assert "cannot be written (Not a directory)" in bench.notices[0]


def test_where_the_disk_is_full_it_is_done_in_memory_and_said(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun.execution.encoded_cache

    def full(folder: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ftrun.execution.encoded_cache, "sync_folder", full)
    assert bench(A) == IDS_A and "(No space left on device)" in bench.notices[0]
    assert list(bench.folder.iterdir()) == [], "nothing is left of the attempt"


def test_a_killed_writer_leaves_nothing_that_is_taken_for_whole(bench: Bench) -> None:
    script = """
import sys, os, signal
sys.path[:0] = [{tests!r}]
from pathlib import Path
from test_encoding import Bench, A, BuiltModel, lengths
bench = Bench(Path({folder!r}))
def encode(batch):
    os.kill(os.getpid(), signal.SIGKILL)
bench.built = BuiltModel(None, None, encode, "lengths-1", "nowhere")
bench(A)
"""
    code = script.format(tests=str(Path(__file__).parent), folder=str(bench.folder))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent.parent)])}
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


class ListRows:
    """Somebody's rows, of no library."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.column_names = list(rows[0])

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]

    def map(self, function: Any, batched: bool, batch_size: int, remove_columns: list[str]) -> ListRows:
        columns = function({name: [row[name] for row in self.rows] for name in self.column_names})
        return ListRows([dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)])


def test_rows_of_somebodys_own_work_and_are_not_kept(bench: Bench) -> None:
    rows = ListRows([{"text": "one", "label": 0}, {"text": "two words", "label": 0}])
    for _ in range(2):
        assert bench(rows) == IDS_A and bench.encoded == ["train"]
    assert not bench.files


def test_rows_that_go_through_a_function_are_not_kept(bench: Bench) -> None:
    for ending in ("s", " more"):
        rows = A.with_transform(lambda batch, e=ending: {**batch, "text": [text + e for text in batch["text"]]})
        assert bench(rows)[0]["input_ids"] == [4 if ending == "s" else 3, *([] if ending == "s" else [4])]
    assert not bench.files


def test_an_encode_that_gives_more_rows_is_refused(bench: Bench) -> None:
    twice = replace(bench.built, encode=lambda batch: {"labels": [*batch["label"], *batch["label"]]})
    with pytest.raises(
        ExperimentError, match="encode gives 4 rows of labels for 2 rows of train, and must give one for each"
    ):
        bench(A, built=twice)


@pytest.fixture
def folder_of_splits(tiny: Path) -> Iterator[Path]:
    folder = tiny.parent / "splits"
    folder.mkdir()
    for split, word in {"train": "good", "test": "bad", "validation": "so"}.items():
        lines = [f'"{word} {"very " * (i % 5)}",{"ab"[i % 2]}' for i in range(24)]
        (folder / f"{split}.csv").write_text("\n".join(["text,label", *lines]))
    yield folder


def test_another_split_to_train_on_is_another_curve(tiny: Path, folder_of_splits: Path) -> None:
    def run(split: str, evaluation: str) -> dict[tuple[str, int], float]:
        data = {"use": "hub", "path": str(folder_of_splits), "text_columns": ["text"], "train_split": split}
        overrides = {
            "dataset": {**data, "class_names": ["a", "b"], "evaluation_splits": [evaluation]},
            "metrics": [{"use": "accuracy"}],
            "training.max_steps": 3,
        }
        result = ftrun.run(tiny, overrides=overrides, progress=False)
        assert result.status == "FINISHED", result.error
        return points_of(result.run_folder)

    first, second = run("train", "validation"), run("test", "train")
    assert first["train/loss", 2] != second["train/loss", 2]
    assert first["eval/loss", 3] != second["eval/loss", 3]
    assert run("train", "validation") == first
    assert run("test", "train") == second


def cache(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(cache_command, arguments, standalone_mode=False)


@pytest.fixture
def own_cache(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(bench.folder))
    bench.folder = encoded_cache_folder()
    return bench


def test_the_command_shows_what_is_there_and_clears_it(own_cache: Bench) -> None:
    assert "0 tokenized splits, 0 bytes of at most 20 GiB" in cache().output
    own_cache(A)
    own_cache(B, "validation")
    shown = cache().output
    assert f"{own_cache.folder}: 2 tokenized splits, " in shown and "KiB of at most 20 GiB" in shown
    heading, first, second = shown.splitlines()[1:4]
    assert heading.split() == ["last", "used", "size", "rows", "split", "data", "set", "model"]
    assert first.split()[-4:] == ["2", "validation", "rows", "nowhere"] and second.split()[-4:-2] == ["2", "train"]
    told = json.loads(cache("--json").output)
    assert told["limit"] == 20 * 1024**3 and told["bytes"] == sum(entry["bytes"] for entry in told["entries"])
    assert {entry["split"] for entry in told["entries"]} == {"train", "validation"}
    cleared = cache("clear")
    assert "2 tokenized splits removed, " in cleared.output and cleared.return_value == 0
    assert list(own_cache.folder.iterdir()) == []


def test_clearing_keeps_what_a_run_is_using(own_cache: Bench) -> None:
    own_cache(A)
    with EncodedCache() as used:
        assert used.find(own_cache.files[0].parent.name)
        own_cache(B)
        cleared = cache("clear")
        assert cleared.return_value == 1 and "1 tokenized split removed" in cleared.output
        assert "1 tokenized split kept" in cleared.output
    assert json.loads(cache("clear", "--json").output) | {"freed": 0} == {
        "folder": str(own_cache.folder),
        "freed": 0,
        "removed": 1,
        "kept": 0,
    }


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (2048, "2 KiB"), (1024**3, "1 GiB"), (3 << 29, "1.5 GiB")])
def test_bytes_are_readable(size: int, text: str) -> None:
    from ftrun.cli.cache import readable

    assert readable(size) == text
