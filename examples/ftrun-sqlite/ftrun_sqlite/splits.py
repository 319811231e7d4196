"""The splits, their classes decided by the rows to train on."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets import Dataset
from ftrun.contracts import Splits, Task
from ftrun.errors import ExperimentError, Problem

from ftrun_sqlite import SqliteSettings
from ftrun_sqlite.reading import QUERIES, columns, is_database, of_further, rows

Table = dict[str, list[Any]]


def build(settings: SqliteSettings) -> Splits:
    """Open both splits.

    Raises:
        ExperimentError: If a text or a label is not there, or a class is not among those to train on.
    """
    label = settings.label_column
    tables = {name: _table(settings, name, (*settings.text_columns, label)) for name in QUERIES}
    classes = tuple(sorted(set(tables["train"][label])))
    for name, table in tables.items():
        table[label] = _ids(table[label], classes, name)
    contents = json.dumps([classes, tables])
    return Splits(
        task=Task("classification", settings.text_columns, label, classes),
        train=Dataset.from_dict(tables["train"]),
        evaluation={"validation": Dataset.from_dict(tables["validation"])},
        name=settings.database.rpartition("/")[2],
        source=settings.database,
        digest=hashlib.sha256(contents.encode()).hexdigest()[:16],
    )


def read(settings: SqliteSettings, file: Path, task: Task) -> Dataset | None:
    """The rows of a further SQLite file, to predict or to evaluate; they may lack labels. None of any other file.

    Raises:
        ExperimentError: If SQLite refuses a query, or a row has no text, or a class that is not known.
    """
    if not is_database(file):
        return None
    further, label = of_further(settings, file), settings.label_column
    with _queried(f"the query of {file}", "[dataset] further may name another query for such files."):
        there = columns(further, "validation")
        if missing := [column for column in settings.text_columns if column not in there]:
            raise ExperimentError(Problem(f'the query gives no column "{missing[0]}" of {file}'))
        wanted = [*settings.text_columns, *([label] if label in there else [])]
        table = _table(further, "validation", wanted, may_be_null=label)
    if label in table:
        table[label] = _ids(table[label], task.class_names or (), "validation")
    return Dataset.from_dict(table)


@contextmanager
def _queried(what: str, hint: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise ExperimentError(Problem(f"SQLite refuses {what}: {error}", hint=hint)) from error


def _ids(labels: Sequence[str | None], classes: tuple[str, ...], name: str) -> list[int | None]:
    if unknown := sorted({label for label in labels if label is not None} - set(classes)):
        raise ExperimentError(Problem(f'"{unknown[0]}" is no class of the rows to train on', name))
    return [None if label is None else classes.index(label) for label in labels]


def _table(settings: SqliteSettings, name: str, wanted: Sequence[str], may_be_null: str | None = None) -> Table:
    """A query's rows as columns of text, for a text column may hold numbers in SQLite, too."""
    found = columns(settings, name)
    table: Table = {column: [] for column in wanted}
    for number, row in enumerate(rows(settings, name), 1):
        cells = dict(zip(found, row, strict=True))
        for column, values in table.items():
            cell = cells[column]
            if cell is None and column != may_be_null:
                raise ExperimentError(Problem(f'row {number} has NULL in "{column}"', name))
            values.append(None if cell is None else str(cell))
    return table
