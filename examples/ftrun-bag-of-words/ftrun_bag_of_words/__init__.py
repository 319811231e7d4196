"""A model of ftrun in plain PyTorch: the mean of a text's words, with a vocabulary fitted to the rows to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftrun import hookimpl
from ftrun.contracts import BuiltModel, Collate, Collator, Model, Splits, Task
from ftrun.settings import PositiveInt, Settings
from pydantic import Field

ftrun_contract = "1.1"


class BagSettings(Settings):
    """Settings of the model "bag-of-words"."""

    width: PositiveInt = Field(32, description="Numbers that stand for a word.")
    min_count: PositiveInt = Field(1, description="How often a word must stand in the rows to train on to be known.")


def _build(settings: BagSettings, splits: Splits) -> BuiltModel:
    from ftrun_bag_of_words.model import build

    return build(settings, splits)


def _load(settings: BagSettings, folder: Path, task: Task) -> BuiltModel:
    from ftrun_bag_of_words.model import load

    return load(settings, folder, task)


def _collate(settings: Settings, tokenizer: Any) -> Collate:
    from ftrun_bag_of_words.batches import collate

    return collate


@hookimpl
def ftrun_models() -> Sequence[Model]:
    """Offer the model."""
    return [
        Model(
            name="bag-of-words",
            summary="The mean of a text's words, and a layer for the classes",
            settings=BagSettings,
            kinds=frozenset({"classification"}),
            build=_build,
            load=_load,
        )
    ]


@hookimpl
def ftrun_collators() -> Sequence[Collator]:
    """Offer what makes its batches."""
    return [Collator(name="bag-of-words", summary="Batches of the model bag-of-words", build=_collate)]
