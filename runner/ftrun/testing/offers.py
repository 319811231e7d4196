"""The small parts as components, beside the installed ones and those that are under test. Light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from ftrun.contracts import (
    BuiltModel,
    Component,
    Dataset,
    Direction,
    Evaluator,
    Metric,
    Model,
    Predictions,
    Splits,
    Task,
)
from ftrun.planning.catalogue import Catalogue, Plugin, load_catalogue
from ftrun.settings import NonNegativeFloat, NonNegativeInt, PositiveInt, Settings

TESTING = "ftrun.testing"
"""Who offers the small parts: `use = "ftrun.testing:tiny"`."""
HERE = "under-test"
"""Who offers a component that is tested without being installed."""


class TinySettings(Settings):
    """Settings of the data set "tiny"."""

    kind: Literal["classification", "multi_label", "regression"] = Field(
        "classification", description="What a label is."
    )
    columns: PositiveInt = Field(2, le=2, description="Columns of text.")
    classes: PositiveInt = Field(3, description="How many classes there are.")
    rows: PositiveInt = Field(20, description="Rows to train on.")
    evaluation: PositiveInt = Field(12, description="Rows to evaluate on.")


class TinyModelSettings(Settings):
    """Settings of the model "tiny"."""

    dropout: NonNegativeFloat = Field(0.1, lt=1, description="Every dropout probability.")
    overflows_in: NonNegativeInt = Field(
        0, description="The pass in training from which on what it says is not finite; 0 for none."
    )


class ScriptedSettings(Settings):
    """Settings of the metric "scripted"."""

    values: tuple[float, ...] = Field(description="What it gives, one evaluation after the other; then the last.")
    rows: PositiveInt = Field(12, description="Rows of an evaluation: what has fewer is none.")


def _tiny_task(settings: TinySettings) -> Task:
    from ftrun.testing.tiny import tiny_task

    return tiny_task(settings.kind, settings.columns, settings.classes)


def _tiny_splits(settings: TinySettings) -> Splits:
    from ftrun.testing.tiny import tiny_splits

    return tiny_splits(settings.kind, settings.columns, settings.classes, settings.rows, settings.evaluation)


def _tiny_model(settings: TinyModelSettings, splits: Splits) -> BuiltModel:
    from ftrun.testing.tiny import tiny_model

    return tiny_model(splits, settings.dropout, settings.overflows_in)


def _load_tiny_model(settings: TinyModelSettings, folder: Path, task: Task) -> BuiltModel:
    from ftrun.testing.tiny import load_tiny_model

    return load_tiny_model(folder, task)


def _scripted_yields(settings: ScriptedSettings, task: Task) -> Mapping[str, Direction]:
    return {"scripted": "max"}


def _scripted(settings: ScriptedSettings, task: Task) -> Evaluator:
    left: Iterator[float] = iter(settings.values[:-1])

    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        is_rehearsal = len(predictions.logits) < settings.rows
        return {"scripted": settings.values[0] if is_rehearsal else next(left, settings.values[-1])}

    return evaluate


KINDS = frozenset({"classification", "multi_label", "regression"})
PARTS: Sequence[Component] = (
    Dataset(name="tiny", summary="A few short rows", settings=TinySettings, task=_tiny_task, build=_tiny_splits),
    Model(
        name="tiny",
        summary="A narrow BERT",
        settings=TinyModelSettings,
        kinds=KINDS,
        build=_tiny_model,
        load=_load_tiny_model,
    ),
    Metric(
        name="scripted",
        summary="Numbers as they are written in the file, whatever is predicted",
        settings=ScriptedSettings,
        yields=_scripted_yields,
        build=_scripted,
    ),
)
"""The small parts."""


def catalogue_with(components: Sequence[Component] = ()) -> Catalogue:
    """The catalogue of all that is installed, the small parts, and components that are not installed.

    Args:
        components: Offered by the distribution "under-test".
    """
    installed = load_catalogue()
    more = [Plugin("parts", TESTING, "", list(PARTS)), Plugin("tests", HERE, "", list(components))]
    return Catalogue([*installed.plugins, *more], installed.manager)
