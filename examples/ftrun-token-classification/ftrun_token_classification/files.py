"""Words and their tags in JSON lines."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from datasets import Dataset, Features, Sequence, Value
from ftrun.contracts import Splits, Task
from ftrun.errors import ExperimentError, Problem

from ftrun_token_classification import KIND, TaggedFilesSettings

OUTSIDE = "O"


def build(settings: TaggedFilesSettings) -> Splits:
    """Open both files; the classes are the tags of the rows to train on.

    Raises:
        ExperimentError: If a row is none, or has a tag that is not among those to train on.
    """
    files = {"train": Path(settings.train), "validation": Path(settings.validation)}
    rows = {name: _rows(path, name, settings) for name, path in files.items()}
    tags = {tag for row in rows["train"] for tag in row[settings.tags_column]}
    classes = tuple(sorted(tags, key=lambda tag: (tag != OUTSIDE, tag)))
    opened = {name: _dataset(rows[name], name, classes, settings) for name in files}
    digest = hashlib.sha256(b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files.values()))
    return Splits(
        task=Task(KIND, (settings.words_column,), settings.tags_column, classes, cross_entropy=True),
        train=opened["train"],
        evaluation={"validation": opened["validation"]},
        name=files["train"].parent.name,
        source=str(files["train"].parent),
        digest=digest.hexdigest()[:16],
    )


def _rows(path: Path, name: str, settings: TaggedFilesSettings) -> list[dict[str, list[str]]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            words, tags = row[settings.words_column], row[settings.tags_column]
        except (ValueError, KeyError, TypeError):
            words, tags = None, None
        if not (_are_words(words) and _are_words(tags) and len(words) == len(tags)):
            wanted = f'"{settings.words_column}" and "{settings.tags_column}", lists of as many strings'
            raise ExperimentError(Problem(f"line {number} of {path} has not {wanted}", name))
        rows.append({settings.words_column: words, settings.tags_column: tags})
    return rows


def _are_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _dataset(
    rows: list[dict[str, list[str]]], name: str, classes: tuple[str, ...], settings: TaggedFilesSettings
) -> Dataset:
    ids = {tag: number for number, tag in enumerate(classes)}
    unknown = sorted({tag for row in rows for tag in row[settings.tags_column]} - ids.keys())
    if unknown:
        raise ExperimentError(Problem(f'no row to train on has the tag "{unknown[0]}"', name))
    columns = {
        settings.words_column: [row[settings.words_column] for row in rows],
        settings.tags_column: [[ids[tag] for tag in row[settings.tags_column]] for row in rows],
    }
    features = {settings.words_column: Sequence(Value("string")), settings.tags_column: Sequence(Value("int64"))}
    return Dataset.from_dict(columns, Features(features))
