"""What stands between two optimizer steps, whoever takes them: reporting, evaluating, saving, stopping, resuming."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, SupportsFloat

import torch
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import TrainerState

from ftrun.contracts import EvaluationReport, FitResult, Job, Predictions, Reporter, StepReport
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import delay_beyond
from ftrun.training.batches import Batch, EpochBatches, groups, training_loader
from ftrun.training.compilation import compile_model
from ftrun.training.evaluation import metrics_of, predict
from ftrun.training.noise import EmbeddingNoise
from ftrun.training.objective import Objective
from ftrun.training.optimization import Horizon, learning_rate_of
from ftrun.training.recomputation import recompute_activations
from ftrun.training.sampling import order_of
from ftrun.training.scaling import LossScaler
from ftrun.training.selection import Selection
from ftrun.training.state import (
    generators_kept,
    load_optimizer,
    load_random_states,
    load_scaler,
    load_state,
    load_weights,
    save_model,
    write_checkpoint,
)
from ftrun.training.step import SEE, Forward, Step
from ftrun.training.workers import end_workers


class Fitting:
    """One job on its way.

    `steps` gives the steps that are to be taken, and does all that is due after each; `finish` is the end. Who cannot
    leave the loop to `steps` calls what it is made of: `begin`, what `evaluates_first` says, then for each step
    `begin_step` and `end_step`, and what `evaluation_due`, `checkpoint_due` and `stops` say.

    Once this is made, the model has the weights of the checkpoint, where the job resumes from one, and computes as
    `gradient_checkpointing`, `neftune_noise_alpha` and `torch_compile` have it.

    Args:
        job: What to train.
        reporter: Whom to tell.

    Raises:
        ExperimentError: If the rows make no batch, `eval_delay` or the checkpoint is beyond the end, or the model
            cannot do what is asked of it.

    Attributes:
        loader: The batches to train on; whoever wraps it and does without `steps` puts the wrapped one here.
        horizon: How far to go, and what is due on the way.
        selection: The best evaluation so far.
        step: The steps that are taken.
    """

    def __init__(self, job: Job, reporter: Reporter) -> None:
        self.job = job
        self.reporter = reporter
        training = job.training
        self._batches = EpochBatches(
            len(job.train),
            training.per_device_train_batch_size,
            job.data_seed,
            training.dataloader_drop_last,
            order_of(job),
        )
        if not len(self._batches):
            message = f"the {len(job.train)} rows to train on make no whole batch, and others are left out"
            raise ExperimentError(Problem(message, "training.dataloader_drop_last"))
        self.loader = training_loader(job, self._batches)
        self.horizon = Horizon(self._batches.rows_per_epoch, training)
        if self.horizon.evaluations_begin > self.horizon.total_steps:
            end = f"{self.horizon.total_steps} steps, or {self.horizon.epoch_after(self.horizon.total_steps):g} epochs"
            told = delay_beyond(training.eval_delay, end, training.eval_strategy)
            raise ExperimentError(Problem(told, "training.eval_delay"))
        self.selection = Selection(job.best_by, training)
        self.step = 0
        self._begun = 0
        self._objective = Objective(job)
        self._evaluated_at: int | None = None
        self._saved_at: int | None = None
        self._metrics: dict[str, float] = {}
        self._predictions: dict[str, Predictions] = {}
        if job.resume_from:
            load_weights(job.model, job.resume_from)
            state = load_state(job.resume_from)
            if job.resume_best:
                self.selection.read(state)
            self.step = self._saved_at = state.global_step
            self._check_beyond(job.resume_from.name)
        recompute_activations(job.model, training)
        self._noise = EmbeddingNoise(job.model, training)
        compile_model(job.model, training)

    def steps(
        self,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler,
        forward: Forward,
        loader: DataLoader[Any] | None = None,
        scaler: LossScaler | None = None,
    ) -> Iterator[Step]:
        """The steps that are still to be taken, one at a time.

        Whoever gets one takes it: gradients of its batches' losses, `grad_norm`, `optimizer.step`, `scheduler.step`,
        `optimizer.zero_grad`. What is due then is done as the next one is asked for.

        Args:
            optimizer: Put where the checkpoint has it, where the job resumes.
            scheduler: Put there, too.
            forward: What the model says of a batch, in training and in evaluation.
            loader: The fitting's own, perhaps wrapped; that by default.
            scaler: What scales the loss for its gradients, put there, too; a backend that trains in float16 has one.

        Raises:
            ExperimentError: As `begin` and `end_step`.
        """
        self.begin(optimizer, scheduler, forward, scaler)
        self.job.model.train()
        if self.evaluates_first:
            self.evaluate()
        self.loader = loader or self.loader
        for batches in self._groups(self.loader):
            step = self.begin_step(batches)
            yield step
            self.end_step(step)
            if self.evaluation_due:
                self.evaluate()
            if self.checkpoint_due:
                self.save()
            if self.stops:
                return

    def begin(
        self,
        optimizer: torch.optim.Optimizer,
        scheduler: LRScheduler,
        forward: Forward,
        scaler: LossScaler | None = None,
    ) -> None:
        """Take what does the steps, put it where the checkpoint has it where the job resumes, and report the start.

        Raises:
            ExperimentError: If it is to train in float16, and no loss is scaled, or the weights are float16 themselves.
        """
        self._optimizer, self._scheduler, self._forward, self._scaler = optimizer, scheduler, forward, scaler
        if self.job.training.fp16:
            _check_scaled(optimizer, scaler)
        if self.job.resume_from:
            load_optimizer(self.job.resume_from, optimizer, scheduler)
            if scaler:
                load_scaler(self.job.resume_from, scaler)
        self.reporter.training_started(self.horizon.total_steps, self.step + 1)

    def restore_random_states(self) -> None:
        """Where the job resumes: put the generators where they were; the last thing before the first batch."""
        if self.job.resume_from:
            load_random_states(self.job.resume_from)

    def begin_step(self, batches: Sequence[Batch]) -> Step:
        """The step after those that are taken, of these batches."""
        if self._scaler:
            self._scaler.used_scale = None
        if batches:
            self._begun = self.step + 1
        return Step(self.step + 1, batches, learning_rate_of(self._scheduler), self._objective, self._forward)

    def end_step(self, step: Step) -> None:
        """Report a step that was taken.

        Raises:
            ExperimentError: If the backend left out the loss of a batch, or the norm of its gradients, or in float16
                the scaler's step; or a norm is no number.
        """
        if step.grad_norm is None:
            raise ExperimentError(
                Problem(
                    f"the backend ended step {step.number} without step.grad_norm, which is recorded",
                    "backend",
                    "Before the optimizer steps: step.grad_norm = torch.nn.utils.clip_grad_norm_(parameters, largest).",
                )
            )
        norm = _one_number(step.grad_norm, step.number)
        self._noise.check()
        scaler = self._scaler if self.job.training.fp16 else None
        if scaler and scaler.used_scale is None:
            raise ExperimentError(Problem(f"the backend ended step {step.number} without scaler.step", "backend", SEE))
        self.step = step.number
        _empty_cache(step, self.job.training.torch_empty_cache_steps)
        self.reporter.stepped(
            StepReport(
                step.number,
                self.horizon.epoch_after(step.number),
                step.total_loss,
                step.learning_rate,
                norm,
                step.rows,
                step.tokens,
                step.tokens_with_padding,
                skipped=bool(scaler and scaler.step_was_skipped),
                loss_scale=scaler.used_scale if scaler else None,
            )
        )

    @property
    def is_over(self) -> bool:
        """Whether all steps are taken, or patience has run out."""
        return self.step >= self.horizon.total_steps or self.selection.is_over

    @property
    def stops(self) -> bool:
        """Whether no step follows now: it is over, or somebody asked to stop."""
        return self.is_over or self.reporter.stop_requested

    @property
    def evaluates_first(self) -> bool:
        """Whether to evaluate now, before the first step; a run that is resumed after one has done so."""
        return self.job.training.eval_on_start and self.step == 0

    @property
    def evaluation_due(self) -> bool:
        """Whether to evaluate now."""
        return self.horizon.evaluates_by_strategy(self.step)

    @property
    def checkpoint_due(self) -> bool:
        """Whether to save now, as the strategy has it or because the evaluation was the best; asked after that."""
        training = self.job.training
        keeps_best = training.load_best_model_at_end or training.save_strategy == "best"
        is_best = self.selection.step == self.step
        return self.horizon.saves_by_strategy(self.step) or (keeps_best and is_best)

    def evaluate(self) -> dict[str, float]:
        """Evaluate all splits and report; the numbers by MLflow's key. What collator, metrics or observers draw there
        from global generators changes nothing of the training.
        """
        with generators_kept():
            self._predict()
            if self.step:  # what has learnt nothing has no checkpoint, and is no candidate
                self.selection.judge(self.step, self._metrics)
            self._evaluated_at = self.step
            epoch = self.horizon.epoch_after(self.step)
            self.reporter.evaluated(EvaluationReport(self.step, epoch, dict(self._metrics)))
        return self._metrics

    def save(self) -> None:
        """Write a checkpoint, once all that was reported is known to be sound."""
        with self.reporter.checkpoint(self.step, self.selection.step) as folder:
            write_checkpoint(self.job, folder, self._state(), self._optimizer, self._scheduler, self._scaler)
        self._saved_at = self.step

    def finish(self) -> FitResult:
        """After the last step: a checkpoint if it stopped on request, else the last evaluation and the model.

        Raises:
            ExperimentError: If the loop was left in a step, or before the last one and nobody asked to stop.
        """
        self._check_left()
        epoch = self.horizon.epoch_after(self.step)
        self._noise.remove()
        end_workers(self.loader)
        if not self.is_over:
            if self._saved_at != self.step:
                self.save()
            self.reporter.settle()
            return FitResult(self.step, epoch, completed=False, metrics=self._metrics)
        self.reporter.settle()
        if self._evaluated_at != self.step:
            self.evaluate()
        model_step = self._take_best()
        folder = self.job.run_folder / "model"
        save_model(self.job, folder)
        stopped_early = self.step < self.horizon.total_steps
        return FitResult(self.step, epoch, True, self._metrics, self._predictions, folder, model_step, stopped_early)

    def _check_beyond(self, checkpoint: str) -> None:
        """Refuse a checkpoint of more steps than are asked for: its model has learnt longer than a record would say."""
        if self.step <= self.horizon.total_steps:
            return
        message = f"{self.step} steps are taken already, by {checkpoint}, and {self.horizon.total_steps} are asked for"
        if self.job.training.max_steps > 0:
            raise ExperimentError(Problem(message, "training.max_steps", f"Ask for {self.step} steps or more."))
        hint = f"Ask for {self.horizon.epoch_after(self.step):g} epochs or more."
        raise ExperimentError(Problem(message, "training.num_train_epochs", hint))

    def _check_left(self) -> None:
        """Refuse to end in a step that was not ended, or where steps are left: the loop was left by itself."""
        amid = self._begun > self.step
        if self.stops and not amid:
            return
        left = f"{'in' if amid else 'after'} step {max(self._begun, self.step)} of {self.horizon.total_steps}"
        hint = "Take every step that fitting.steps gives, without break: the loop ends by itself when it has to."
        raise ExperimentError(Problem(f"the backend left the loop over its steps {left}", "backend", hint))

    def _groups(self, loader: DataLoader[Any]) -> Iterator[list[Batch]]:
        if self.is_over:
            return
        self.restore_random_states()
        self._batches.first_batch = self.horizon.batch_after(self.step)
        size = self.job.training.gradient_accumulation_steps
        yield from groups(loader, size, self.horizon.epochs_after(self.step))

    def _take_best(self) -> int:
        """With `load_best_model_at_end`, let the model be that of the best evaluation."""
        best = self.selection.step
        if not self.job.training.load_best_model_at_end or best is None or best == self.step:
            return self.step
        load_weights(self.job.model, self.reporter.whole_checkpoint(best))
        self._predict()
        return best

    def _predict(self) -> None:
        self._predictions = {
            split: predict(self.job, rows, self._forward, partial(self.reporter.evaluating, split))
            for split, rows in self.job.evaluation.items()
        }
        self._metrics = metrics_of(self._predictions, self.job.evaluators)

    def _state(self) -> TrainerState:
        state = TrainerState(
            epoch=self.horizon.epoch_after(self.step),
            global_step=self.step,
            max_steps=self.horizon.total_steps,
            num_train_epochs=math.ceil(self.job.training.num_train_epochs),
            train_batch_size=self.job.training.per_device_train_batch_size,
        )
        self.selection.write(state, self._best_checkpoint())
        return state

    def _best_checkpoint(self) -> str | None:
        """The folder of the best evaluation's checkpoint, if there is one or is about to be."""
        best = self.selection.step
        if best is None:
            return None
        folder = self.reporter.checkpoint_folder(best)
        return str(folder) if best == self.step or folder.is_dir() else None


