"""What an optimizer or a schedule is told by name is known to be right before any training."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest
from ftrun.settings import TrainingSettings, validate
from ftrun.update_arguments import OPTIMIZERS, SCHEDULES, read_optimizer_arguments, written_optimizer_arguments

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "of another schedule": (
        {"lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"lr_end": 0.0}},
        'lr_scheduler_kwargs: "cosine" has no lr_end: it takes num_cycles',
    ),
    "of a schedule that takes none": (
        {"lr_scheduler_kwargs": {"num_cycles": 2}},
        'lr_scheduler_kwargs: "linear" has no num_cycles: it takes none',
    ),
    "half a restart": (
        {"lr_scheduler_type": "cosine_with_restarts", "lr_scheduler_kwargs": {"num_cycles": 1.5}},
        "lr_scheduler_kwargs: num_cycles must be a whole number from 1, not 1.5",
    ),
    "a polynomial that goes up": (
        {"lr_scheduler_type": "polynomial", "lr_scheduler_kwargs": {"lr_end": 0.1}},
        "lr_scheduler_kwargs: a polynomial goes down to 0.1: learning_rate must be above that",
    ),
    "no lowest rate": ({"lr_scheduler_type": "cosine_with_min_lr"}, "needs min_lr or min_lr_rate, and not both"),
    "two lowest rates": (
        {"lr_scheduler_type": "cosine_warmup_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 0.0, "min_lr_rate": 0.0}},
        "needs min_lr or min_lr_rate, and not both",
    ),
    "a lowest rate above the highest": (
        {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr": 1.0}},
        "min_lr must be at most learning_rate, which is 5e-05",
    ),
    "no steps of decay": ({"lr_scheduler_type": "warmup_stable_decay"}, "needs num_decay_steps"),
    "no such course": (
        {
            "lr_scheduler_type": "warmup_stable_decay",
            "lr_scheduler_kwargs": {"num_decay_steps": 3, "decay_type": "sqrt"},
        },
        "decay_type must be one of linear, cosine, 1-sqrt, not sqrt",
    ),
    "of another optimizer": ({"optim": "sgd", "optim_args": "alpha=0.9"}, '"sgd" has no alpha: it takes momentum'),
    "of AdamW": ({"optim_args": {"beta1": 0.9}}, 'optim_args: "adamw_torch_fused" has no beta1: it takes none'),
    "nesterov without momentum": ({"optim": "sgd", "optim_args": {"nesterov": True}}, "nesterov needs momentum"),
    "a word for a number": (
        {"optim": "rmsprop", "optim_args": "momentum=much"},
        "optim_args: momentum must be a number from 0, not much",
    ),
    "decay in the wrong place": ({"optim": "sgd", "optim_args": {"weight_decay": 0.1}}, "a key of [training]"),
    "text that is nothing": ({"optim": "sgd", "optim_args": "momentum"}, 'optim_args: must be a table'),
    "betas where there are none": ({"optim": "sgd", "adam_beta1": 0.8}, 'adam_beta1: it is Adam\'s and its kin\'s, and optim = "sgd"'),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place(name: str) -> None:
    given, told = WRONG[name]
    settings, problems = validate(TrainingSettings, given, "training")
    assert settings is None and len(problems) == 1
    assert told in f"{problems[0].place}: {problems[0].message}".removeprefix("training.")


def test_an_optimizer_is_told_in_a_table_or_in_transformers_words() -> None:
    words = "momentum=0.9, nesterov=True"
    for given in (words, {"momentum": 0.9, "nesterov": True}):
        told, _ = validate(TrainingSettings, {"optim": "sgd", "optim_args": given})
        assert told and told.optimizer_arguments == {"momentum": 0.9, "nesterov": True}
    assert read_optimizer_arguments(written_optimizer_arguments(told.optimizer_arguments)) == told.optimizer_arguments
    assert TrainingSettings().optimizer_arguments == {}
    again, problems = validate(TrainingSettings, told.model_dump(exclude_none=True))  # as a record has it
    assert again == told and not problems


def test_the_names_are_those_of_transformers_and_torch() -> None:
    from ftrun.training import optimization
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    assert set(OPTIMIZERS) == set(optimization.OPTIMIZERS)
    for name, forms in OPTIMIZERS.items():
        assert set(forms) <= set(inspect.signature(optimization.OPTIMIZERS[name]).parameters), name
    for schedule, make in TYPE_TO_SCHEDULER_FUNCTION.items():
        own = {"optimizer", "num_warmup_steps", "num_training_steps", "last_epoch", "kwargs"}
        if schedule.value in SCHEDULES:
            assert set(SCHEDULES[schedule.value]) == set(inspect.signature(make).parameters) - own


def test_a_form_says_what_it_takes() -> None:
    for forms in (*SCHEDULES.values(), *OPTIMIZERS.values()):
        for form in forms.values():
            assert dataclasses.is_dataclass(form) and not form.fits([]) and not form.fits(float("nan"))
