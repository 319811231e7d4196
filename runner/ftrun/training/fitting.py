"""What the three loops share between optimizer steps: reporting, evaluating, saving, resuming, and the end."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import TrainerState

from ftrun.contracts import EvaluationReport, FitResult, Job, Predictions, Reporter, StepReport
from ftrun.errors import ExperimentError, Problem
from ftrun.training.batches import Batch, EpochBatches, groups, training_loader
from ftrun.training.evaluation import Forward, metrics_of, predict
from ftrun.training.optimization import Horizon
from ftrun.training.selection import Selection
from ftrun.training.state import (
    load_optimizer,
    load_random_states,
    load_state,
    load_weights,
    save_model,
    write_checkpoint,
)


class Fitting:
    """One job on its way, whoever drives the loop.

    Where the job resumes from a checkpoint, the model has its weights once this is made; `restore` does the rest.

    Args:
        job: What to train.
        reporter: Whom to tell.

    Attributes:
        batches: The order of the rows; loader: the batches to train on.
        horizon: How far to go, and what is due on the way.
        selection: The best evaluation so far.
        first_step: The steps that are behind already: 0, or those of the checkpoint.
    """

    def __init__(self, job: Job, reporter: Reporter) -> None:
        self.job = job
        self.reporter = reporter
        self.batches = EpochBatches(
            len(job.train),
            job.training.per_device_train_batch_size,
            job.data_seed,
            job.training.dataloader_drop_last,
        )
        self.loader = training_loader(job, self.batches)
        if not len(self.batches):
            message = f"the {len(job.train)} rows to train on make no whole batch, and others are left out"
            raise ExperimentError(Problem(message, "training.dataloader_drop_last"))
        self.horizon = Horizon(self.batches.rows_per_epoch, job.training)
        self.selection = Selection(job.best_by, job.training)
        self.first_step = 0
        self._evaluated_at: int | None = None
        self._saved_at: int | None = None
        self._metrics: dict[str, float] = {}
        self._predictions: dict[str, Predictions] = {}
        if job.resume_from:
            load_weights(job.model, job.resume_from)
            state = load_state(job.resume_from)
            if job.resume_best:
                self.selection.read(state)
            self.first_step = self._saved_at = state.global_step

    def restore(self, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
        """Where the job resumes: put optimizer and schedule where they were."""
        if self.job.resume_from:
            load_optimizer(self.job.resume_from, optimizer, scheduler)

    def restore_random_states(self) -> None:
        """Where the job resumes: put the generators where they were; the last thing before the first batch."""
        if self.job.resume_from:
            load_random_states(self.job.resume_from)

    def groups(self, loader: DataLoader[Any]) -> Iterator[list[Batch]]:
        """The batches of each step that is still to be taken; `loader` is the fitting's own, perhaps wrapped."""
        if self.is_over(self.first_step):
            return
        self.restore_random_states()
        self.batches.first_batch = self.horizon.batch_after(self.first_step)
        yield from groups(
            loader, self.job.training.gradient_accumulation_steps, self.horizon.epochs_after(self.first_step)
        )

    def is_over(self, step: int) -> bool:
        """Whether all steps are taken, or patience has run out."""
        return step >= self.horizon.total_steps or self.selection.is_over

    def stops_after(self, step: int) -> bool:
        """Whether no step follows this one."""
        return self.is_over(step) or self.reporter.stop_requested

    def stepped(
        self, step: int, losses: list[torch.Tensor], learning_rate: float, grad_norm: torch.Tensor, examples: int
    ) -> None:
        """Report one optimizer step; `losses` are those of its batches, each weighted by its share of the rows."""
        loss = sum(losses[1:], start=losses[0])
        epoch = self.horizon.epoch_after(step)
        self.reporter.stepped(StepReport(step, epoch, loss, learning_rate, grad_norm.detach(), examples))

    def evaluate(self, step: int, forward: Forward) -> dict[str, float]:
        """Evaluate all splits after a step, and report."""
        self._predict(forward)
        self.selection.judge(step, self._metrics)
        self._evaluated_at = step
        self.reporter.evaluated(EvaluationReport(step, self.horizon.epoch_after(step), self._metrics))
        return self._metrics

    def saves_after(self, step: int) -> bool:
        """Whether a checkpoint is due, as the strategy has it or because the step was the best."""
        training = self.job.training
        keeps_best = training.load_best_model_at_end or training.save_strategy == "best"
        is_best = self.selection.step == step and self._evaluated_at == step
        return self.horizon.saves_after(step) or (keeps_best and is_best)

    def save(self, step: int, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
        """Write a checkpoint after a step, once all that was reported before it is known to be sound."""
        with self.reporter.checkpoint(step, self.selection.step) as folder:
            write_checkpoint(self.job, folder, self._state(step), optimizer, scheduler)
        self._saved_at = step

    def finish(
        self, step: int, forward: Forward, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
    ) -> FitResult:
        """After the last step: a checkpoint if it stopped on request, else the last evaluation and the model."""
        epoch = self.horizon.epoch_after(step)
        if not self.is_over(step):
            if self._saved_at != step:
                self.save(step, optimizer, scheduler)
            self.reporter.settle()
            return FitResult(step, epoch, completed=False, metrics=self._metrics)
        self.reporter.settle()
        if self._evaluated_at != step:
            self.evaluate(step, forward)
        model_step = self._take_best(step, forward)
        folder = self.job.run_folder / "model"
        save_model(self.job, folder)
        stopped_early = step < self.horizon.total_steps
        return FitResult(step, epoch, True, self._metrics, self._predictions, folder, model_step, stopped_early)

    def _take_best(self, step: int, forward: Forward) -> int:
        """With `load_best_model_at_end`, let the model be that of the best evaluation."""
        best = self.selection.step
        if not self.job.training.load_best_model_at_end or best is None or best == step:
            return step
        load_weights(self.job.model, self.reporter.whole_checkpoint(best))
        self._predict(forward)
        return best

    def _predict(self, forward: Forward) -> None:
        self._predictions = {split: predict(self.job, split, forward, self.reporter) for split in self.job.evaluation}
        self._metrics = metrics_of(self._predictions, self.job.evaluators)

    def _state(self, step: int) -> TrainerState:
        state = TrainerState(
            epoch=self.horizon.epoch_after(step),
            global_step=step,
            max_steps=self.horizon.total_steps,
            num_train_epochs=math.ceil(self.job.training.num_train_epochs),
            train_batch_size=self.job.training.per_device_train_batch_size,
        )
        self.selection.write(state, self._best_checkpoint(step))
        return state

    def _best_checkpoint(self, step: int) -> str | None:
        """The folder of the best evaluation's checkpoint, if there is one or is about to be."""
        best = self.selection.step
        if best is None:
            return None
        folder = self.reporter.checkpoint_folder(best)
        return str(folder) if best == step or folder.is_dir() else None
