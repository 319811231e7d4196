"""What a data set is held to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ftrun.contracts import Dataset, Kind, Rows, Splits, Task
from ftrun.errors import ExperimentError, FtrunError
from ftrun.execution.checks import check_form, check_read, check_splits
from ftrun.planning.answers import task_of
from ftrun.planning.conformance import said
from ftrun.settings import Settings, shown
from ftrun.testing.generators import nothing_drawn
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import ComponentSuite
from ftrun.testing.tiny import PROBLEMS

FEW = 2
"""What a limit is tried with."""
BEFORE, LONGEST = 20, 60
"""Characters of a text that are shown: before those that differ, and in all."""
JUNK = b"\xff\xfe\x00 not of any form \xe9\n{[\x00\x01"
"""What no file of text or rows holds."""


class DatasetSuite(ComponentSuite):
    """What a data set is held to, beside what every component is (see `ftrun.testing.ComponentSuite`).

    - Its splits are as the contract says: they have the columns that the task names, and in training and evaluation
      every label is one of the task's. There is something to evaluate on, unless `evaluates` says otherwise.
    - It says what it is: a name, a source and a digest, which stand on the record of every run.
    - Opened again by the same settings it has the same rows, in the same order, and the same digest: a run that is
      resumed is refused where the digest has changed.
    - Opening it draws no random number, and seeds nothing: the weights of a fresh head are drawn after it.
    - What `task` tells by the settings alone is the task of the opened splits.
    - Limits are kept: with `max_train_samples = 2` there are at most two rows to train on.
    - What its `read` gives of the file of `make_further_file` are the rows of the split that it holds, label by label:
      `ftrun evaluate` measures by them. Of a file that is none of its own, or cut off, it says so by None or an
      `ExperimentError`, and not by a Python error. Both are skipped without a `read`.
    - A run trains and evaluates on it, with the small model, or one that `experiment` brings.

    Attributes:
        limits: Keys of its settings that say how many rows there are at most, each with "train" or "evaluation". By
            default `max_train_samples` and `max_eval_samples`, where the settings have them.
        evaluates: Whether there are rows to evaluate on. By default true.
    """

    kind: ClassVar[Kind] = "dataset"
    limits: ClassVar[Mapping[str, str]] = {"max_train_samples": "train", "max_eval_samples": "evaluation"}
    evaluates: ClassVar[bool] = True

    def make_further_file(self, folder: Path) -> tuple[Path, str] | None:
        """A file or folder in a form of its own, for its `read`, and the name of the split whose very rows it holds;
        None by default, and then it is not tried whether they are the same.

        Args:
            folder: Empty.
        """
        return None

    def test_its_splits_hold_what_its_task_names(self) -> None:
        """The columns of the task are there, and every label is one of the task's."""
        splits = self._splits
        try:
            check_splits(self.part, splits)
        except ExperimentError as error:
            fail(str(error), "See `help(ftrun.contracts.Splits)`.")
        there = bool(splits.evaluation) or not self.evaluates
        expect(there, f"{self.who} has no rows to evaluate on", "If it means to have none: evaluates = False.")

    def test_it_says_what_it_is(self) -> None:
        """Name, source and digest are texts."""
        for name in ("name", "source", "digest"):
            value = getattr(self._splits, name)
            sound = isinstance(value, str) and bool(value.strip())
            expect(sound, f"{self.who} has {value!r} for its {name}", "It stands on the record: a text that tells.")

    def test_opened_again_it_has_the_same_rows(self) -> None:
        """In the same order, by the same settings."""
        first, second = (dict(_columns(self._parts(splits))) for splits in (self._splits, self._open()))
        for key in {**first, **second}:
            same = key in first and key in second and first[key] == second[key]
            hint = "The same settings must give the same rows in the same order: sort what a folder or a set lists."
            expect(same, f"{key[1]} of {key[0]} of {self.who} differs when it is opened again", hint)

    def test_opened_again_it_has_the_same_digest(self) -> None:
        """By which a resumed run tells whether its data is what it was."""
        first, second = self._splits.digest, self._open().digest
        hint = "Take a commit, or a checksum of what was read; no time and no hash() of Python's."
        expect(first == second, f"the digest of {self.who} is {first} and, opened again, {second}", hint)

    def test_opening_it_draws_no_random_number(self) -> None:
        """Nor does it seed a global generator."""
        with nothing_drawn(f"opening {self.who}"):
            self._open()

    def test_its_settings_tell_the_task_that_it_has(self) -> None:
        """What `task` answers, where it does, is the task of the splits."""
        if self.part.component(Dataset).task is None:
            pytest.skip("it has no `task`: only the opened data tells")
        try:
            told = task_of(self.part, "dataset")
        except ExperimentError as error:
            fail(str(error))
        if told is None:
            pytest.skip("its `task` says that only the opened data tells")
        task = self._task
        expect(
            told == task, f"task of {self.who} tells {told}, and it opens with {task}", "They must be one and the same."
        )

    def test_its_limits_are_kept(self) -> None:
        """There are no more rows than a limit says."""
        known = [key for key in self.limits if key in self.offer.component.settings.model_fields]
        if not known:
            pytest.skip("its settings have no limit; another name for one is said in `limits`")
        for key in known:
            splits = self._open({**self.table, key: FEW})
            parts, limited = self._parts(splits), self.limits[key]
            for name in [splits.train_split] if limited == "train" else splits.evaluation:
                rows = parts[name]
                expect(len(rows) <= FEW, f"{self.who} has {len(rows)} rows in {name} with {key} = {FEW}")

    def test_what_it_reads_of_a_file_are_the_rows_of_its_split(self) -> None:
        """With the same columns, labels among them, and nothing drawn."""
        read, made = self._reading(), self.make_further_file(self.new_folder())
        if made is None:
            pytest.skip("there is no file to read: make_further_file")
        file, name = made
        splits = self._parts(self._splits)
        hint = f"There are: {', '.join(splits)}."
        expect(name in splits, f"make_further_file names the split {name}, which {self.who} does not have", hint)
        with nothing_drawn(f"read of {self.who}"), answering(f"read of {self.who}"):
            rows = read(self._settings, file, self._task)
        if rows is None:
            fail(f"read of {self.who} gives None for {file.name}", "That would leave the file to the runner.")
        try:
            check_read(self.part, file.name, rows, self._task, self._task.text_columns)
        except ExperimentError as error:
            fail(str(error), "See `help(ftrun.contracts.Dataset)`.")
        hint = f"It must be as in {name}; a label is what Splits says, such as a class's place in class_names."
        if differs := _difference(rows, splits[name]):
            fail(f"read of {self.who} gives {differs}", hint)

    def test_a_file_that_it_cannot_read_is_told_in_a_sentence(self) -> None:
        """None, or an `ExperimentError`: never a Python error."""
        self._reading()
        made = self.make_further_file(self.new_folder())
        known, ending = (made[0].read_bytes(), made[0].suffix) if made and made[0].is_file() else (b"", ".csv")
        for content in (b"", JUNK, known[: len(known) // 2] + JUNK):
            for name in {"further.junk", f"further{ending}"}:
                file = self.new_folder() / name
                file.write_bytes(content)
                self._reads_or_says(file, f"a file of {len(content)} odd bytes")
        self._reads_or_says(self.new_folder(), "an empty folder")

    def _reads_or_says(self, file: Path, what: str) -> None:
        try:
            self._reading()(self._settings, file, self._task)
        except (FtrunError, IsADirectoryError):  # a folder that is opened as a file is none that it knows
            return
        except Exception as fault:
            hint = "Raise an ExperimentError that names the file and what is wrong, or give None."
            fail(f"read of {self.who} raised {said(fault)} of {what}", hint)

    def test_a_run_trains_on_it(self) -> None:
        """The small model takes a step on it, and is evaluated on it."""
        task = self._task
        is_taken = task.kind in PROBLEMS and len(task.text_columns) in (1, 2)
        if not is_taken and not self._brings("model"):
            pytest.skip("the small model does not take its task, and `experiment` brings no other")
        table = {"use": self.use, **self.table}
        self.run({"dataset": table, "metrics": [], "training.max_steps": 1, "training.eval_strategy": "no"}, "a run")

    def try_out(self, settings: Settings) -> None:
        """Opens it."""
        self.part.component(Dataset).build(settings)

    def _reading(self) -> Callable[[Any, Path, Task], Rows | None]:
        read = self.part.component(Dataset).read
        if read is None:
            pytest.skip("it has no `read`: the runner alone reads further files")
        return read

    @property
    def _settings(self) -> Settings:
        return self.validated(self.table)

    @property
    def _splits(self) -> Splits:
        return self.once("splits", self._open)

    @property
    def _task(self) -> Task:
        task = self._splits.task
        if not isinstance(task, Task):
            fail(f"{self.who} has a {type(task).__name__} for its task, and must have ftrun.contracts.Task")
        return task

    def _parts(self, splits: Splits) -> Mapping[str, Rows]:
        """The rows by the names of their splits, once they are known to behave as rows."""
        for field in ("evaluation", "test"):
            given = getattr(splits, field)
            message = f"{self.who} has a {type(given).__name__} for {field}"
            expect(isinstance(given, Mapping), message, "It must be a mapping from the names of splits to rows.")
        parts: dict[str, Rows] = {splits.train_split: splits.train, **splits.evaluation, **splits.test}
        try:
            for name, rows in parts.items():
                check_form(self.part, name, rows)
        except ExperimentError as error:
            fail(str(error))
        return parts

    def _open(self, table: Mapping[str, Any] | None = None) -> Splits:
        settings = self.validated(self.table if table is None else table)
        with answering(f"build of {self.who}"):
            splits: Splits = self.part.component(Dataset).build(settings)
        if not isinstance(splits, Splits):
            fail(f"build of {self.who} gives a {type(splits).__name__}, and must give ftrun.contracts.Splits")
        return splits


def _columns(parts: Mapping[str, Rows]) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    for split, rows in parts.items():
        for name in rows.column_names:
            yield (split, name), list(rows[name])


def _difference(read: Rows, split: Rows) -> str | None:
    """How rows that were read are others than those of a split, in words; None where they are the same."""
    told, wanted = ({name: list(rows[name]) for name in rows.column_names} for rows in (read, split))
    differing = sorted(name for name in {**told, **wanted} if told.get(name) != wanted.get(name))
    if not differing:
        return None
    whole = f"another {', '.join(differing)} than its split has"
    name = differing[0]
    if name not in told or name not in wanted:
        return f"{whole}: there is no {name} in what it read" if name in wanted else f"{whole}, which has no {name}"
    if len(told[name]) != len(wanted[name]):
        return f"{whole}: {len(told[name])} rows, and there are {len(wanted[name])}"
    row = next(row for row, cell in enumerate(wanted[name]) if told[name][row] != cell)
    return f"{whole}: row {row + 1} has the {name} {_apart(told[name][row], wanted[name][row])}"


def _apart(one: Any, other: Any) -> str:
    """Two values, shortened to where they differ."""
    if not (isinstance(one, str) and isinstance(other, str)):
        return f"{shown(one)}, and the split {shown(other)}"
    place = next((place for place, both in enumerate(zip(one, other, strict=False)) if both[0] != both[1]), None)
    place = min(len(one), len(other)) if place is None else place
    begin = max(0, place - BEFORE)
    return f"{_cut(one, begin)!r}, and the split {_cut(other, begin)!r}"


def _cut(text: str, begin: int) -> str:
    end = begin + LONGEST
    return f"{'...' if begin else ''}{text[begin:end]}{'...' if end < len(text) else ''}"
