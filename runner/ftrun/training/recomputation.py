"""Activations computed again for the gradients: less memory for more time, and the same numbers."""

from __future__ import annotations

from typing import Any

from ftrun.contracts import TrainableModel
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings

KEY = "training.gradient_checkpointing"


def recompute_activations(model: TrainableModel, training: TrainingSettings) -> None:
    """Let a model keep no activations of its layers, where `gradient_checkpointing` asks for that.

    What a layer draws it draws again from the same states, so that dropout is the same. Torch's other variant, the
    reentrant one, is not taken: behind frozen layers it would train nothing, and say nothing.

    Raises:
        ExperimentError: If the model cannot.
    """
    if not training.gradient_checkpointing:
        return
    every = (training.gradient_checkpointing_kwargs or {}).get("every_n_layers", 1)
    enable: Any = getattr(model, "activation_checkpointing_enable", None)
    hint = "Leave it out; to save memory, halve per_device_train_batch_size and double gradient_accumulation_steps."
    if enable is None:
        message = f"{type(model).__name__} has no activation_checkpointing_enable, as models of transformers have"
        raise ExperimentError(Problem(message, KEY, hint))
    try:
        enable({"use_reentrant": False}, every_n_layers=every)
    except ValueError as error:  # the models that lack it, and those that lack what it needs
        raise ExperimentError(Problem(f"{type(model).__name__} cannot: {error}", KEY, hint)) from error
