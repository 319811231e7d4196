"""Tokenized rows are kept from run to run, and are always those of the rows at hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ftrun
import pytest
from benches import IDS_A, IDS_B, TASK, A, B, Bench, lengths, rows_of
from ftrun.errors import ExperimentError
from helpers import points_of


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "cache")


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
    longer = replace(bench.built, encode=lambda batch: {**lengths(batch), "input_ids": [[9]] * len(batch["text"])})
    assert bench(A, built=longer)[0] == {"input_ids": [9], "labels": 0} and bench.encoded == ["train"]
    other = replace(bench.built, encode=lambda batch: {"length": [len(text) for text in batch["text"]]})
    assert bench(A, built=other)[0] == {"length": 3} and bench.encoded == ["train"]
    assert bench(A, built=other)[0] == {"length": 3} and bench.encoded == []


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
        ExperimentError,
        match="the model gives 4 rows of labels by encode for 2 rows of train, and must give one for each",
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


@pytest.mark.slow
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


def test_encoding_is_done_once(tiny: Path) -> None:
    import datasets

    told: list[str] = []

    class Watcher(__import__("ftrun.screen.watchers", fromlist=["Watcher"]).Watcher):  # type: ignore[misc]
        def encoding(self, split: str, done: int, total: int) -> None:
            told.append(split)

    from ftrun.execution.beginning import FreshStart
    from ftrun.execution.story import execute
    from ftrun.planning.catalogue import load_catalogue
    from ftrun.planning.experiment import load_experiment
    from ftrun.planning.plan import make_plan

    def run(**overrides: object) -> list[str]:
        told.clear()
        catalogue = load_catalogue()
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        plan = make_plan(load_experiment(tiny, overrides={"training.max_steps": 1, **named}), catalogue)
        assert execute(plan, catalogue, Watcher(), FreshStart(plan)).result.status == "FINISHED"
        return sorted(set(told))

    # a length that no other test uses, so that nothing is in the cache yet
    assert run(model__max_length=47) == ["train", "validation"]
    assert run(model__max_length=47) == []
    assert run(model__max_length=47, backend__use="trainer") == []
    assert run(model__max_length=46) == ["train", "validation"]
    assert run(model__max_length=47, dataset__max_train_samples=43) == ["train"]
    assert datasets.are_progress_bars_disabled() is False
