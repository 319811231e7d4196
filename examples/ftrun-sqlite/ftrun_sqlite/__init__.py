"""A data set of ftrun: what queries of a SQLite file give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ftrun import hookimpl
from ftrun.contracts import Dataset, Rows, Splits, Task
from ftrun.errors import Problem
from ftrun.settings import LocalPath, Settings
from pydantic import Field

ftrun_contract = "1.2"


class SqliteSettings(Settings):
    """Settings of the data set "sqlite"."""

    database: LocalPath = Field(description="The SQLite file, which is only read.", examples=["rows.db"])
    train: str = Field(
        description="Query whose rows to train on; say ORDER BY, for SQLite promises no order.",
        examples=["SELECT text, label FROM training ORDER BY id"],
    )
    validation: str = Field(
        description="Query whose rows to evaluate on.", examples=["SELECT text, label FROM held_out ORDER BY id"]
    )
    further: str | None = Field(
        None, description="Query of a further SQLite file, to predict or evaluate; that of validation if absent."
    )
    text_columns: tuple[str, ...] = Field(("text",), min_length=1, description="Columns of the queries with the text.")
    label_column: str = Field("label", description="Column of the queries with the class.")


def _check(settings: SqliteSettings) -> Sequence[Problem]:
    from ftrun_sqlite.reading import problems

    return problems(settings)


def _build(settings: SqliteSettings) -> Splits:
    from ftrun_sqlite.splits import build

    return build(settings)


def _read(settings: SqliteSettings, file: Path, task: Task) -> Rows | None:
    from ftrun_sqlite.splits import read

    return read(settings, file, task)


@hookimpl
def ftrun_datasets() -> Sequence[Dataset]:
    """Offer the data set."""
    return [
        Dataset(
            name="sqlite",
            summary="Text and classes from queries of a SQLite file",
            settings=SqliteSettings,
            check=_check,
            build=_build,
            read=_read,
        )
    ]
