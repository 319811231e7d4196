"""Optimizer, schedule, and the steps they are made for."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler
from transformers import get_scheduler
from transformers.optimization import Adafactor
from transformers.trainer_pt_utils import get_parameter_names

from ftrun.contracts import TrainableModel
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings, steps_of
from ftrun.update_arguments import WITH_ADAM_KEYS

WITHOUT_DECAY = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
"""Names of parameters that do not decay, as in `Trainer.get_decay_parameter_names`, whose module takes half a second to
import."""


@dataclass(frozen=True)
class Horizon:
    """How far the training goes, and what is due on the way. Steps count from 1.

    Attributes:
        rows_per_epoch: Rows that are trained on in an epoch.
        training: The settings that say the rest.
    """

    rows_per_epoch: int
    training: TrainingSettings

    @property
    def rows_per_step(self) -> int:
        """Rows of a whole optimizer step."""
        return self.training.per_device_train_batch_size * self.training.gradient_accumulation_steps

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch; its last may take fewer rows."""
        return math.ceil(self.rows_per_epoch / self.rows_per_step)

    @property
    def total_steps(self) -> int:
        """Optimizer steps in all."""
        if self.training.max_steps > 0:
            return self.training.max_steps
        return math.ceil(self.training.num_train_epochs * self.steps_per_epoch)

    def epochs_after(self, step: int) -> range:
        """The epochs that are gone through after a step, counted from 0; the first of them perhaps from half-way."""
        return range(step // self.steps_per_epoch, math.ceil(self.total_steps / self.steps_per_epoch))

    def batch_after(self, step: int) -> int:
        """The batch of its epoch that comes after a step, counted from 0."""
        return step % self.steps_per_epoch * self.training.gradient_accumulation_steps

    def epoch_after(self, step: int) -> float:
        """Passes over the training split, with the fraction by rows: the same however batches are cut."""
        whole, steps = divmod(step, self.steps_per_epoch)
        return whole + steps * self.rows_per_step / self.rows_per_epoch

    def evaluates_by_strategy(self, step: int) -> bool:
        """Whether `eval_strategy` asks for an evaluation then, with `eval_delay` past; by steps or epochs also at the
        end, as in Trainer.
        """
        begins = self.evaluations_begin <= step or step == self.total_steps
        return begins and self._due(step, self.training.eval_strategy, self.training.eval_steps)

    @property
    def evaluations_begin(self) -> float:
        """The steps that `eval_delay` comes to."""
        by_epochs = self.training.eval_strategy == "epoch"
        return self.training.eval_delay * (self.steps_per_epoch if by_epochs else 1)

    def saves_by_strategy(self, step: int) -> bool:
        """Whether `save_strategy` asks for a checkpoint then; by steps or epochs also at the end, as in Trainer. With
        "best" it is the evaluation that asks.
        """
        return self._due(step, self.training.save_strategy, self.training.save_steps)

    def _due(self, step: int, strategy: str, steps: float | None) -> bool:
        if strategy not in ("steps", "epoch"):
            return False
        every = self.steps_per_epoch if strategy == "epoch" else steps_of(steps or 1, self.total_steps)
        return step % every == 0 or step == self.total_steps


def decay_groups(model: TrainableModel | torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """An optimizer's two groups of a module's parameters that are trained: those that decay, and the others.

    It is the rule of `Trainer.create_optimizer`: biases (relative ones, too) and norms do not decay, told by their type
    or by their name.
    """
    decaying = set(get_parameter_names(model, [torch.nn.LayerNorm], WITHOUT_DECAY))  # type: ignore[no-untyped-call]
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    return [
        {"params": [p for name, p in trained if name in decaying], "weight_decay": weight_decay},
        {"params": [p for name, p in trained if name not in decaying], "weight_decay": 0.0},
    ]


def build_optimizer(model: TrainableModel | torch.nn.Module, training: TrainingSettings) -> torch.optim.Optimizer:
    """The optimizer that `optim` names as Trainer sets it up, with `decay_groups`; to be made of a model where it is
    trained.

    Raises:
        ExperimentError: If nothing of the model is to be trained.
    """
    groups = decay_groups(model, training.weight_decay)
    if not any(group["params"] for group in groups):
        raise ExperimentError(Problem("all of the model's parameters are frozen: nothing is left to train", "model"))
    arguments: dict[str, Any] = {"lr": training.learning_rate, **training.optimizer_arguments}
    if training.optim in WITH_ADAM_KEYS:
        arguments |= {"betas": (training.adam_beta1, training.adam_beta2), "eps": training.adam_epsilon}
    if training.optim == "adamw_torch_fused":  # else torch chooses: on a GPU all parameters at once
        arguments["fused"] = True
    if training.optim == "adafactor":  # else it has a schedule of its own, as in Trainer
        arguments = {"scale_parameter": False, "relative_step": False, **arguments}
    optimizer: torch.optim.Optimizer = OPTIMIZERS[training.optim](groups, **arguments)
    return optimizer


OPTIMIZERS: Mapping[str, Callable[..., Any]] = {
    "adamw_torch_fused": torch.optim.AdamW,
    "adamw_torch": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "sgd": torch.optim.SGD,
    "adagrad": torch.optim.Adagrad,
    "rmsprop": torch.optim.RMSprop,
    "adafactor": Adafactor,
}
"""By `optim`."""


def build_scheduler(optimizer: torch.optim.Optimizer, training: TrainingSettings, total_steps: int) -> LRScheduler:
    """The learning rate's course over `total_steps`.

    Raises:
        ExperimentError: If warm-up and decay leave the schedule none of the steps that it needs.
    """
    warmup = steps_of(training.warmup_steps, total_steps)
    arguments = dict(training.lr_scheduler_kwargs or {})
    if training.lr_scheduler_type == "polynomial" and warmup == total_steps:  # transformers divides by the rest
        message = f"the warm-up takes all {total_steps} steps, and leaves a polynomial none to go down in"
        raise ExperimentError(Problem(message, "training.warmup_steps"))
    if training.lr_scheduler_type == "warmup_stable_decay":
        _check_parts(warmup, arguments, total_steps)
    with warnings.catch_warnings(action="ignore"):  # that num_stable_steps counts, where it is given
        scheduler: LRScheduler = get_scheduler(
            training.lr_scheduler_type,
            optimizer=optimizer,
            num_warmup_steps=warmup,
            num_training_steps=total_steps,
            scheduler_specific_kwargs=arguments,
        )
    return scheduler


def _check_parts(warmup: int, arguments: Mapping[str, Any], total_steps: int) -> None:
    stable, decay = arguments.get("num_stable_steps", 0), arguments["num_decay_steps"]
    if warmup + stable + decay > total_steps:
        parts = f"{warmup} steps of warm-up, {stable} stable ones and {decay} of decay"
        message = f"{parts} are more than the {total_steps} of the training"
        raise ExperimentError(Problem(message, "training.lr_scheduler_kwargs"))


def learning_rate_of(scheduler: LRScheduler) -> float:
    """The rate that the next step uses."""
    return float(scheduler.get_last_lr()[0])


def largest_norm(training: TrainingSettings) -> float:
    """The norm to clip gradients to; infinite, which only measures it, where nothing is to be clipped."""
    return training.max_grad_norm or math.inf
