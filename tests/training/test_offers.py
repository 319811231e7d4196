"""What a backend offers that leaves what stands between its steps to a fitting."""

from __future__ import annotations

from typing import Any

import torch
from ftrun.settings import RUNNER_KEYS, TrainingSettings
from ftrun.training import CHECKPOINT_FORMAT, FITTING_KEYS, OPTIMIZER_KEYS, SCHEDULE_KEYS
from ftrun.training.optimization import build_optimizer
from ftrun_plugins.backends import ftrun_backends


def test_every_key_is_obeyed_by_the_fitting_the_schedule_or_the_step() -> None:
    parts = [FITTING_KEYS, SCHEDULE_KEYS, OPTIMIZER_KEYS, {"max_grad_norm"}]
    obeyed = set(TrainingSettings.model_fields) - RUNNER_KEYS
    assert obeyed == set().union(*parts) and len(obeyed) == sum(map(len, parts))


def test_the_keys_of_the_optimizer_are_what_building_it_reads() -> None:
    """By the way of a settings object that tells what is read of it."""
    read: set[str] = set()

    class Reading:
        def __init__(self, **given: Any) -> None:
            self.training = TrainingSettings(**given)

        def __getattr__(self, name: str) -> Any:
            read.add("optim_args" if name == "optimizer_arguments" else name)
            return getattr(self.training, name)

    for optim in ("adamw_torch", "sgd"):
        build_optimizer(torch.nn.Linear(2, 2), Reading(optim=optim))  # type: ignore[arg-type]
    assert read == OPTIMIZER_KEYS


def test_the_built_in_backends_obey_all_and_write_one_format() -> None:
    assert [(b.honours, b.checkpoint_format) for b in ftrun_backends()] == [(None, CHECKPOINT_FORMAT)] * 3
