"""What is odd in CSV of a repository, which `datasets` has read."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

from datasets import Dataset
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import Dialect, RowFile, ending_fault, shown, suspected_delimiter

from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.classes import as_name
from ftrun_plugins.datasets.configurations import OTHERWISE
from ftrun_plugins.datasets.holding import header_again, rows_over_lines
from ftrun_plugins.datasets.quoted import Numbers, Suspect, swallowed
from ftrun_plugins.datasets.repositories import Opened

CELLS = {
    "features",
    "keep_default_na",
    "na_filter",
    "na_values",
    "usecols",
    "encoding_errors",
    "on_bad_lines",
    "engine",
}
OWN_WAY = '`datasets` reads it in its own way, and [dataset] use = "files" as it is written'
KNOWN = {"data_files", "sep", "delimiter", "encoding", *CELLS}
"""What a card may say of CSV under which its lines are still those that Python's own reader sees."""


def refuse_one_cell(opened: Opened, train: Dataset, name: str) -> None:
    """Refuse CSV whose cells stand apart by something else than the data set says.

    Raises:
        ExperimentError: If the header is one cell, in which there is such a mark.
    """
    if mark := suspected_delimiter(train.column_names, _delimiter(opened)):
        message = f"the header of {name} is one cell, {train.column_names[0]!r}"
        hint = f"Is {json.dumps(mark)} between its cells? {OTHERWISE}"
        raise ExperimentError(Problem(message, "dataset.path", hint))


def csv_notices(opened: Opened, used: Mapping[str, Dataset], columns: LabelledText) -> list[str]:
    """Sentences about rows that a stray `"` seems to have made one of, and about files that are not well formed.

    Args:
        opened: The data set.
        used: The rows that are used, by split.
        columns: Those that are wanted.

    Raises:
        ExperimentError: If a row is the header.
    """
    told = [one for split, rows in used.items() for one in _odd_rows(opened, rows, split, columns)]
    files = [file for split in opened.splits for file in opened.files(split)]
    return [*told, *_badly_formed(opened, files)]


def _delimiter(opened: Opened) -> str:
    return str(opened.options.get("sep") or opened.options.get("delimiter") or ",")


def _odd_rows(opened: Opened, rows: Dataset, name: str, columns: LabelledText) -> Sequence[str]:
    """A sentence about rows of CSV that a stray `"` seems to have made one of.

    Raises:
        ExperimentError: If one is the header.
    """
    if (place := header_again(rows)) is not None:
        hint = "Of files that are put together the first alone keeps its header."
        raise ExperimentError(Problem(f"row {place + 1:,} of {name} is the header again", "dataset.path", hint))
    over_lines = rows_over_lines(rows, _delimiter(opened))
    suspects = [Suspect(f"row {place + 1:,} of {name}", inside) for place, inside in over_lines]
    if not suspects:
        return []
    known: dict[int, Container[str]] = {}
    for place, column in enumerate(rows.column_names):
        if column in columns.all_label_columns:
            names = getattr(rows.features[column], "names", None) or ()
            labels = {as_name(value).strip() for value in rows.unique(column) if value is not None}
            known[place] = Numbers() if columns.kind == "regression" else labels.union(names)
    return swallowed(suspects, known, 'read the files with [dataset] use = "files" and quoting = false')


def _badly_formed(opened: Opened, files: Sequence[Path]) -> Sequence[str]:
    """Sentences about files that are not well formed: pandas drops some quotation marks, and fills up a short row."""
    delimiter = _delimiter(opened)
    if not KNOWN.issuperset(opened.options) or len(delimiter) != 1:
        return []
    told = []
    for file in files:
        if ending_fault(file) is not None:
            continue
        reader = RowFile(file, "dataset.path", Dialect(delimiter, opened.options.get("encoding") or "utf-8"))
        try:
            with reader.disk_errors(), reader.cells() as cells:
                for _ in cells:
                    pass
        except ExperimentError as error:
            message = error.problems[0].message
            told.append(f"{message.replace(shown(file), file.name)}: {OWN_WAY}")
    return told
