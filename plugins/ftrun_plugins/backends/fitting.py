"""What the three loops share between optimizer steps: reporting, evaluating, saving, and the end."""

from __future__ import annotations

import torch
from ftrun.contracts import EvaluationReport, FitResult, Job, Predictions, Reporter, StepReport
from torch.optim.lr_scheduler import LRScheduler

from ftrun_plugins.backends.batches import EpochBatches, training_loader
from ftrun_plugins.backends.checkpoints import save_checkpoint, save_model
from ftrun_plugins.backends.evaluation import Forward, metrics_of, predict
from ftrun_plugins.backends.optimization import Horizon


class Fitting:
    """One job on its way, whoever drives the loop.

    Args:
        job: What to train.
        reporter: Whom to tell.

    Attributes:
        batches: The order of the rows; loader: the batches to train on.
        horizon: How far to go, and what is due on the way.
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
        self.horizon = Horizon(self.batches.rows_per_epoch, job.training)
        self._evaluated_at: int | None = None
        self._saved_at: int | None = None
        self._metrics: dict[str, float] = {}
        self._predictions: dict[str, Predictions] = {}

    def stepped(
        self, step: int, losses: list[torch.Tensor], learning_rate: float, grad_norm: torch.Tensor, examples: int
    ) -> None:
        """Report one optimizer step; `losses` are those of its batches, each weighted by its share of the rows."""
        loss = sum(losses[1:], start=losses[0])
        epoch = self.horizon.epoch_after(step)
        self.reporter.stepped(StepReport(step, epoch, loss, learning_rate, grad_norm.detach(), examples))

    def evaluate(self, step: int, forward: Forward) -> dict[str, float]:
        """Evaluate all splits after a step, and report."""
        self._predictions = {split: predict(self.job, split, forward, self.reporter) for split in self.job.evaluation}
        self._metrics = metrics_of(self._predictions, self.job.evaluators)
        self._evaluated_at = step
        self.reporter.evaluated(EvaluationReport(step, self.horizon.epoch_after(step), self._metrics))
        return self._metrics

    def save(self, step: int, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
        """Write a checkpoint after a step, once all that was reported before it is known to be sound."""
        self.reporter.settle()
        epoch = self.horizon.epoch_after(step)
        folder = save_checkpoint(self.job, step, epoch, self.horizon.total_steps, optimizer, scheduler)
        self._saved_at = step
        self.reporter.checkpoint_saved(step, folder)

    def finish(
        self, step: int, forward: Forward, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
    ) -> FitResult:
        """After the last step: a checkpoint if it stopped early, else the last evaluation and the model."""
        epoch = self.horizon.epoch_after(step)
        if step < self.horizon.total_steps:
            if self._saved_at != step:
                self.save(step, optimizer, scheduler)
            return FitResult(step, epoch, completed=False, metrics=self._metrics)
        self.reporter.settle()
        if self._evaluated_at != step:
            self.evaluate(step, forward)
        folder = self.job.run_folder / "model"
        save_model(self.job, folder)
        return FitResult(step, epoch, True, self._metrics, self._predictions, folder)
