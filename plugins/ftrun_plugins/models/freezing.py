"""Which parameters of a model stay as they are: those of its base, or of its embeddings and first layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from ftrun.errors import ExperimentError, Problem
from transformers import PreTrainedModel

KEY = "model.freeze"
BASE = 'With freeze = "base" the head alone is trained.'


def freeze(model: PreTrainedModel, what: Literal["base"] | int | None) -> None:
    """Freeze all but the head, or the embeddings and so many layers behind them.

    Raises:
        ExperimentError: If the model has no base apart from its head, no single stack of layers, or not as many.
    """
    if what is None:
        return
    base = model.base_model
    if base is model:
        raise ExperimentError(Problem(f"{type(model).__name__} has no base apart from its head", KEY))
    if what == "base":
        _keep([base])
        return
    layers, before = _stack(base, type(model).__name__)
    if what > len(layers):
        message = f"the model has {len(layers)} layers, and {what} are to be frozen"
        raise ExperimentError(Problem(message, KEY, BASE))
    _keep([*before, *layers[:what]])


def _keep(modules: list[torch.nn.Module]) -> None:
    for module in modules:
        module.requires_grad_(False)


def _stack(base: torch.nn.Module, name: str) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
    """The layers of a base, in order, and what comes before them: its embeddings.

    Families call them `layer`, `layers`, `h` or `block`, in `encoder`, `transformer` or at the top; alike are the list
    that has as many entries as the configuration says, and that it stands behind the embeddings.
    """
    count = getattr(base.config, "num_hidden_layers", None)
    found = [(path, module) for path, module in _lists(base) if len(module) == count]
    if len(found) != 1:
        message = f"the layers of {name} are not one after another in a single list, so that none are the first"
        raise ExperimentError(Problem(message, KEY, BASE))
    path, stack = found[0]
    holder = path.partition(".")[0]
    children = dict(base.named_children())
    names = list(children)
    return list(stack), [children[name] for name in names[: names.index(holder)]]


def _lists(base: torch.nn.Module) -> Iterator[tuple[str, torch.nn.ModuleList]]:
    """Lists of layers, but for those inside of another's entries."""
    for path, module in base.named_modules():
        if isinstance(module, torch.nn.ModuleList) and not any(part.isdigit() for part in path.split(".")):
            yield path, module
