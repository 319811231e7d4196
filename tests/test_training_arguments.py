"""Every key of TrainingArguments is taken, or refused by its own name with the reason."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ftrun.planning.experiment import TrackingSettings
from ftrun.settings import OTHER_SPELLINGS, TrainingSettings, validate
from ftrun.training_arguments import NOT_TAKEN, OTHER_OPTIMIZERS, OTHER_SAMPLING, OTHER_SCHEDULES

FIELDS = TrainingSettings.model_fields
NEEDED: dict[str, dict[str, Any]] = {
    "cosine_with_min_lr": {"lr_scheduler_kwargs": {"min_lr_rate": 0.1}},
    "cosine_warmup_with_min_lr": {"lr_scheduler_kwargs": {"min_lr": 1e-6}},
    "warmup_stable_decay": {"lr_scheduler_kwargs": {"num_decay_steps": 2}},
}
"""What a schedule cannot do without."""


@pytest.fixture(scope="module")
def arguments() -> dict[str, object]:
    from transformers import TrainingArguments

    return {field.name: field.default for field in dataclasses.fields(TrainingArguments)}


def refused(**values: Any) -> dict[str | None, str]:
    """By place: the message with its hint."""
    _, problems = validate(TrainingSettings, values, "training", OTHER_SPELLINGS, NOT_TAKEN)
    return {problem.place: f"{problem.message} | {problem.hint}" for problem in problems}


def test_every_key_of_transformers_is_taken_or_refused_by_its_own_name(arguments: dict[str, object]) -> None:
    assert len(arguments) > 100
    assert set(arguments) - set(FIELDS) - set(NOT_TAKEN) == set()
    assert not set(NOT_TAKEN) & (set(FIELDS) | set(OTHER_SPELLINGS))


@pytest.mark.parametrize("key", NOT_TAKEN)
def test_a_key_that_is_not_taken_says_why_and_what_to_do(key: str) -> None:
    told = refused(**{key: True})
    assert list(told) == [f"training.{key}"]
    assert "no such key" not in told[f"training.{key}"] and "Did you mean" not in told[f"training.{key}"]
    assert not NOT_TAKEN[key].reason.endswith(".") and NOT_TAKEN[key].instead.endswith(".")


def test_what_to_do_instead_names_keys_that_are_there() -> None:
    import re

    elsewhere = {
        "eval_strategy",
        "enabled",
        "name",
        "seed",
        "label_column",
        "device",
        "use",
        *TrackingSettings.model_fields,
    }
    for key, refusal in NOT_TAKEN.items():
        named = set(re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b", f"{refusal.reason} {refusal.instead}"))
        assert named - {"adamw_torch"} <= set(FIELDS) | elsewhere | set(NOT_TAKEN), key


def test_a_slip_in_a_key_that_is_not_taken_is_told_what_becomes_of_that() -> None:
    assert "If logging_steps is meant: every step is recorded" in refused(loging_steps=10)["training.loging_steps"]
    assert "Did you mean num_train_epochs?" in refused(num_train_epoch=1)["training.num_train_epoch"]


def test_every_schedule_of_transformers_is_taken_or_refused_by_its_own_name() -> None:
    from transformers.trainer_utils import SchedulerType

    for schedule in SchedulerType:
        told = refused(lr_scheduler_type=schedule.value, **NEEDED.get(schedule.value, {}))
        if schedule.value in OTHER_SCHEDULES:
            assert OTHER_SCHEDULES[schedule.value].reason in told["training.lr_scheduler_type"]
        else:
            assert not told


def test_every_optimizer_of_transformers_is_taken_or_refused_by_its_own_name() -> None:
    from transformers.training_args import OptimizerNames

    taken = [optimizer.value for optimizer in OptimizerNames if not refused(optim=optimizer.value)]
    assert sorted(taken) == ["adafactor", "adagrad", "adamw_torch", "adamw_torch_fused", "rmsprop", "sgd"]
    for name in set(OptimizerNames) - set(taken):
        told = refused(optim=name.value).get("training.optim", "")
        assert f'"{name.value}" is not taken: {OTHER_OPTIMIZERS[name.value].reason}' in told


def test_every_order_of_transformers_is_taken_or_refused_by_its_own_name(arguments: dict[str, object]) -> None:
    from transformers import TrainingArguments

    (field,) = [f for f in dataclasses.fields(TrainingArguments) if f.name == "train_sampling_strategy"]
    for order in field.metadata["choices"]:
        told = refused(train_sampling_strategy=order)
        assert not told or OTHER_SAMPLING[order].reason in told["training.train_sampling_strategy"]
