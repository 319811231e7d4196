"""What a data set is held to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import pytest

from ftrun.contracts import Dataset, Kind, Rows, Splits
from ftrun.errors import ExperimentError
from ftrun.execution.checks import check_splits
from ftrun.planning.answers import task_of
from ftrun.settings import Settings
from ftrun.testing.generators import nothing_drawn
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import ComponentSuite
from ftrun.testing.tiny import PROBLEMS

FEW = 2
"""What a limit is tried with."""


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
    - A run trains and evaluates on it, with the small model, or one that `experiment` brings.

    Attributes:
        limits: Keys of its settings that say how many rows there are at most, each with "train" or "evaluation". By
            default `max_train_samples` and `max_eval_samples`, where the settings have them.
        evaluates: Whether there are rows to evaluate on. By default true.
    """

    kind: ClassVar[Kind] = "dataset"
    limits: ClassVar[Mapping[str, str]] = {"max_train_samples": "train", "max_eval_samples": "evaluation"}
    evaluates: ClassVar[bool] = True

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
        first, second = dict(_columns(self._splits)), dict(_columns(self._open()))
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
        task = self._splits.task
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
            parts = {"train": splits.train} if self.limits[key] == "train" else splits.evaluation
            for name, rows in parts.items():
                expect(len(rows) <= FEW, f"{self.who} has {len(rows)} rows in {name} with {key} = {FEW}")

    def test_a_run_trains_on_it(self) -> None:
        """The small model takes a step on it, and is evaluated on it."""
        task = self._splits.task
        is_taken = task.kind in PROBLEMS and len(task.text_columns) in (1, 2)
        if not is_taken and not self._brings("model"):
            pytest.skip("the small model does not take its task, and `experiment` brings no other")
        table = {"use": self.use, **self.table}
        self.run({"dataset": table, "metrics": [], "training.max_steps": 1, "training.eval_strategy": "no"}, "a run")

    def try_out(self, settings: Settings) -> None:
        """Opens it."""
        self.part.component(Dataset).build(settings)

    @property
    def _splits(self) -> Splits:
        return self.once("splits", self._open)

    def _open(self, table: Mapping[str, Any] | None = None) -> Splits:
        settings = self.validated(self.table if table is None else table)
        with answering(f"build of {self.who}"):
            splits: Splits = self.part.component(Dataset).build(settings)
        if not isinstance(splits, Splits):
            fail(f"build of {self.who} gives a {type(splits).__name__}, and must give ftrun.contracts.Splits")
        return splits


def _columns(splits: Splits) -> Iterator[tuple[tuple[str, str], list[Any]]]:
    parts: dict[str, Rows] = {splits.train_split: splits.train, **splits.evaluation, **splits.test}
    for split, rows in parts.items():
        for name in rows.column_names:
            yield (split, name), list(rows[name])
