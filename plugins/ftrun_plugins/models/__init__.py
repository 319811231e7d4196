"""Models: sequence classification (and regression) from a checkpoint, or fresh from a configuration."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from ftrun import hookimpl
from ftrun.contracts import BuiltModel, Model, Need, Splits, Task
from ftrun.errors import Problem
from ftrun.references import problem_with
from ftrun.settings import HubIdOrFolder, NonNegativeInt, PositiveInt, Settings
from pydantic import Field, model_validator

ADAPTER = "adapter_config.json"
"""peft's name of the file that describes an adapter."""
LORA_EXTRA = "pip install 'ftrun[lora]'"
KINDS = frozenset({"classification", "multi_label", "regression"})
Dropout = Annotated[float, Field(ge=0, lt=1)]


class TextSettings(Settings):
    """How text goes into the model."""

    max_length: PositiveInt | None = Field(
        None, description="Longest input in tokens; longer text is cut. The model's own limit by default."
    )
    pad_token: str | None = Field(None, description="Token to pad with, for a tokenizer that has none.")
    dropout: Dropout | None = Field(None, description="Every dropout probability of the model; its own by default.")
    freeze: Literal["base"] | NonNegativeInt | None = Field(
        None,
        description='What is not trained: "base" for all but the head, or a number for the embeddings and so many of '
        "the first layers.",
    )


class LoraSettings(Settings):
    """Settings of `[model.lora]`, by the names of peft's `LoraConfig`."""

    r: PositiveInt = Field(8, description="The rank of what is learnt beside each weight.")
    lora_alpha: PositiveInt = Field(8, description="What is learnt counts lora_alpha / r.")
    lora_dropout: Dropout = Field(0.0, description="Dropout before it.")
    target_modules: list[str] | Literal["all-linear"] | None = Field(
        None,
        description='The modules that get it, by the end of their names, or "all-linear"; by default those that peft '
        "has for the architecture.",
    )
    modules_to_save: list[str] | None = Field(
        None,
        description="Modules that are trained as a whole beside it. The head is, and whatever is freshly drawn.",
    )
    bias: Literal["none", "all", "lora_only"] = Field("none", description="Which biases are trained.")
    use_rslora: bool = Field(False, description="Whether what is learnt counts lora_alpha / sqrt(r) instead.")
    use_dora: bool = Field(False, description="Whether weights are taken apart into size and direction (DoRA).")


class CheckpointSettings(TextSettings):
    """Settings of the model "sequence-classification"."""

    checkpoint: HubIdOrFolder = Field(
        description="Hub id, folder, or package:NAME/PATH for a folder inside an installed Python package.",
        examples=["google-bert/bert-base-uncased"],
    )
    revision: str | None = Field(None, description="Branch, tag or commit on the Hub.")
    ignore_mismatched_sizes: bool = Field(
        False, description="Draw a fresh head where the checkpoint's has another number of labels."
    )
    fresh_head: bool = Field(
        False,
        description="Draw a fresh head, though the checkpoint has one; for other classes, as many as its own or not.",
    )
    lora: LoraSettings | None = Field(
        None, description="Train a few numbers beside the weights (LoRA), which needs `pip install 'ftrun[lora]'`."
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.lora is not None and self.freeze is not None:
            raise ValueError("freeze has no effect beside lora, which trains none of the weights below the head")
        return self


class ConfigurationSettings(TextSettings):
    """Settings of the model "sequence-classification-from-config"."""

    model_type: str = Field(description="transformers' name of the architecture, such as bert.", examples=["bert"])
    tokenizer: HubIdOrFolder = Field(
        description="Whose tokenizer: Hub id, folder, or package:NAME/PATH.", examples=["google-bert/bert-base-uncased"]
    )
    revision: str | None = Field(None, description="Branch, tag or commit of the tokenizer on the Hub.")
    config: dict[str, bool | int | float | str] = Field(
        {}, description="Values of the configuration, such as hidden_size; the architecture's own by default."
    )


def _build_from_checkpoint(settings: CheckpointSettings, splits: Splits) -> BuiltModel:
    from ftrun_plugins.models.sequence_classification import from_checkpoint

    return from_checkpoint(settings, splits.task)


def _build_from_config(settings: ConfigurationSettings, splits: Splits) -> BuiltModel:
    from ftrun_plugins.models.sequence_classification import from_config

    return from_config(settings, splits.task)


def _load(settings: TextSettings, folder: Path, task: Task) -> BuiltModel:
    from ftrun_plugins.models.sequence_classification import from_adapter, from_saved

    if isinstance(settings, CheckpointSettings) and settings.lora and (folder / ADAPTER).is_file():
        return from_adapter(settings, folder, task)

    return from_saved(settings, folder, task)


def _check_checkpoint(settings: CheckpointSettings) -> Sequence[Problem]:
    problems = list(problem_with(settings.checkpoint, "checkpoint"))
    if settings.lora and importlib.util.find_spec("peft") is None:
        problems.append(Problem("LoRA needs the package peft, which is not installed", "lora", LORA_EXTRA))
    return problems


def _check_tokenizer(settings: ConfigurationSettings) -> Sequence[Problem]:
    return problem_with(settings.tokenizer, "tokenizer")


def _needs_checkpoint(settings: CheckpointSettings) -> Sequence[Need]:
    from ftrun_plugins.models.presence import checkpoint_needs

    return checkpoint_needs(settings.checkpoint, settings.revision, "checkpoint")


def _needs_tokenizer(settings: ConfigurationSettings) -> Sequence[Need]:
    from ftrun_plugins.models.presence import tokenizer_needs

    return tokenizer_needs(settings.tokenizer, settings.revision, "tokenizer")


@hookimpl
def ftrun_models() -> Sequence[Model]:
    return [
        Model(
            name="sequence-classification",
            summary="A pretrained transformer with a head for classes, or one number for regression",
            settings=CheckpointSettings,
            kinds=KINDS,
            check=_check_checkpoint,
            needs=_needs_checkpoint,
            build=_build_from_checkpoint,
            load=_load,
        ),
        Model(
            name="sequence-classification-from-config",
            summary="The same with fresh random weights, from a configuration",
            settings=ConfigurationSettings,
            kinds=KINDS,
            check=_check_tokenizer,
            needs=_needs_tokenizer,
            build=_build_from_config,
            load=_load,
        ),
    ]
