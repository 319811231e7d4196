"""Keys of `[training]` that show in a curve, and settings that must differ by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """Settings of two runs that differ by a key.

    Attributes:
        after: Of the second one, laid over `before`, by dotted key.
        before: Of the first one.
        told: What must come of it.
    """

    after: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)
    told: str = "The loss of some step must be another."


def _set(key: str, value: Any, told: str = Change.told) -> tuple[str, Change]:
    return key, Change({f"training.{key}": value}, told=told)


CHANGES: Mapping[str, Change] = dict(
    [
        _set("learning_rate", 3e-2),
        _set("lr_scheduler_type", "constant"),
        (
            "lr_scheduler_kwargs",
            Change(
                {"training.lr_scheduler_kwargs": {"num_cycles": 3}},
                {"training.lr_scheduler_type": "cosine_with_restarts"},
            ),
        ),
        _set("warmup_steps", 3),
        _set("weight_decay", 0.5),
        _set("max_grad_norm", 0.01),
        _set("optim", "sgd"),
        (
            "optim_args",
            Change(
                {"training.optim_args": {"momentum": 0.9}}, {"training.optim": "sgd", "training.learning_rate": 0.1}
            ),
        ),
        _set("adam_beta1", 0.5),
        _set("adam_beta2", 0.5),
        _set("adam_epsilon", 0.1),
        _set("per_device_train_batch_size", 4),
        _set("gradient_accumulation_steps", 2),
        _set("num_train_epochs", 1, "There must be fewer steps."),
        _set("max_steps", 2, "There must be fewer steps."),
        _set("label_smoothing_factor", 0.3),
        _set("class_weights", "balanced"),
        _set("bf16", True),
        _set("neftune_noise_alpha", 5.0),
        _set("data_seed", 7),
        _set("train_sampling_strategy", "sequential"),
        _set("dataloader_drop_last", True, "The last batch of an epoch, of 4 rows, must be left out."),
        _set("eval_strategy", "no", "There must be no evaluation after an epoch."),
    ]
)
"""By key. What is due when, the best model and patience have tests of their own."""
