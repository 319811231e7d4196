"""LoRA by peft: a few numbers trained beside a checkpoint's weights; adapters on the way, and a whole model at last."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ftrun.contracts import BuiltModel
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.references import local_folder
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ftrun_plugins.models import CheckpointSettings, LoraSettings

WEIGHTS = "adapter_model.safetensors"
"""peft's name of an adapter's weights."""
MOST_NAMES_SHOWN = 12


class Adapted(torch.nn.Module):
    """A model of transformers with an adapter, and with parts that are trained as a whole.

    Args:
        peft: The model as peft has wrapped it.
    """

    def __init__(self, peft: Any) -> None:
        super().__init__()
        self.peft = peft

    def forward(self, **batch: Any) -> Any:
        """What transformers' own model says, through the adapter."""
        return self.peft.get_base_model()(**batch)

    def num_parameters(self, only_trainable: bool = False, exclude_embeddings: bool = False) -> int:
        """As transformers' models tell it."""
        model: PreTrainedModel = self.peft.get_base_model()
        return int(model.num_parameters(only_trainable, exclude_embeddings))

    def get_input_embeddings(self) -> torch.nn.Module:
        """What embeds, as transformers' models tell it; with an adapter of its own, that included."""
        embeddings: torch.nn.Module = self.peft.get_base_model().get_input_embeddings()
        return embeddings

    def activation_checkpointing_enable(self, *given: Any, **settings: Any) -> None:
        """As transformers' models have it, for `gradient_checkpointing`."""
        self.peft.get_base_model().activation_checkpointing_enable(*given, **settings)

    def save_pretrained(self, folder: str | PathLike[str], /) -> None:
        """The whole model, the adapter added to its weights; what is trained stays as it is, to the bit."""
        with _quiet():
            merged = copy.deepcopy(self.peft).merge_and_unload(progressbar=False)
        merged.save_pretrained(folder)

    def save_checkpoint(self, folder: str | PathLike[str], /) -> None:
        """The adapter and what is trained beside it, as peft's `save_pretrained` lays them out."""
        config = copy.copy(self.peft.peft_config["default"])
        config.inference_mode = True
        config.modules_to_save = list(dict.fromkeys(config.modules_to_save))  # peft names some heads by itself, too
        if not isinstance(config.target_modules, str):  # a set, which has another order in each process
            config.target_modules = sorted(config.target_modules)
        config.save_pretrained(str(folder))
        tensors = {name: tensor.detach().cpu().clone() for name, tensor in self._trained().items()}
        save_file(tensors, Path(folder) / WEIGHTS, metadata={"format": "pt"})

    def load_checkpoint(self, folder: str | PathLike[str], /) -> None:
        """Put it back.

        Raises:
            ExperimentError: If it is an adapter of other settings, or of another model.
        """
        from peft import set_peft_model_state_dict

        stored, own = load_file(Path(folder) / WEIGHTS), self._trained()
        if _shapes(stored) != _shapes(own):
            message = f"the adapter in {folder} is of other settings, or of another model"
            raise ExperimentError(Problem(message, "model.lora"))
        with _quiet():
            set_peft_model_state_dict(self.peft, stored)

    def _trained(self) -> dict[str, torch.Tensor]:
        from peft import get_peft_model_state_dict

        tensors: dict[str, torch.Tensor] = get_peft_model_state_dict(self.peft, save_embedding_layers=False)
        return tensors


