"""What a person watching a run sees: live bars and tables on a terminal, plain lines in a pipe or in CI."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, cast

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
from ftrun.experiment import absolute_store
from ftrun.feeder import DEFAULT_STORE, Delivery
from ftrun.parts import Part
from ftrun.plan import Plan
from ftrun.redaction import address, redacted, redacted_uri
from ftrun.results import RunResult

LINE_SECONDS = 10.0
"""Seconds between two plain lines of training progress."""


class Watcher:
    """Sees a run go by. The base looks away: it is what `ftrun.run(progress=False)` uses."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run_started(self, plan: Plan, run_folder: Path) -> None:
        """The plan stands; the run folder is made."""

    def working(self, what: str) -> None:
        """Something that may take a while and has no measure begins."""

    def notice(self, sentence: str) -> None:
        """Something that a person should know."""

    def data_opened(self, splits: Splits) -> None:
        """The data set is open."""

    def encoding(self, split: str, done: int, total: int) -> None:
        """So many rows of a split are tokenized."""

    def training_started(self, total_steps: int, first_step: int) -> None:
        """Training begins."""

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        """One optimizer step was taken."""

    def evaluating(self, split: str, done: int, total: int) -> None:
        """So many rows of a split are evaluated."""

    def evaluated(self, report: EvaluationReport) -> None:
        """An evaluation is finished."""

    def checkpoint_saved(self, step: int, folder: Path) -> None:
        """A checkpoint stands."""

    def delivering(self, delivery: Delivery) -> None:
        """The run is over but for what MLflow has not got yet; told again and again."""

    def run_finished(self, result: RunResult, pending: int) -> None:
        """The run has ended; MLflow lacks `pending` records."""


class _LastingFile:
    """Standard output or error, that nobody may be reading any more: `| head`, a terminal that has gone."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with self._given_up_if_broken():
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with self._given_up_if_broken():
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    @contextlib.contextmanager
    def _given_up_if_broken(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), self._file.fileno())


def make_console(stderr: bool = False) -> Console:
    """Where a run is shown; a run goes on where nobody is left to see it."""
    return Console(file=cast(TextIO, _LastingFile(sys.stderr if stderr else sys.stdout)))


def make_watcher(console: Console) -> Watcher:
    """The watcher that fits the console: live on a terminal, plain lines elsewhere."""
    return LiveWatcher(console) if console.is_terminal and not console.is_dumb_terminal else PlainWatcher(console)


class PlainWatcher(Watcher):
    """Plain lines, for pipes, files and CI."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._total = 0
        self._spoke = 0.0
        self._rate = _Rate()

    def say(self, text: str | Text) -> None:
        self.console.print(_public(text), highlight=False, soft_wrap=True, markup=False)

    def run_started(self, plan: Plan, run_folder: Path) -> None:
        self.say(_heading(plan, run_folder))

    def notice(self, sentence: str) -> None:
        self.say(Text(f"note: {sentence}", style="yellow"))

    def data_opened(self, splits: Splits) -> None:
        self.say(_data_line(splits))

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
        self.say(f"evaluation at step {report.step:,}, epoch {report.epoch:.2f}: {_metrics_line(report.metrics)}")

    def delivering(self, delivery: Delivery) -> None:
        if time.monotonic() - self._spoke >= LINE_SECONDS:
            self._spoke = time.monotonic()
            self.say(_delivering(delivery))

    def run_finished(self, result: RunResult, pending: int) -> None:
        for line in _summary(result, pending):
            self.say(line)


class LiveWatcher(PlainWatcher):
    """Bars that move: one for what goes on now, one for the training as a whole."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            _CountColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
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
        self.console.print(_public(text), highlight=False, markup=False)  # a terminal's lines break between words

    def working(self, what: str) -> None:
        if what in self._passing:
            return
        self._clear()
        self._passing[what] = self._bars.add_task(what, total=None, detail="")

    def encoding(self, split: str, done: int, total: int) -> None:
        self._passing_bar(f"tokenizing {split}", done, total)

    def evaluating(self, split: str, done: int, total: int) -> None:
        self._passing_bar(f"evaluating {split}", done, total)

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

    def delivering(self, delivery: Delivery) -> None:
        if self._training is not None:
            self._bars.remove_task(self._training)
            self._training = None
        self.working(_delivering(delivery))

    def run_finished(self, result: RunResult, pending: int) -> None:
        self._clear()
        self._live.stop()
        super().run_finished(result, pending)

    def _passing_bar(self, what: str, done: int, total: int) -> None:
        if what not in self._passing:
            self._clear()
            self._passing[what] = self._bars.add_task(what, total=total, detail="")
        self._bars.update(self._passing[what], completed=done, total=total)
        if done >= total:
            self._clear()

    def _clear(self) -> None:
        for task in self._passing.values():
            self._bars.remove_task(task)
        self._passing.clear()


class _CountColumn(MofNCompleteColumn):
    """So many of so many; nothing where there is no measure."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.total is not None else Text("")


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


