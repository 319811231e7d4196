"""Data sets, each broken in one point of its suite."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from ftrun.contracts import Dataset, Splits
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import PositiveInt, Settings
from ftrun.testing import DatasetSuite, tiny_splits, tiny_task
from pydantic import Field


class RowsSettings(Settings):
    max_train_samples: PositiveInt | None = Field(None, description="At most so many rows to train on.")


def build(settings: RowsSettings) -> Splits:
    splits = tiny_splits()
    train: Any = splits.train
    return dataclasses.replace(splits, train=train.select(range(settings.max_train_samples or len(train))))


ROWS: Any = Dataset(name="rows", summary="Rows", settings=RowsSettings, task=lambda settings: tiny_task(), build=build)


def changing(change: Any, **more: Any) -> Any:
    """With splits that are changed once they are opened."""
    return dataclasses.replace(ROWS, build=lambda settings: change(build(settings)), **more)


class Rows(DatasetSuite):
    catalogue_module = "ftrun.testing.offers"


class SoundRows(Rows):
    component = ROWS


class SoundText(Rows):
    component = dataclasses.replace(ROWS, task=None)


def without_column(splits: Any) -> Any:
    return dataclasses.replace(splits, train=splits.train.remove_columns("first"))


class BrokenColumns(Rows):
    component = changing(without_column)
    fails = ["test_its_splits_hold_what_its_task_names", "test_a_run_trains_on_it"]
    says = "has no column first in train"


def with_label(splits: Any) -> Any:
    from datasets import Dataset as HubDataset

    columns = {name: list(splits.train[name]) for name in splits.train.column_names}
    return dataclasses.replace(splits, train=HubDataset.from_dict({**columns, "label": [3, *columns["label"][1:]]}))


class BrokenLabels(Rows):
    component = changing(with_label)
    fails = ["test_its_splits_hold_what_its_task_names", "test_a_run_trains_on_it"]
    says = "has the label 3 in row 1 of train"


class BrokenEvaluation(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, evaluation={}))
    fails = "test_its_splits_hold_what_its_task_names"
    says = ["no rows to evaluate on", "evaluates = False"]


class BrokenName(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, source=""))
    fails = "test_it_says_what_it_is"
    says = "for its source"


opened: list[int] = []


def in_another_order(splits: Any) -> Any:
    opened.append(1)
    order = [(row + len(opened)) % len(splits.train) for row in range(len(splits.train))]
    return dataclasses.replace(splits, train=splits.train.select(order))


class BrokenOrder(Rows):
    component = changing(in_another_order)
    fails = "test_opened_again_it_has_the_same_rows"
    says = "of train of the data set"


class BrokenDigest(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, digest=str(time.perf_counter_ns())))
    fails = "test_opened_again_it_has_the_same_digest"
    says = "a checksum of what was read"


def shuffled(splits: Any) -> Any:
    import numpy as np

    np.random.seed(3)
    return dataclasses.replace(splits, train=splits.train.select(np.random.permutation(len(splits.train))))


class BrokenChance(Rows):
    component = changing(shuffled)
    fails = "test_opening_it_draws_no_random_number"
    says = "changes the global generator of NumPy"


class BrokenTask(Rows):
    component = dataclasses.replace(ROWS, task=lambda settings: tiny_task(classes=2))
    fails = "test_its_settings_tell_the_task_that_it_has"
    says = "They must be one and the same."


class BrokenLimit(Rows):
    component = dataclasses.replace(ROWS, build=lambda settings: tiny_splits())
    fails = "test_its_limits_are_kept"
    says = "20 rows in train with max_train_samples = 2"


class Once:
    """Rows that do not give the rows of a batch."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.column_names = rows.column_names

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return self.rows[key]

    def select(self, indices: Any) -> Any:
        return self

    def map(self, function: Any, **options: Any) -> Any:
        raise NotImplementedError("these rows cannot be mapped")


class BrokenRows(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, train=Once(splits.train)))
    fails = "test_a_run_trains_on_it"
    says = "these rows cannot be mapped"


class BrokenBuild(Rows):
    component = dataclasses.replace(ROWS, build=lambda settings: 1 / 0)
    fails = sorted({
        "test_its_splits_hold_what_its_task_names", "test_it_says_what_it_is", "test_opened_again_it_has_the_same_rows",
        "test_opened_again_it_has_the_same_digest", "test_opening_it_draws_no_random_number", "test_its_limits_are_kept",
        "test_its_settings_tell_the_task_that_it_has", "test_a_run_trains_on_it",
    })  # fmt: skip
    says = ['build of the data set "rows" of under-test raised ZeroDivisionError', "datasets.py"]


