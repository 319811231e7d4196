"""The one reporter of a run: fans what a backend reports out to the journal, the person watching and the observers."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ftrun.contracts import EvaluationReport, StepReport
from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.execution.totals import Totals
from ftrun.execution.watcher import Watcher
from ftrun.runs.checkpoints import Checkpoint, Checkpoints, damage_of
from ftrun.runs.journal import Journal
from ftrun.runs.records import CheckpointRecord

LEAST_SCALE = 2.0**-14
"""The least positive normal number of float16: with the loss scaled by less, it is not the scale that makes
gradients overflow."""


class RunReporter:
    """Implements `contracts.Reporter`.

    Numbers that are still on a device are read by a thread, in order, so that the training thread never waits for them;
    numbers at hand are recorded at once.
    """

    def __init__(
        self,
        journal: Journal,
        watcher: Watcher,
        checkpoints_folder: Path,
        save_total_limit: int | None,
        on_evaluated: Callable[[EvaluationReport], None],
        resumed_from: int = 0,
        backend: str = "the backend",
        checkpoint_format: str | None = None,
    ) -> None:
        self._journal = journal
        self._watcher = watcher
        self._checkpoints = Checkpoints(
            checkpoints_folder, save_total_limit, self._checkpoint_published, resumed_from, checkpoint_format
        )
        self._resumed_from = resumed_from
        self._backend = backend
        self._checkpointed = resumed_from
        self.best_step: int | None = None
        self.on_published: Callable[[int, Path, bool], None] | None = None
        self.on_started: Callable[[int], None] | None = None
        self._on_evaluated = on_evaluated
        self._reader: ThreadPoolExecutor | None = None
        self._unread: list[Future[None]] = []
        self._mark = time.perf_counter()
        self._stop_requested = False
        self._not_finite: str | None = None
        self.is_training = False
        self.steps = 0
        self.total_steps: int | None = None
        self.totals = Totals()

    @property
    def stop_requested(self) -> bool:
        return self._stop_requested or self._not_finite is not None

    @property
    def is_checkpointed(self) -> bool:
        """Whether there is a checkpoint of the last step, so that a run that ends now goes on after it."""
        return self.steps > 0 and self._checkpointed == self.steps

    def request_stop(self) -> None:
        """Ask the backend to stop after the step that it is in."""
        self._stop_requested = True

    def training_started(self, total_steps: int, first_step: int = 1) -> None:
        if self.is_training:
            raise self._fault("says twice that training has started")
        if first_step != self._resumed_from + 1:
            behind = f"{self._resumed_from} steps are behind"
            raise self._fault(f"begins at step {first_step}, and {behind}: it must begin at {self._resumed_from + 1}")
        self.is_training = True
        self.steps, self.total_steps = first_step - 1, total_steps
        self._watcher.training_started(total_steps, first_step)
        if self.on_started:
            self.on_started(total_steps)
        self._mark = time.perf_counter()

    def stepped(self, report: StepReport) -> None:
        self._check_training(f"reports step {report.step}")
        if report.step != self.steps + 1:
            raise self._fault(f"reports step {report.step} after step {self.steps}: it must be {self.steps + 1}")
        now = time.perf_counter()
        self.totals.took(report, now - self._mark)
        self._mark = now
        self.steps = report.step
        if self._reader is None and not _on_device(report.loss) and not _on_device(report.tokens):
            self._record(report)
        else:
            self._reader = self._reader or ThreadPoolExecutor(1, "ftrun-reporter")
            self._unread = [future for future in self._unread if not future.done() or future.exception()]
            self._unread.append(self._reader.submit(self._record, report))

    def _record(self, report: StepReport) -> None:
        loss, grad_norm = float(report.loss), float(report.grad_norm)
        values = {
            "train/loss": loss,
            "train/learning_rate": report.learning_rate,
            "epoch": report.epoch,
        }
        if not report.skipped:
            values["train/grad_norm"] = grad_norm
        if report.loss_scale is not None:
            values["train/loss_scale"] = report.loss_scale
        self._journal.metrics(report.step, values)
        self.totals.read(report)
        self._watcher.stepped(report.step, report.epoch, loss)
        self._not_finite = self._not_finite or _not_finite(report, loss, grad_norm)

    def evaluating(self, split: str, done: int, total: int) -> None:
        self._watcher.evaluating(split, done, total)

    def evaluated(self, report: EvaluationReport) -> None:
        self._check_training(f"reports an evaluation of step {report.step}")
        if report.step != self.steps:
            raise self._fault(f"reports an evaluation of step {report.step} after step {self.steps}")
        if wrong := [key for key in report.metrics if not str(key).startswith("eval/")]:
            raise self._fault(f'reports "{wrong[0]}" of an evaluation: its keys must begin with "eval/"')
        self._read_all()
        self._journal.metrics(report.step, {key: float(value) for key, value in report.metrics.items()})
        self._watcher.evaluated(report)
        self._on_evaluated(report)
        self._mark = time.perf_counter()

    def settle(self) -> None:
        self._read_all()
        self._checkpoints.wait()
        self._journal.sync()
        if not self._journal.path.exists():
            raise RunError(f"the run folder {self._journal.path.parent} is gone: nothing can be written there")
        if self._not_finite:
            raise RunError(self._not_finite)

    @contextlib.contextmanager
    def checkpoint(self, step: int, best_step: int | None = None) -> Iterator[Path]:
        self._check_training(f"writes a checkpoint of step {step}")
        if step != self.steps:
            raise self._fault(f"writes a checkpoint of step {step} after step {self.steps}")
        if step == self._checkpointed:
            raise self._fault(f"writes the checkpoint of step {step} twice")
        self.settle()
        self.best_step = best_step  # the one before is published
        with self._checkpoints.writing(step, best_step) as folder:
            yield folder
            if not any(folder.iterdir()):
                raise self._fault(f"wrote nothing into the checkpoint of step {step}")
        self._checkpointed = step
        self._mark = time.perf_counter()

    def checkpoint_folder(self, step: int) -> Path:
        return self._checkpoints.folder_of(step)

    def whole_checkpoint(self, step: int) -> Path:
        folder = self._checkpoints.folder_of(step)
        if damage := damage_of(folder):
            raise RunError(f"{folder.name} is needed, and is not whole: {damage}")
        return folder

    def _check_training(self, does: str) -> None:
        if not self.is_training:
            raise self._fault(f"{does}, and has not called training_started")

    def _fault(self, message: str) -> ExperimentError:
        return ExperimentError(Problem(f"{self._backend} {message}", "backend"))

    def _checkpoint_published(self, checkpoint: Checkpoint) -> None:
        self._journal.append(CheckpointRecord(checkpoint.step, checkpoint.folder.name))
        if self.on_published:
            self.on_published(checkpoint.step, checkpoint.folder, checkpoint.step == self.total_steps)
        self._watcher.checkpoint_saved(checkpoint.step, checkpoint.folder)

    def close(self) -> None:
        """Read what is still unread, see the last checkpoint published and let the threads go."""
        self.is_training = False
        try:
            self._read_all()
            self._checkpoints.close()
        finally:
            if self._reader:
                self._reader.shutdown()

    def _read_all(self) -> None:
        unread, self._unread = self._unread, []
        for future in unread:
            future.result()


def _not_finite(report: StepReport, loss: float, grad_norm: float) -> str | None:
    """Why a run ends after a step: nothing that comes after it would be worth keeping."""
    advice = "try a smaller learning rate, or max_grad_norm to clip gradients"
    if not math.isfinite(loss):
        return f"the loss is {loss} at step {report.step}: {advice}"
    if not report.skipped:
        return None if math.isfinite(grad_norm) else f"the gradient norm is {grad_norm} at step {report.step}: {advice}"
    if report.loss_scale is None or report.loss_scale >= LEAST_SCALE:
        return None
    told = f"the gradients overflow at step {report.step}, though the loss is scaled by {report.loss_scale:.0e} alone"
    return f"{told}: {advice}, or bf16 = true in place of fp16"


def _on_device(value: Any) -> bool:
    """Whether reading a number would wait for an accelerator."""
    device = getattr(value, "device", None)
    return device is not None and getattr(device, "type", "cpu") != "cpu"