def _one_number(norm: Any, step: int) -> SupportsFloat:
    """A norm as it is reported: a number, or a tensor that nobody waits for."""
    if isinstance(norm, torch.Tensor) and norm.numel() == 1:
        return norm.detach()
    try:
        return float(norm)
    except (TypeError, ValueError, RuntimeError) as fault:
        given = f"a {type(norm).__name__} that is no single number"
        message = f"the backend ended step {step} with {given} for step.grad_norm"
        raise ExperimentError(Problem(message, "backend", "A number, or a tensor of one, is recorded.")) from fault


def _empty_cache(step: Step, every: int | None) -> None:
    """Let the device give back the memory that is held unused, where there is such."""
    if every and step.number % every == 0:
        getattr(torch.get_device_module(step.total_loss.device), "empty_cache", lambda: None)()


def _check_scaled(optimizer: torch.optim.Optimizer, scaler: LossScaler | None) -> None:
    if scaler is None or not scaler.is_enabled():
        message = "trains in float16 and has no LossScaler: small gradients would be lost without a word"
        raise ExperimentError(Problem(f"the backend {message}", "backend", SEE))
    if any(weights.dtype == torch.float16 for group in optimizer.param_groups for weights in group["params"]):
        message = "the model's weights are float16 themselves, and with fp16 they must be float32"
        hint = "Load it in float32: the forward passes are in float16 all the same."
        raise ExperimentError(Problem(message, "training.fp16", hint))
