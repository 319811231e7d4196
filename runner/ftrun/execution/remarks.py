"""What a person should know of how a training went, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from ftrun.contracts import FitResult, Predictions, Task
from ftrun.planning.measures import rows_without_numbers
from ftrun.planning.plan import Plan
from ftrun.runs.journal import read_current
from ftrun.runs.records import MetricsRecord
from ftrun.settings import TrainingSettings, steps_of


def without_effect(training: TrainingSettings) -> list[str]:
    """A sentence for every key of `[training]` that is set and changes nothing beside the others."""
    strategies = {"eval_steps": "eval_strategy", "save_steps": "save_strategy"}
    told = [
        f'{key} has no effect with {strategy} = "{getattr(training, strategy)}"'
        for key, strategy in strategies.items()
        if _is_set(training, key) and getattr(training, strategy) != "steps"
    ]
    if training.warmup_steps and training.lr_scheduler_type == "constant":
        told.append('warmup_steps has no effect with lr_scheduler_type = "constant"; "constant_with_warmup" has one')
    if training.early_stopping_threshold and training.early_stopping_patience is None:
        told.append("early_stopping_threshold has no effect without early_stopping_patience")
    return told


def _is_set(training: TrainingSettings, key: str) -> bool:
    return bool(getattr(training, key) != TrainingSettings.model_fields[key].default)


def remarks_at_start(training: TrainingSettings, total_steps: int) -> list[str]:
    """A sentence if the learning rate never comes to what the file says.

    Args:
        training: The settings.
        total_steps: Optimizer steps in all.
    """
    if training.lr_scheduler_type == "constant" or steps_of(training.warmup_steps, total_steps) < total_steps:
        return []
    rate = f"{training.learning_rate:g}"
    steps = "1 step" if total_steps == 1 else f"{total_steps} steps"
    return [f"the learning rate never comes to {rate}: the warm-up is as long as the training, which has {steps}"]


def remarks_on(plan: Plan, task: Task, fit: FitResult) -> list[str]:
    """A sentence for all that is not as one would take it to be."""
    silent = {split: without_numbers(split, predicted) for split, predicted in fit.predictions.items()}
    sound = {split: predicted for split, predicted in fit.predictions.items() if not silent[split]}
    remarks = [f"{sentence}: its metrics have no value" for sentence in silent.values() if sentence]
    remarks += _one_class(task, sound) or _one_number(task, sound)
    never_had = _without_value(plan, fit) if fit.completed and plan.training.load_best_model_at_end else None
    if not any(silent.values()):
        remarks += not_finite(fit.metrics, never_had)
    if fit.stopped_early:
        count = plan.training.early_stopping_patience
        patience = "an evaluation" if count == 1 else f"{count} evaluations"
        remarks.append(f"stopped early after step {fit.steps}: {patience} without a better one")
    if fit.completed and plan.training.load_best_model_at_end:
        if never_had:
            never = f"{never_had} had no value in any evaluation, so that none was the best"
            remarks.append(f"{never}: the model is that of the last step, {fit.steps}")
        else:
            remarks.append(f"the model is that of step {fit.model_step}, the best evaluation")
    return remarks


def not_finite(metrics: Mapping[str, float], told: str | None = None) -> list[str]:
    """Sentences if some numbers have no value, or are infinite, though the model gives numbers for every row.

    Args:
        metrics: By name.
        told: The metric that something else is told of.
    """
    others = {name: value for name, value in metrics.items() if not name.endswith(f"/{told}")}
    without = [name for name, value in others.items() if math.isnan(value)]
    infinite = [name for name, value in others.items() if math.isinf(value)]
    told_of = {
        "not defined for these labels and predictions, so without a value": without,
        "infinite, and so never the best": infinite,
    }
    return [f"{sentence}: {', '.join(names)}" for sentence, names in told_of.items() if names]


def _without_value(plan: Plan, fit: FitResult) -> str | None:
    """The number that the best model is chosen by, if it has no value at the model's step: then it never had one."""
    name = (plan.training.metric_for_best_model or "loss").removeprefix("eval_").removeprefix("eval/")
    found = [key for key in fit.metrics if key.startswith("eval/") and key.endswith(f"/{name}")]
    return name if found and not math.isfinite(fit.metrics[found[0]]) else None