def _delivering(delivery: Delivery) -> str:
    doing = f", now {delivery.doing}" if delivery.doing else ""
    trouble = f" ({delivery.error})" if delivery.error else ""
    return f"delivering to MLflow: {delivery.pending:,} records left{doing}{trouble[:160]}"


def _heading(plan: Plan, run_folder: Path) -> Text:
    profile = f", profile {plan.profile}" if plan.profile else ""
    text = Text()
    text.append(f"{plan.name}", style="bold")
    text.append(f" on {plan.backend.use} ({plan.path}{profile})\n")
    text.append(f"  data set  {_told(plan.dataset)}\n")
    text.append(f"  model     {_told(plan.model)}\n")
    text.append(f"  run       {_short(run_folder)}")
    return text


def _told(part: Part) -> str:
    """A part by its name and what was set of it."""
    chosen = part.settings.model_dump(exclude_defaults=True)
    rest = ", ".join(f"{key} {value}" for key, value in chosen.items() if not isinstance(value, dict))
    return f"{part.use}" + (f": {rest}" if rest else "")


def _short(path: Path) -> str:
    """A path as a person in this folder would write it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _data_line(splits: Splits) -> str:
    rows = [f"train {len(splits.train):,}", *(f"{name} {len(rows):,}" for name, rows in splits.evaluation.items())]
    rows += [f"{name} {len(rows):,}" for name, rows in splits.test.items()]
    return f"{splits.name}: {', '.join(rows)} rows, revision {splits.digest[:12]}"


def _metrics_line(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{key.removeprefix('eval/')} {value:.4f}" for key, value in metrics.items())


def _summary(result: RunResult, pending: int) -> list[Text]:
    style = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow"}[result.status]
    lines = [Text.assemble((f"{result.status.lower():<10}", f"bold {style}"), (result.error or "").split("\n")[0])]
    speed = f", {result.examples_per_second:.1f} examples/s in training" if result.examples_per_second else ""
    facts = {
        "metrics": _metrics_line(result.metrics),
        "time": f"{result.seconds:.1f} s, {result.steps:,} steps{speed}",
        "run": _short(result.run_folder),
        "MLflow": f"{result.run_id} at {result.tracking_uri}" if result.run_id else "",
        "pending": f"{pending} records are not in MLflow yet: ftrun sync {_short(result.run_folder)}"
        if pending
        else "",
    }
    lines += [Text(f"{label:<10}{fact}") for label, fact in facts.items() if fact]
    return [*lines, Text.assemble(f"{'next':<10}", (_next_command(result), "bold"))]


def _next_command(result: RunResult) -> str:
    if result.status == "KILLED":
        return f"{_command('ftrun')} resume {_short(result.run_folder)}"
    return f"less {_short(result.run_folder / 'log.txt')}" if result.status == "FAILED" else open_mlflow(result)


def open_mlflow(result: RunResult) -> str:
    """The command that shows a run in MLflow's pages."""
    uri = result.tracking_uri or absolute_store(DEFAULT_STORE)
    command = f"{_command('mlflow')} ui"
    if uri.startswith("http"):
        return f"open {uri.partition('?')[0]}"
    if uri == absolute_store(DEFAULT_STORE):
        return command
    around = os.environ.get("MLFLOW_TRACKING_URI", "")
    if redacted_uri(around) != around and address(redacted_uri(around)) == uri:
        return f'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {command}'
    return f"{command} --backend-store-uri {shlex.quote(uri)}"


def _command(name: str) -> str:
    """How to call a command of this Python's environment from here."""
    beside = Path(sys.executable).with_name(name)  # a virtual environment that is not activated
    return name if shutil.which(name) or not beside.exists() else _short(beside)
