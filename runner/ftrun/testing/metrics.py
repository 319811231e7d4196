"""What a metric is held to."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from ftrun.contracts import Direction, Kind, Metric, Predictions, Task
from ftrun.errors import ExperimentError, FtrunError
from ftrun.planning.answers import yields_of
from ftrun.planning.measures import MetricError, WritingError, build_evaluator
from ftrun.settings import Settings
from ftrun.testing import said
from ftrun.testing.generators import nothing_drawn
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import ComponentSuite, Table
from ftrun.testing.tiny import tiny_task

Case = tuple[Sequence[Any], Sequence[Any], Mapping[str, Any]] | tuple[Predictions, Mapping[str, Any]]
"""Labels and predictions, or both as an evaluator has them, and the numbers that are expected of them."""

UNDOING = {
    said.ONE_CLASS: "labels that are all alike",
    said.CONSTANT: "predictions that are all alike",
    said.ONE_ROW: "one row",
}


class MetricSuite(ComponentSuite):
    """What a metric is held to, beside what every component is (see `ftrun.testing.ComponentSuite`).

    - It gives the numbers that `yields` promises, those and only those, each a number.
    - The numbers are those of `cases`: by the metric's definition, worked out by hand.
    - Perfect predictions are the best ones, in the direction that `yields` says, for which early stopping and the best
      model go by it.
    - Labels of one class, predictions that are all alike, and a single row have a finite value, or none (NaN) where
      `without_value` says so: each will come in an evaluation, and must not end a run.
    - Rows in another order give the same numbers.
    - Asked again, an evaluator gives the same, whatever it was asked meanwhile; it leaves the predictions as they are,
      and draws no random number.
    - A task that it does not suit is refused in a sentence, and with no Python error, before any work; what is promised
      of another is given.
    - A run measures it, by the names that it promised.

    Attributes:
        task: What is predicted. By default classification of two classes; `tiny_task("regression")` and the like make
            others.
        cases: Labels, predictions and expected numbers, such as `([0, 1, 1], [0, 1, 0], {"kappa": 0.4})`. A prediction
            is for classification a class id, or the probabilities of all classes; for regression a number. For a task
            of another kind `Predictions` and expected numbers. Numbers are compared to four digits, or as an expected
            `pytest.approx` has it. By default none; that test is skipped.
        without_value: Of "one class", "constant predictions" and "one row" those where a number may be NaN. By default
            none.
        perfect_is_best: Whether predictions that are right and certain are the best ones. By default true.
        order_counts: Whether it depends on the order of the rows. By default false.
    """

    kind: ClassVar[Kind] = "metric"
    task: ClassVar[Task] = Task("classification", ("text",), "label", ("no", "yes"))
    cases: ClassVar[Sequence[Case]] = ()
    without_value: ClassVar[Collection[str]] = ()
    perfect_is_best: ClassVar[bool] = True
    order_counts: ClassVar[bool] = False

    def make_predictions(self) -> Predictions:
        """Some predictions with labels, not all of them right; to be overridden for a task of another kind than
        classification, "multi_label" and regression. What is asked of rows in another order, of one row and of rows
        that are all alike is made of these, with their `rows` and `decoded`.
        """
        if self.task.kind not in said.KINDS:
            fail(
                f"{type(self).__name__} makes no predictions of the kind {self.task.kind}", "Give it make_predictions."
            )
        return said.ordinary(self.task)

    def test_it_gives_the_numbers_that_it_promises(self) -> None:
        """Those and only those, each a number."""
        promised = self._promised()
        expect(bool(promised), f"yields of {self.who} promises no number", 'Such as {"kappa": "max"}.')
        evaluator = self._evaluator()
        with answering(f"the evaluator of {self.who}, given ordinary predictions,"):
            try:
                numbers = evaluator(self.make_predictions())
            except WritingError:
                pytest.skip("it writes into predictions, which another test is about")
            except ExperimentError as error:
                fail(str(error), "yields and what the evaluator gives must name the same numbers.")
        for name, number in numbers.items():
            expect(math.isfinite(number), f"{name} of {self.who} is {number} on ordinary predictions")

    def test_its_numbers_are_those_of_the_cases(self) -> None:
        """The numbers are those that its author has worked out by hand."""
        if not self.cases:
            pytest.skip("no case is given: cases = [(labels, predictions, {name: number})]")
        for place, told in enumerate(self.cases):
            given: Sequence[Any] = told[:-1]
            expected: Mapping[str, Any] = told[-1]
            if isinstance(given[0], Predictions):
                case, predictions = f"the predictions of cases[{place}]", given[0]
            else:
                case = f"the labels {list(given[0])} and the predictions {list(given[1])}"
                predictions = said.predictions_of(self.task, *given)
            numbers = self._measure(predictions, case)
            for name, number in expected.items():
                expect(name in numbers, f"cases expect {name} of {self.who}, which gives {', '.join(numbers)}")
                sound = numbers[name] == (number if not _is_plain(number) else _about(number))
                expect(sound, f"{name} of {self.who} is {numbers[name]!r} for {case}; expected: {number}")

    def test_perfect_predictions_are_the_best(self) -> None:
        """In the direction that `yields` says."""
        self._needs_made_up()
        if not self.perfect_is_best:
            pytest.skip("perfect_is_best = False")
        best = self._measure(said.perfect(self.task), "perfect predictions")
        for other in said.worse(self.task):
            numbers = self._measure(other, "predictions that are partly wrong")
            for name, direction in self._promised().items():
                gain = (numbers[name] - best[name]) * (1 if direction == "max" else -1)
                hint = f'Is "{direction}", as yields says, the better direction? If so: perfect_is_best = False.'
                message = f"{name} of {self.who} is {best[name]!r} where all is right, and {numbers[name]!r} where not"
                expect(not math.isnan(best[name]) and not gain > 1e-6, message, hint)

    def test_labels_of_one_class_end_no_run(self) -> None:
        """They have a finite value, or none where `without_value` says so."""
        self._meets(said.ONE_CLASS, said.one_class(self.make_predictions()))

    def test_predictions_that_are_all_alike_end_no_run(self) -> None:
        """They have a finite value, or none where `without_value` says so."""
        self._meets(said.CONSTANT, said.constant(self.make_predictions()))

    def test_one_row_ends_no_run(self) -> None:
        """It has a finite value, or none where `without_value` says so."""
        self._meets(said.ONE_ROW, said.picked(self.make_predictions(), [0]))

    def test_the_order_of_rows_does_not_count(self) -> None:
        """Rows in another order give the same numbers, to rounding."""
        if self.order_counts:
            pytest.skip("order_counts = True")
        predictions = self.make_predictions()
        numbers = self._measure(predictions, "ordinary predictions")
        order = said.turned(len(predictions.logits))
        turned = self._measure(said.picked(predictions, order), "the same rows in another order")
        for name, number in numbers.items():
            hint = "Count each row by itself; if the order means something, say so: order_counts = True."
            message = f"{name} of {self.who} is {number!r}, and {turned[name]!r} for the same rows in another order"
            expect(turned[name] == pytest.approx(number, rel=1e-6, abs=1e-9, nan_ok=True), message, hint)

    def test_asked_again_it_gives_the_same(self) -> None:
        """It keeps nothing, alters nothing (arrays are read-only) and draws nothing."""
        predictions, evaluator = self.make_predictions(), self._evaluator()
        try:
            evaluator(self.make_predictions())
        except WritingError as error:
            fail(str(error))
        except ExperimentError:
            pass  # what follows tells of it
        self._measure(self.make_predictions(), "ordinary predictions")
        with nothing_drawn(f"an evaluation by {self.who}"), answering(f"the evaluator of {self.who}"):
            first, second = dict(evaluator(predictions)), dict(evaluator(predictions))
        hint = "Keep nothing from one evaluation to the next."
        expect(_same(first, second), f"{self.who} gives {first} and, asked again, {second}", hint)
        with answering(f"the evaluator of {self.who}"), contextlib.suppress(MetricError):  # another test's
            evaluator(said.picked(predictions, range(0, len(predictions.logits), 2)))
            third = dict(evaluator(predictions))
            expect(_same(first, third), f"{self.who} gives {first} and, asked of others meanwhile, {third}", hint)

    def test_a_task_that_it_does_not_suit_is_told(self) -> None:
        """`yields` promises numbers for a task, or raises an `ExperimentError`."""
        metric = self.part.component(Metric)
        for kind in said.KINDS:
            for task in (tiny_task(kind), tiny_task(kind, classes=2), Task("another kind", ("text",))):
                with answering(f"yields of {self.who}, asked of a task of {task.kind} with {task.num_labels} outputs,"):
                    try:
                        metric.yields(self.part.settings, task)
                    except FtrunError:
                        continue
                self._yields(task)
                if kind == task.kind:
                    self._check_promise(task)

    def _check_promise(self, task: Task) -> None:
        """Numbers that are promised for a task are given."""
        hint = "Where it does not suit a task, yields raises an ExperimentError that says so."
        what = f"{self.who} promises numbers of a task of {task.kind} with {task.num_labels} outputs"
        try:
            build_evaluator(self.part, task)(said.ordinary(task))
        except MetricError as error:
            fail(f"{what}, and gives none: {error}", hint)
        except ExperimentError:
            pass  # which other tests are about

    def test_a_run_measures_it(self) -> None:
        """A run's evaluation has its numbers, by the names that it promised."""
        overrides: dict[str, Any] = {"training.max_steps": 1}
        if not self._brings("dataset"):
            overrides["dataset.kind"] = self.task.kind
            if self.task.class_names:
                overrides["dataset.classes"] = self.task.num_labels
            if self.task.kind not in said.KINDS or not self._suits_tiny():
                pytest.skip("the small data set has no task that it suits, and `experiment` brings no other")
        run = self.run({**overrides, "metrics": [{"use": self.use, **self.table}]}, "a run")
        missing = [name for name in self._promised() if ("eval/" + name, 1) not in run.points]
        expect(not missing, f"a run with {self.who} has no {', '.join(missing)}")

    def try_out(self, settings: Settings) -> None:
        """Builds an evaluator."""
        metric = self.part.component(Metric)
        metric.yields(settings, self.task)
        metric.build(settings, self.task)

    def _promised(self) -> Mapping[str, Direction]:
        return self._yields(self.task)

    def _yields(self, task: Task) -> Mapping[str, Direction]:
        try:
            return yields_of(self.part, "metrics", task)
        except FtrunError as error:
            fail(f"of a task of {task.kind}: {error}")

    def _evaluator(self) -> Any:
        with answering(f"build of {self.who}"):
            return build_evaluator(self.part, self.task)

    def _measure(self, predictions: Predictions, what: str) -> Mapping[str, float]:
        evaluator = self._evaluator()
        with answering(f"the evaluator of {self.who}, given {what},"):
            try:
                numbers: Mapping[str, float] = evaluator(predictions)
            except MetricError as error:
                raise (error.__cause__ or error) from None
            except ExperimentError as error:
                pytest.skip(f"it does not give the numbers that it promises: {error}")
        return numbers

    def _meets(self, which: str, predictions: Predictions) -> None:
        numbers = self._measure(predictions, UNDOING[which])
        for name, number in numbers.items():
            if which in self.without_value and math.isnan(number):
                continue
            hint = f'Give a finite number, or NaN where there is none, and say so: without_value = ["{which}"].'
            expect(math.isfinite(number), f"{name} of {self.who} is {number} on {UNDOING[which]}", hint)
        stale = which in self.without_value and all(map(math.isfinite, numbers.values()))
        expect(not stale, f'{self.who} has a value on {UNDOING[which]}; take "{which}" out of without_value')

    def _needs_made_up(self) -> None:
        if self.task.kind not in said.KINDS:
            pytest.skip(f"no predictions of the kind {self.task.kind} can be made up here")

    def _suits_tiny(self) -> bool:
        task = tiny_task(self.task.kind, classes=self.task.num_labels)
        try:
            return set(yields_of(self.part, "metrics", task)) == set(self._promised())
        except ExperimentError:
            return False


def _is_plain(number: Any) -> bool:
    return isinstance(number, (int, float))


def _about(number: float) -> Any:
    return pytest.approx(number, rel=1e-4, abs=1e-6, nan_ok=True)


def _same(one: Table, other: Table) -> bool:
    return all(one[name] == other[name] or (math.isnan(one[name]) and math.isnan(other[name])) for name in one)
