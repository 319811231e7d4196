"""What a backend offers that leaves what stands between its steps to a fitting."""

from __future__ import annotations

from ftrun.settings import RUNNER_KEYS, TrainingSettings
from ftrun.training import CHECKPOINT_FORMAT, FITTING_KEYS, SCHEDULE_KEYS
from ftrun_plugins.backends import ftrun_backends


def test_every_key_is_obeyed_by_the_fitting_the_schedule_or_the_step() -> None:
    steps = {
        "learning_rate",
        "optim",
        "optim_args",
        "weight_decay",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "max_grad_norm",
    }
    parts = [FITTING_KEYS, SCHEDULE_KEYS, steps]
    obeyed = set(TrainingSettings.model_fields) - RUNNER_KEYS
    assert obeyed == set().union(*parts) and len(obeyed) == sum(map(len, parts))


def test_the_built_in_backends_obey_all_and_write_one_format() -> None:
    assert [(b.honours, b.checkpoint_format) for b in ftrun_backends()] == [(None, CHECKPOINT_FORMAT)] * 3