def adapted(
    built: BuiltModel, model: PreTrainedModel, settings: CheckpointSettings, fresh: Sequence[str]
) -> BuiltModel:
    """A built model with an adapter, whose numbers are drawn from the global generator.

    Args:
        built: With the model as it was loaded.
        model: That.
        settings: `[model]`.
        fresh: The tensors that the checkpoint has not: what they belong to is trained as a whole.

    Raises:
        ExperimentError: If there are no such modules, or peft is not there or refuses.
    """
    assert settings.lora
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        hint = "pip install 'ftrun[lora]'"
        raise ExperimentError(
            Problem(f"LoRA needs peft, which cannot be imported: {error}", "model.lora", hint)
        ) from error
    whole = _trained_whole(model, settings.lora, fresh)
    try:
        with _quiet():
            config = LoraConfig(
                **settings.lora.model_dump(exclude={"target_modules", "modules_to_save"}),
                task_type="SEQ_CLS",
                target_modules=_targets(model, settings.lora, whole),
                modules_to_save=whole,
                exclude_modules=whole,
                revision=settings.revision,
            )
            wrapped = get_peft_model(model, config)
    except ValueError as error:  # what peft has against settings that are sound each by itself
        raise ExperimentError(Problem(f"peft refuses these settings: {error}", "model.lora")) from error
    wrapped.peft_config["default"].base_model_name_or_path = str(
        local_folder(settings.checkpoint) or settings.checkpoint
    )
    made = Adapted(wrapped)
    return replace(built, model=made, notices=[*built.notices, _told(made)], saves_plainly=True)


def _told(made: Adapted) -> str:
    counts = {True: 0, False: 0}
    for parameter in made.parameters():
        counts[parameter.requires_grad] += parameter.numel()
    return (
        f"LoRA trains {counts[True]:,} of {sum(counts.values()):,} parameters; checkpoints hold these alone, which "
        "MLflow ranks and does not load, and the run's model is whole"
    )


def _trained_whole(model: PreTrainedModel, lora: LoraSettings, fresh: Sequence[str]) -> list[str]:
    """The modules that are trained as a whole: the head, what the checkpoint has not, and what the file names."""
    base = model.base_model_prefix
    heads = [
        name for name, part in model.named_children() if name != base and next(part.parameters(), None) is not None
    ]
    modules = dict(model.named_modules())
    drawn = {key.rpartition(".")[0] for key in fresh if key.startswith(f"{base}.")}
    leaves = sorted(name for name in drawn if name in modules and not list(modules[name].children()))
    asked = lora.modules_to_save or []
    for name in asked:
        if not any(_ends_with(known, name) for known in modules):
            raise _unknown(name, "modules_to_save", sorted({known.rpartition(".")[2] for known in modules if known}))
    return list(dict.fromkeys([*heads, *leaves, *asked]))


def _targets(model: PreTrainedModel, lora: LoraSettings, whole: Sequence[str]) -> list[str] | str:
    """The modules that get an adapter.

    Raises:
        ExperimentError: If one is not there, or peft knows none for the architecture.
    """
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    names = _adaptable(model, whole)
    ends = sorted({name.rpartition(".")[2] for name in names})
    kind = model.config.model_type
    targets = lora.target_modules
    if targets is None:
        if kind not in KNOWN:
            hint = f'Name some: [model.lora] target_modules = [...], or "all-linear". There are: {", ".join(ends)}.'
            message = f'peft knows no modules to take of "{kind}" by itself'
            raise ExperimentError(Problem(message, "model.lora.target_modules", hint))
        known = KNOWN[kind]
        return known if isinstance(known, str) else list(known)
    for name in [] if isinstance(targets, str) else targets:
        if not any(_ends_with(known, name) for known in names):
            raise _unknown(name, "target_modules", ends)
    return targets


def _adaptable(model: PreTrainedModel, whole: Sequence[str]) -> list[str]:
    """The modules that can get an adapter."""
    kinds = (torch.nn.Linear, torch.nn.Embedding, Conv1D)
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, kinds) and not any(f".{name}.".find(f".{part}.") >= 0 for part in whole)
    ]


def _ends_with(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _unknown(name: str, key: str, known: Sequence[str]) -> ExperimentError:
    close = nearest(name, known)
    hint = f'Did you mean "{close}"? ' if close else ""
    more = ", ..." if len(known) > MOST_NAMES_SHOWN else "."
    hint += f"There are: {', '.join(known[:MOST_NAMES_SHOWN])}{more}"
    return ExperimentError(Problem(f'the model has no module "{name}"', f"model.lora.{key}", hint))


def _shapes(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _quiet() -> Any:
    """Without peft's warnings, which are about its own use of other libraries."""
    return warnings.catch_warnings(action="ignore")
