"""Queries of a SQLite file that is opened to be read alone; light."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ftrun.errors import Problem

from ftrun_sqlite import SqliteSettings

QUERIES = ("train", "validation")
MAGIC = b"SQLite format 3\0"


def is_database(file: Path) -> bool:
    """Whether a file is one of SQLite's."""
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def of_further(settings: SqliteSettings, file: Path) -> SqliteSettings:
    """Settings by which the rows of a further file are those of validation."""
    query = settings.further or settings.validation
    return settings.model_copy(update={"database": str(file.absolute()), "validation": query})


def problems(settings: SqliteSettings) -> Sequence[Problem]:
    """What is wrong with the file and the queries; no query is run to its end."""
    if not Path(settings.database).is_file():
        return [Problem(f"there is no file {settings.database}", "database")]
    wanted = {*settings.text_columns, settings.label_column}
    found = []
    for name in QUERIES:
        try:
            missing = wanted - set(columns(settings, name))
        except sqlite3.Error as error:
            found.append(Problem(f"SQLite refuses this query: {error}", name))
        else:
            found += [Problem(f'this query gives no column "{column}"', name) for column in sorted(missing)]
    return found


def columns(settings: SqliteSettings, name: str) -> Sequence[str]:
    """The names of the columns that a query gives."""
    with closing(_opened(settings)) as connection:
        return [column[0] for column in connection.execute(_query(settings, name)).description or ()]


def rows(settings: SqliteSettings, name: str) -> Sequence[Sequence[Any]]:
    """The rows that a query gives."""
    with closing(_opened(settings)) as connection:
        return connection.execute(_query(settings, name)).fetchall()


def _opened(settings: SqliteSettings) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(settings.database).as_uri()}?mode=ro", uri=True)


def _query(settings: SqliteSettings, name: str) -> str:
    query: str = getattr(settings, name)
    return query
