"""What a run predicted, read from its folder as arrays."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftrun.pictures.counting import Floats, Ints
from ftrun.runs.folder import RunFolder

RANKED_NUMBERS = 5_000_000
"""Probabilities that are ranked for a figure, at most; of larger splits every so many-th row."""


@dataclass(frozen=True)
class Table:
    """The table of predictions of a split."""

    columns: list[str]
    rows: Sequence[Sequence[Any]]

    def place(self, name: str) -> int:
        """Where a column of what was predicted is: behind those of the data, one of which may have its name."""
        return len(self.columns) - 1 - self.columns[::-1].index(name)

    def column(self, name: str) -> list[Any]:
        place = self.place(name)
        return [row[place] for row in self.rows]


def read_table(path: Path) -> Table:
    """A table from its file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    return Table(told["columns"], told["data"])


@dataclass(frozen=True)
class Classified:
    """The rows of a split that were given a class; those of which the model says no finite numbers are left out.

    Attributes:
        names: Of the classes.
        places: Where each row is in the split.
        labels: Class ids, true; said: predicted.
        probability: Of what was predicted, from 0 to 1; NaN where it is no number.
        table: What its file has of these rows.
    """

    names: Sequence[str]
    places: Ints
    labels: Ints
    said: Ints
    probability: Floats
    table: Table


def read_classified(folder: RunFolder, split: str, names: Sequence[str]) -> Classified:
    """The predicted classes of a split."""
    whole = read_table(folder.predictions(split))
    places = [place for place, name in enumerate(whole.column("prediction")) if name is not None]
    table = Table(whole.columns, [whole.rows[place] for place in places])
    ids = {name: place for place, name in enumerate(names)}
    labels, said = (np.array([ids[name] for name in table.column(what)], int) for what in ("label", "prediction"))
    return Classified(names, np.array(places, int), labels, said, _numbers(table, "probability"), table)


def read_many(folder: RunFolder, split: str, names: Sequence[str]) -> tuple[Ints, Ints]:
    """True and predicted classes of a split whose rows have any number: 0 or 1 by row and class."""
    table = read_table(folder.predictions(split))
    told = [both for both in zip(table.column("label"), table.column("prediction"), strict=True) if both[1] is not None]
    return _marks([label for label, _ in told], names), _marks([said for _, said in told], names)


def _marks(rows: Sequence[Sequence[str]], names: Sequence[str]) -> Ints:
    ids = {name: place for place, name in enumerate(names)}
    marks = np.zeros((len(rows), len(names)), np.int64)
    for row, told in enumerate(rows):
        marks[row, [ids[name] for name in told]] = 1
    return marks


def read_ranked(folder: RunFolder, split: str, found: Classified) -> tuple[Ints, Floats]:
    """Class ids and the probabilities of all classes, of as many rows of a split as are ranked."""
    logits = np.load(folder.logits(split), mmap_mode="r")
    stride = max(1, -(-logits.size // RANKED_NUMBERS))
    some = np.asarray(logits[found.places[::stride]], "float64")
    powers = np.exp(some - some.max(axis=1, keepdims=True))
    return found.labels[::stride], powers / powers.sum(axis=1, keepdims=True)


def read_numbers(folder: RunFolder, split: str) -> tuple[Floats, Floats]:
    """True and predicted numbers of a split of regression, those that are finite."""
    table = read_table(folder.predictions(split))
    labels, said = _numbers(table, "label"), _numbers(table, "prediction")
    finite = np.isfinite(labels) & np.isfinite(said)
    return labels[finite], said[finite]


def _numbers(table: Table, name: str) -> Floats:
    return np.array([np.nan if value is None else value for value in table.column(name)], "float64")
