"""Models: sequence classification (and regression) from a checkpoint, or fresh from a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from ftrun import hookimpl
from ftrun.contracts import BuiltModel, Model, Splits, Task
from ftrun.errors import Problem
from ftrun.references import problem_with
from ftrun.settings import HubIdOrFolder, PositiveInt, Settings
from pydantic import Field

KINDS = frozenset({"classification", "multi_label", "regression"})
Dropout = Annotated[float, Field(ge=0, lt=1)]


class TextSettings(Settings):
    """How text goes into the model."""

    max_length: PositiveInt | None = Field(
        None, description="Longest input in tokens; longer text is cut. The model's own limit by default."
    )
    pad_token: str | None = Field(None, description="Token to pad with, for a tokenizer that has none.")
    dropout: Dropout | None = Field(None, description="Every dropout probability of the model; its own by default.")


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
    from ftrun_plugins.models.sequence_classification import from_saved

    return from_saved(settings, folder, task)


def _check_checkpoint(settings: CheckpointSettings) -> Sequence[Problem]:
    return problem_with(settings.checkpoint, "checkpoint")


def _check_tokenizer(settings: ConfigurationSettings) -> Sequence[Problem]:
    return problem_with(settings.tokenizer, "tokenizer")


@hookimpl
def ftrun_models() -> Sequence[Model]:
    return [
        Model(
            name="sequence-classification",
            summary="A pretrained transformer with a head for classes, or one number for regression",
            settings=CheckpointSettings,
            kinds=KINDS,
            check=_check_checkpoint,
            build=_build_from_checkpoint,
            load=_load,
        ),
        Model(
            name="sequence-classification-from-config",
            summary="The same with fresh random weights, from a configuration",
            settings=ConfigurationSettings,
            kinds=KINDS,
            check=_check_tokenizer,
            build=_build_from_config,
            load=_load,
        ),
    ]
