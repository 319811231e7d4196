"""The splits, their classes decided by the rows to train on."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from datasets import Dataset
from ftrun.contracts import Splits, Task
from ftrun.errors import ExperimentError, Problem

from ftrun_sqlite import SqliteSettings
from ftrun_sqlite.reading import QUERIES, columns, rows

Table = dict[str, list[Any]]


def build(settings: SqliteSettings) -> Splits:
    """Open both splits.

    Raises:
        ExperimentError: If a text or a label is not there, or a class is not among those to train on.
    """
    tables = {name: _table(settings, name) for name in QUERIES}
    label = settings.label_column
    classes = tuple(sorted(set(tables["train"][label])))
    for name, table in tables.items():
        unknown = sorted(set(table[label]) - set(classes))
        if unknown:
            raise ExperimentError(Problem(f'"{unknown[0]}" is no class of the rows to train on', name))
        table[label] = [classes.index(value) for value in table[label]]
    contents = json.dumps([classes, tables])
    return Splits(
        task=Task("classification", settings.text_columns, label, classes),
        train=Dataset.from_dict(tables["train"]),
        evaluation={"validation": Dataset.from_dict(tables["validation"])},
        name=settings.database.rpartition("/")[2],
        source=settings.database,
        digest=hashlib.sha256(contents.encode()).hexdigest()[:16],
    )


def _table(settings: SqliteSettings, name: str) -> Table:
    """A query's rows as columns of text, for a text column may hold numbers in SQLite, too."""
    found = columns(settings, name)
    table: Table = {column: [] for column in (*settings.text_columns, settings.label_column)}
    for number, row in enumerate(rows(settings, name), 1):
        cells = dict(zip(found, row, strict=True))
        for column, values in table.items():
            if cells[column] is None:
                raise ExperimentError(Problem(f'row {number} has NULL in "{column}"', name))
            values.append(str(cells[column]))
    return table
