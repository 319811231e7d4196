"""What a person watching a run sees: live bars on a terminal, plain lines in a pipe or in CI."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ftrun.contracts import EvaluationReport, Splits
from ftrun.execution.watcher import Watcher
from ftrun.planning.plan import Plan
from ftrun.redaction import redacted
from ftrun.runs.results import RunResult
from ftrun.screen.listing import readable
from ftrun.screen.notebook import NotebookProgress
from ftrun.screen.wording import data_line, delivering_line, heading, metrics_line, summary
from ftrun.tracking.state import Delivery

LINE_SECONDS = 10.0
"""Seconds between two plain lines of training progress."""


def make_watcher(console: Console) -> PlainWatcher:
    """The watcher that fits the console: live on a terminal and in a notebook, plain lines elsewhere."""
    is_live = console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
    return LiveWatcher(console) if is_live else PlainWatcher(console)


class PlainWatcher(Watcher):
    """Plain lines, for pipes, files and CI.

    Attributes:
        notices: How many sentences a person was told that stop nothing.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.notices = 0
        self._total = 0
        self._spoke = 0.0
        self._rate = _Rate()

    def say(self, text: str | Text) -> None:
        self.console.print(_public(text), highlight=False, soft_wrap=True, markup=False, emoji=False)

    def run_started(self, plan: Plan, run_folder: Path) -> None:
        self.say(heading(plan, run_folder))

    def notice(self, sentence: str) -> None:
        self.notices += 1
        self.say(Text(f"note: {sentence}", style="yellow"))

    def data_opened(self, splits: Splits) -> None:
        self.say(data_line(splits))

    def fetching(self, run: str, done: int, total: int) -> None:
        if done >= total:
            self.say(f"the model of {run} is from MLflow: {readable(total)}")

    def encoding(self, split: str, done: int, total: int) -> None:
        if done >= total:
            self.say(f"tokenized {split}: {total:,} rows")

    def training_started(self, total_steps: int, first_step: int) -> None:
        self._total = total_steps
        self._rate.start(first_step - 1)
        self._spoke = time.monotonic()
        after = f", {first_step - 1:,} of them behind" if first_step > 1 else ""
        self.say(f"training: {total_steps:,} steps{after}")

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        if time.monotonic() - self._spoke >= LINE_SECONDS:
            self._spoke = time.monotonic()
            speed = self._rate.per_second(step)
            self.say(f"step {step:,}/{self._total:,}  epoch {epoch:.2f}  loss {loss:.4f}  {speed:.2f} steps/s")

    def evaluated(self, report: EvaluationReport) -> None:
        self.say(f"evaluation at step {report.step:,}, epoch {report.epoch:.2f}: {metrics_line(report.metrics)}")

    def tested(self, step: int, metrics: Mapping[str, float], predicted: Sequence[str]) -> None:
        if metrics:
            told = metrics_line({key.removeprefix("test/"): value for key, value in metrics.items()})
            self.say(f"test of the model of step {step:,}: {told}")
        if predicted:
            self.say(f"predicted by the model of step {step:,}: {', '.join(predicted)}")

    def delivering(self, delivery: Delivery) -> None:
        if time.monotonic() - self._spoke >= LINE_SECONDS:
            self._spoke = time.monotonic()
            self.say(delivering_line(delivery))

    def run_finished(self, result: RunResult, pending: int) -> None:
        for line in summary(result, pending):
            self.say(line)


class LiveWatcher(PlainWatcher):
    """Bars that move: one for what goes on now, one for the training as a whole."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),  # names and errors are shown as they are
            BarColumn(),
            _CountColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bars: Progress
        self._live: Live | NotebookProgress
        if console.is_jupyter:
            self._bars = self._live = NotebookProgress(*columns, console=console)
        else:
            self._bars = Progress(*columns, console=console)
            self._live = Live(Group(self._bars), console=console, transient=True, refresh_per_second=8)
        self._training: TaskID | None = None
        self._passing: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, text: str | Text) -> None:
        self.console.print(
            _public(text), highlight=False, markup=False, emoji=False
        )  # a terminal's lines break between words

    def working(self, what: str) -> None:
        if what in self._passing:
            return
        self._clear()
        self._passing[what] = self._bars.add_task(what, total=None, detail="")

    def fetching(self, run: str, done: int, total: int) -> None:
        self._passing_bar(f"fetching {run} from MLflow", done, total, f"{readable(done)} of {readable(total)}")

    def encoding(self, split: str, done: int, total: int) -> None:
        self._passing_bar(f"tokenizing {split}", done, total)

    def evaluating(self, split: str, done: int, total: int) -> None:
        self._passing_bar(f"evaluating {split}", done, total)

    def predicting(self, name: str, done: int, total: int) -> None:
        self._passing_bar(f"predicting {name}", done, total)

    def training_started(self, total_steps: int, first_step: int) -> None:
        self._clear()
        self._total = total_steps
        self._rate.start(first_step - 1)
        self._training = self._bars.add_task("training", total=total_steps, completed=first_step - 1, detail="")

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        if self._training is not None:
            detail = f"epoch {epoch:.2f}  loss {loss:.4f}  {self._rate.per_second(step):.1f} steps/s"
            self._bars.update(self._training, completed=step, detail=detail)

    def evaluated(self, report: EvaluationReport) -> None:
        self._clear()
        super().evaluated(report)

    def tested(self, step: int, metrics: Mapping[str, float], predicted: Sequence[str]) -> None:
        self._clear()
        super().tested(step, metrics, predicted)

    def delivering(self, delivery: Delivery) -> None:
        if self._training is not None:
            self._bars.remove_task(self._training)
            self._training = None
        self.working(delivering_line(delivery))

    def run_finished(self, result: RunResult, pending: int) -> None:
        self._clear()
        self._live.stop()
        super().run_finished(result, pending)

    def _passing_bar(self, what: str, done: int, total: int, instead: str = "") -> None:
        """A bar for what goes on now, with how many of how many are behind, or what is said instead."""
        if what not in self._passing:
            self._clear()
            self._passing[what] = self._bars.add_task(what, total=total, detail=instead, counted=not instead)
        self._bars.update(self._passing[what], completed=done, total=total, detail=instead)
        if done >= total:
            self._clear()

    def _clear(self) -> None:
        for task in self._passing.values():
            self._bars.remove_task(task)
        self._passing.clear()


class _CountColumn(MofNCompleteColumn):
    """So many of so many; nothing where there is no measure, or another one is told."""

    def render(self, task: Task) -> Text:
        counts = task.total is not None and task.fields.get("counted", True)
        return super().render(task) if counts else Text("")


class _Rate:
    """Steps a second since training started."""

    def start(self, step: int) -> None:
        self._first, self._began = step, time.monotonic()

    def per_second(self, step: int) -> float:
        return (step - self._first) / max(time.monotonic() - self._began, 1e-9)


def _public(text: str | Text) -> str | Text:
    """The text without secrets; it loses its colours only where it has some."""
    plain = str(text)
    return text if redacted(plain) == plain else redacted(plain)