def words_of(split: str) -> Any:
    """Rows of the tiny data set, by the numbers in a file."""

    def read(settings: Any, file: Path, task: Any) -> Any:
        if file.suffix != ".words":
            return None
        try:
            numbers = [int(line) for line in file.read_text(encoding="utf-8").splitlines()]
        except ValueError as error:
            raise ExperimentError(Problem(f"{file} holds no numbers: {error}")) from None
        rows: Any = tiny_splits().train if split == "train" else tiny_splits().evaluation[split]
        return rows.select(numbers)

    return read


class Words(Rows):
    """With a file of the numbers of the rows of validation."""

    def make_further_file(self, folder: Path) -> tuple[Path, str]:
        (folder / "further.words").write_text("\n".join(map(str, range(len(tiny_splits().evaluation["validation"])))))
        return folder / "further.words", "validation"


class SoundWords(Words):
    component = dataclasses.replace(ROWS, read=words_of("validation"))


class BrokenWords(Words):
    component = dataclasses.replace(ROWS, read=words_of("train"))
    fails = "test_what_it_reads_of_a_file_are_the_rows_of_its_split"
    says = ["gives another first, label, second than its split has", "a class's place in class_names"]


def carelessly(settings: Any, file: Path, task: Any) -> Any:
    rows: Any = tiny_splits().evaluation["validation"]
    return rows.select([int(line) for line in file.read_text(encoding="utf-8").splitlines()])


class BrokenReading(Words):
    component = dataclasses.replace(ROWS, read=carelessly)
    fails = "test_a_file_that_it_cannot_read_is_told_in_a_sentence"
    says = ["UnicodeDecodeError", "Raise an ExperimentError"]


def cut(row: Any) -> Any:
    return {**row, "first": row["first"][:30]}


def of_folders(settings: Any, file: Path, task: Any) -> Any:
    if file.is_dir():
        return next(file.iterdir())
    return words_of("validation")(settings, file, task)


class BrokenFolders(Words):
    component = dataclasses.replace(ROWS, read=of_folders)
    fails = "test_a_file_that_it_cannot_read_is_told_in_a_sentence"
    says = ["raised StopIteration", "of an empty folder", "Raise an ExperimentError"]


class BrokenText(Words):
    component = dataclasses.replace(
        ROWS, read=lambda *given: None if (rows := words_of("validation")(*given)) is None else rows.map(cut)
    )
    fails = "test_what_it_reads_of_a_file_are_the_rows_of_its_split"
    says = (
        "another first than its split has: row 4 has the first '...ht blue three left g', and the split '...ht blue th"
    )


class BrokenColumnsRead(Words):
    component = dataclasses.replace(
        ROWS,
        read=lambda *given: None if (rows := words_of("validation")(*given)) is None else rows.remove_columns("label"),
    )
    fails = "test_what_it_reads_of_a_file_are_the_rows_of_its_split"
    says = "gives another label than its split has: there is no label in what it read"


class BrokenCount(Words):
    component = dataclasses.replace(
        ROWS,
        read=lambda *given: None if (rows := words_of("validation")(*given)) is None else rows.select(range(3)),
    )
    fails = "test_what_it_reads_of_a_file_are_the_rows_of_its_split"
    says = ": 3 rows, and there are 12"


class BrokenForm(Words):
    """Rows in a list."""

    component = changing(lambda splits: dataclasses.replace(splits, train=list(splits.train)), read=words_of("train"))
    fails = [
        *("test_its_splits_hold_what_its_task_names", "test_opened_again_it_has_the_same_rows"),
        *("test_its_limits_are_kept", "test_what_it_reads_of_a_file_are_the_rows_of_its_split"),
        "test_a_run_trains_on_it",
    ]
    says = ["gives a list for train, which is not what a data set's rows must be", "this has no column_names"]


class BrokenEvaluationForm(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, evaluation=splits.train))
    fails = [
        *("test_its_splits_hold_what_its_task_names", "test_opened_again_it_has_the_same_rows"),
        *("test_its_limits_are_kept", "test_a_run_trains_on_it"),
    ]
    says = "has a Dataset for evaluation"


class BrokenDigestForm(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, digest=7))
    fails = ["test_its_splits_hold_what_its_task_names", "test_it_says_what_it_is", "test_a_run_trains_on_it"]
    says = "has 7 for the digest, and must have a text"


class BrokenTaskForm(Rows):
    component = changing(lambda splits: dataclasses.replace(splits, task="classification"))
    fails = [
        *("test_its_splits_hold_what_its_task_names", "test_its_settings_tell_the_task_that_it_has"),
        "test_a_run_trains_on_it",
    ]
    says = "has a str for its task, and must have ftrun.contracts.Task"
