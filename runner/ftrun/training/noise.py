"""NEFTune: noise on what a model embeds, in training alone."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch

from ftrun.contracts import TrainableModel
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings

KEY = "training.neftune_noise_alpha"


class EmbeddingNoise:
    """Uniform noise between plus and minus alpha / sqrt(length * width), on all that a model embeds while it trains.

    Each row's noise is as transformers' `neftune_post_forward_hook` draws it, from the global generator that dropout
    draws from, too. The length is that of the batch, its padding included.

    Args:
        model: Whose embeddings get it from now on.
        training: Of the settings `neftune_noise_alpha`; without it nothing is done.

    Raises:
        ExperimentError: If the model does not say what embeds.
    """

    def __init__(self, model: TrainableModel, training: TrainingSettings) -> None:
        self._alpha = training.neftune_noise_alpha
        self._name = type(model).__name__
        self._added = False
        embeddings = [] if self._alpha is None else _embeddings_of(model)
        self._hooks = [module.register_forward_hook(self._add) for module in embeddings]

    def _add(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        if not module.training or self._alpha is None:
            return None
        self._added = True
        largest = self._alpha / math.sqrt(output.shape[1:].numel())
        return output + torch.zeros_like(output).uniform_(-largest, largest)

    def check(self) -> None:
        """After a step.

        Raises:
            ExperimentError: If no noise was added in it: what the model names as its embeddings it does not call.
        """
        if self._hooks and not self._added:
            message = f"{self._name} got no noise: the embeddings that it names take no part in its training"
            raise ExperimentError(Problem(message, KEY, "Leave it out."))

    def remove(self) -> None:
        """Leave the model as it was."""
        while self._hooks:
            self._hooks.pop().remove()


def _embeddings_of(model: TrainableModel) -> list[torch.nn.Module]:
    """What a model names, and others that share its weights: T5's encoder and decoder call copies of their own."""
    named: Any = getattr(model, "get_input_embeddings", None)
    try:
        found = named() if named else None
    except (AttributeError, NotImplementedError):  # transformers' own, of a model that has none
        found = None
    if isinstance(found, torch.nn.Module):
        own, weight = set(found.modules()), getattr(found, "weight", None)
        every = [module for module in _modules_of(model) if isinstance(module, torch.nn.Embedding)]
        return [found, *(module for module in every if module not in own and module.weight is weight)]
    lacking = f"{type(model).__name__} names no embeddings by get_input_embeddings, as models of transformers do"
    raise ExperimentError(Problem(lacking, KEY, "Leave it out."))


def _modules_of(model: TrainableModel) -> Iterable[torch.nn.Module]:
    return model.modules() if isinstance(model, torch.nn.Module) else ()
