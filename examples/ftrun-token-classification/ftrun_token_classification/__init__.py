"""A task of its own for ftrun: a label for every word, with data, model, collator and metrics.

The parts agree on the kind "token_classification". A row's label is a list of class ids, one for each of its words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun import hookimpl
from ftrun.contracts import (
    BuiltModel,
    Collate,
    Collator,
    Dataset,
    Direction,
    Evaluator,
    Metric,
    Model,
    Splits,
    Task,
)
from ftrun.errors import ExperimentError, Problem
from ftrun.references import problem_with
from ftrun.settings import HubIdOrFolder, LocalPath, PositiveInt, Settings
from pydantic import Field

ftrun_contract = "1.2"

KIND = "token_classification"


class TaggedFilesSettings(Settings):
    """Settings of the data set "tagged-files"."""

    train: LocalPath = Field(
        description="JSON lines to train on: each with a list of words and a list of tags.", examples=["train.jsonl"]
    )
    validation: LocalPath = Field(description="JSON lines to evaluate on.", examples=["validation.jsonl"])
    words_column: str = Field("words", description="Key of the words.")
    tags_column: str = Field("tags", description="Key of the tags.")


class TokenModelSettings(Settings):
    """Settings of the model "token-classification"."""

    checkpoint: HubIdOrFolder = Field(
        description="Hub id, folder, or package:NAME/PATH.", examples=["google-bert/bert-base-cased"]
    )
    max_length: PositiveInt = Field(128, description="Longest input in tokens; longer rows are cut.")


def _check_files(settings: TaggedFilesSettings) -> Sequence[Problem]:
    files = {"train": settings.train, "validation": settings.validation}
    return [Problem(f"there is no file {path}", name) for name, path in files.items() if not Path(path).is_file()]


def _check_checkpoint(settings: TokenModelSettings) -> Sequence[Problem]:
    return problem_with(settings.checkpoint, "checkpoint")


def _task(settings: TaggedFilesSettings) -> Task:
    """The tags are known once the files are open; the kind is known before, and other kinds' parts are refused."""
    return Task(KIND, (settings.words_column,), settings.tags_column, cross_entropy=True)


def _open(settings: TaggedFilesSettings) -> Splits:
    from ftrun_token_classification.files import build

    return build(settings)


def _build(settings: TokenModelSettings, splits: Splits) -> BuiltModel:
    from ftrun_token_classification.model import build

    return build(settings, splits.task)


def _load(settings: TokenModelSettings, folder: Path, task: Task) -> BuiltModel:
    from ftrun_token_classification.model import load

    return load(settings, folder, task)


def _collate(settings: Settings, tokenizer: Any) -> Collate:
    from ftrun_token_classification.padding import TokenPadding

    return TokenPadding(tokenizer)


def _only_here(task: Task, names: Sequence[str]) -> Mapping[str, Direction]:
    if task.kind != KIND:
        raise ExperimentError(Problem(f"this measures a label for every word, and the task is {task.kind}", "use"))
    return dict.fromkeys(names, "max")


def _yields_accuracy(settings: Settings, task: Task) -> Mapping[str, Direction]:
    return _only_here(task, ["token_accuracy"])


def _yields_entities(settings: Settings, task: Task) -> Mapping[str, Direction]:
    return _only_here(task, ["entity_precision", "entity_recall", "entity_f1"])


def _build_accuracy(settings: Settings, task: Task) -> Evaluator:
    from ftrun_token_classification.scores import token_accuracy

    return token_accuracy


def _build_entities(settings: Settings, task: Task) -> Evaluator:
    from ftrun_token_classification.scores import Entities

    return Entities(task.class_names or ())


@hookimpl
def ftrun_datasets() -> Sequence[Dataset]:
    """Offer the data set."""
    return [
        Dataset(
            name="tagged-files",
            summary="Words and their tags in JSON lines",
            settings=TaggedFilesSettings,
            check=_check_files,
            task=_task,
            build=_open,
        )
    ]


@hookimpl
def ftrun_models() -> Sequence[Model]:
    """Offer the model."""
    return [
        Model(
            name="token-classification",
            summary="A pretrained transformer with a head that labels every token",
            settings=TokenModelSettings,
            kinds=frozenset({KIND}),
            check=_check_checkpoint,
            build=_build,
            load=_load,
        )
    ]


@hookimpl
def ftrun_collators() -> Sequence[Collator]:
    """Offer the collator."""
    return [
        Collator(
            name="token-padding",
            summary="Pads each batch, its labels too, to its longest row",
            needs_tokenizer=True,
            build=_collate,
        )
    ]


@hookimpl
def ftrun_metrics() -> Sequence[Metric]:
    """Offer the metrics."""
    return [
        Metric(
            name="token-accuracy",
            summary="Share of words with the right label",
            yields=_yields_accuracy,
            build=_build_accuracy,
        ),
        Metric(
            name="entities",
            summary="Precision, recall and F1 of whole entities, tagged B-TYPE, I-TYPE and O",
            yields=_yields_entities,
            build=_build_entities,
        ),
    ]