def remarks_on_skipped(journal: Path) -> list[str]:
    """A sentence if gradients of a run's steps overflowed, so that these steps were skipped."""
    records = [entry.record for entry, _ in read_current(journal)]
    steps = [record.values for record in records if isinstance(record, MetricsRecord) and "train/loss" in record.values]
    skipped = sum("train/grad_norm" not in values for values in steps)
    if not skipped:
        return []
    if skipped == len(steps):
        return [f"all {skipped} steps were skipped, as their gradients overflow float16: the model has learnt nothing"]
    were = "step was skipped, as its" if skipped == 1 else "steps were skipped, as their"
    return [f"{skipped} of {len(steps)} {were} gradients overflowed float16, and the scale of the loss was halved"]


def remarks_on_losses(journal: Path) -> list[str]:
    """A sentence if the losses of all of a run's evaluations are the same, though steps were taken between them at a
    rate above 0. A loss of 0 may stay so.
    """
    numbers: dict[int, dict[str, float]] = {}
    for entry, _ in read_current(journal):
        if isinstance(entry.record, MetricsRecord):
            numbers.setdefault(entry.record.step, {}).update(entry.record.values)
    losses = {step: found for step, values in numbers.items() if (found := _losses_in(values))}
    first, *others = losses.values() or [{}]
    moved = [step for step, values in numbers.items() if values.get("train/learning_rate") and _is_taken(values)]
    if not others or any(found != first for found in others) or not all(map(math.isfinite, first.values())):
        return []
    if not any(first.values()) or not any(min(losses) < step <= max(losses) for step in moved):
        return []
    told = " and ".join(f"{loss:.6g}" for loss in first.values())
    return [f"the loss is {told} in every evaluation: training has not changed the model"]


def _losses_in(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if key.startswith("eval/") and key.endswith("/loss")}


def _is_taken(values: Mapping[str, float]) -> bool:
    """Whether a step was taken: one whose gradients overflow has no norm."""
    return "train/grad_norm" in values


def without_numbers(name: str, predictions: Predictions) -> str | None:
    """A sentence if a model says no finite numbers of some rows; None where it says them of all.

    Args:
        name: What to call the rows.
        predictions: What it said of them.
    """
    rows = rows_without_numbers(predictions)
    if not rows:
        return None
    which = f"row {rows[0] + 1}" if len(rows) == 1 else f"{len(rows):,} rows, the first of them row {rows[0] + 1}"
    return f"the model gives no finite numbers for {which} of {name}"


def _one_class(task: Task, predictions: Mapping[str, Predictions]) -> list[str]:
    """A sentence for every split on which the model says the same class of every row, or none of any."""
    names = task.class_names
    if task.kind == "multi_label":
        silent = [split for split, predicted in predictions.items() if _says_nothing(predicted)]
        return [f"the model gives no row of {split} any class: none is as probable as a half" for split in silent]
    if not names or task.kind != "classification":
        return []
    said = {split: sorted(set(predicted.values.tolist())) for split, predicted in predictions.items()}
    measured = [split for split, predicted in predictions.items() if predicted.labels is not None]
    return [
        f'the model predicts "{names[classes[0]]}" for every row of {split}'
        + (": its accuracy is that class's share" if split in measured else "")
        for split, classes in said.items()
        if len(classes) == 1
    ]


def _one_number(task: Task, predictions: Mapping[str, Predictions]) -> list[str]:
    """A sentence for every split of several rows on which a regression says the same number of every row."""
    if task.kind != "regression":
        return []
    said = {split: predicted.values for split, predicted in predictions.items() if len(predicted.logits) > 1}
    return [
        f"the model predicts {values[0]:g} for every row of {split}"
        for split, values in said.items()
        if values.min() == values.max()
    ]


def _says_nothing(predicted: Predictions) -> bool:
    return len(predicted.logits) > 0 and not predicted.values.any()
