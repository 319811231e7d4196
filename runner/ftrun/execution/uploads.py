"""The checkpoints that MLflow is to have: kept aside, whatever `save_total_limit` removes, until it has them."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from ftrun.contracts import BestBy, BuiltModel, EvaluationReport, Splits
from ftrun.execution.model_facts import model_facts
from ftrun.runs.checkpoints import PREFIX
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_evaluations, read_history
from ftrun.runs.journal import Journal, read_current, read_journal
from ftrun.runs.records import CheckpointRecord, ModelRecord
from ftrun.tracking.mlmodel import model_files

log = logging.getLogger(__name__)

Policy = Literal["none", "best", "last", "all"]


class Choice:
    """Which checkpoints are for MLflow.

    Of `"best"` the one with the best evaluation of its own step; as long as none has one, the newest.

    Args:
        policy: As the file has it.
        best_by: What makes one better than another; None where nobody asks.
    """

    def __init__(self, policy: Policy, best_by: BestBy | None) -> None:
        self.policy = policy
        self._best_by = best_by
        self._best: float | None = None
        self._values: dict[int, float] = {}

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """How good the checkpoint of a step is."""
        if self._best_by and self._best_by.key in metrics:
            self._values[step] = float(metrics[self._best_by.key])

    def takes(self, step: int) -> bool:
        """Whether the checkpoint of a step, which is newer than those asked for before, is for MLflow."""
        if self.policy != "best" or self._best_by is None:
            return self.policy in ("all", "last")
        value = self._values.get(step, math.nan)
        if not math.isfinite(value):
            return self._best is None
        if self._best is not None:
            better = value > self._best if self._best_by.greater_is_better else value < self._best
            if not better:
                return False
        self._best = value
        return True

    def recall(self, folder: RunFolder, step: int) -> None:
        """Go on after the checkpoints before a step, with the evaluations up to it, as the journal tells of them."""
        counts_after = read_history(folder).best_counts_after
        for at, points in read_evaluations(folder).items():
            if counts_after < at <= step:
                self.evaluated(at, {point.key: point.value for point in points})
        records = (entry.record for entry, _ in read_current(folder.journal))
        for earlier in sorted({record.step for record in records if isinstance(record, CheckpointRecord)}):
            if earlier < step:
                self.takes(earlier)


class Uploads:
    """Offers checkpoints to MLflow as they are published.

    The one after the last step is held back until the training is over: it may be evaluated yet, and if its weights are
    the run's model, they need not travel twice.

    Args:
        journal: The run's; folder: the run's.
        choice: Which ones.
        built: The model, and its tokenizer; splits: what it learns from.
    """

    def __init__(self, journal: Journal, folder: RunFolder, choice: Choice, built: BuiltModel, splits: Splits) -> None:
        self._journal = journal
        self._folder = folder
        self._choice = choice
        self._held: int | None = None
        self._facts: Callable[[str, int, Path], ModelRecord | str] = lambda path, step, made: model_facts(
            path, step, built, splits, made
        )

    def evaluated(self, report: EvaluationReport) -> None:
        """An evaluation tells how good the checkpoint of its step is."""
        self._choice.evaluated(report.step, report.metrics)

    def offer(self, step: int, checkpoint: Path, is_last: bool) -> None:
        """A checkpoint is published; is it one for MLflow, its model is kept aside, and the journal says so.

        Args:
            step: The optimizer steps before it.
            checkpoint: Its folder.
            is_last: Whether it is the one after the last step.
        """
        if self._choice.policy == "none":
            return
        with _warned(checkpoint.name):
            if is_last:
                self._held = step
                _keep(checkpoint, self._aside(step))
            elif self._choice.takes(step):
                _keep(checkpoint, self._aside(step))
                self._tell(step)

    def settle(self, model_step: int | None) -> None:
        """The training is over: what was held back is offered.

        Args:
            model_step: The step whose weights the run's model has, if that is on its way to MLflow.
        """
        step, self._held = self._held, None
        if step is None:
            return
        with _warned(self._aside(step).name):
            if not self._aside(step).is_dir() or not self._choice.takes(step):
                _remove(self._aside(step))
            else:
                self._tell(step, is_model=step == model_step)

    def go_on(self, step: int, checkpoint: Path, is_last: bool) -> None:
        """The run goes on from a checkpoint, of which a process that died may not have come to tell.

        Args:
            step: The optimizer steps before it; checkpoint: its folder.
            is_last: Whether it is the one after the last step.
        """
        if self._choice.policy == "none":
            return
        records = (entry.record for entry, _ in read_journal(self._folder.journal))
        told = {record.name for record in records if isinstance(record, ModelRecord)}
        with _warned(checkpoint.name):
            for left in list(self._folder.uploads.glob("*")):
                if left.name not in told:
                    _remove(left)
        self._choice.recall(self._folder, step)
        if checkpoint.name not in told:
            self.offer(step, checkpoint, is_last)
        else:
            self._choice.takes(step)

    def _aside(self, step: int) -> Path:
        return self._folder.uploads / f"{PREFIX}{step}"

    def _tell(self, step: int, is_model: bool = False) -> None:
        """Have the journal say that a checkpoint is kept; what it supersedes may go only then.

        Args:
            step: The optimizer steps before it.
            is_model: Whether the run's model has the same weights.
        """
        aside = self._aside(step)
        facts = self._facts(aside.relative_to(self._folder.path).as_posix(), step, aside)
        if is_model or isinstance(facts, str):
            _remove(aside)
        if isinstance(facts, str):  # said at the end, of the model
            return
        supersedes = self._choice.policy != "all"
        self._journal.append(ModelRecord(**{**vars(facts), "name": aside.name, "supersedes": supersedes}))
        for other in list(self._folder.uploads.glob("*")) if supersedes else ():
            if other != aside:
                _remove(other)


@contextlib.contextmanager
def _warned(name: str) -> Iterator[None]:
    """A checkpoint that cannot be kept is no reason to end a training."""
    try:
        yield
    except OSError as error:
        log.warning("%s is not kept for MLflow: %s", name, error)


def _keep(checkpoint: Path, aside: Path) -> None:
    """Hold the files of a checkpoint's model by names of their own, which takes no room on the disk."""
    _remove(aside)
    aside.mkdir(parents=True)
    for file in model_files(checkpoint):
        try:
            os.link(file, aside / file.name)
        except OSError:  # a file system without links
            shutil.copy2(file, aside / file.name)


def _remove(aside: Path) -> None:
    """Never half of it under its own name: whoever uploads it finds all of it, or nothing."""
    if aside.exists():
        gone = aside.with_name(f".{aside.name}.removed")
        shutil.rmtree(gone, ignore_errors=True)
        aside.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
