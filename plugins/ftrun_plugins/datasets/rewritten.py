"""Columns of JSON that `datasets` has made something else of, such as dates: as their files have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict, DatasetInfo, Features
from datasets.table import InMemoryTable
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import FORMATS, ending_fault, ending_of, listed, shown

from ftrun_plugins.datasets import FilesSettings, LabelledText
from ftrun_plugins.datasets.joining import joined
from ftrun_plugins.datasets.reading import RowFile
from ftrun_plugins.datasets.repositories import Opened

MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?Z?$"
"""How Arrow writes a date of any form."""
PLACE = "dataset.path"


def as_written(opened: Opened, columns: LabelledText) -> Opened:
    """A data set in which the text and the labels are those of its files of JSON: Arrow takes text for dates, and then
    writes them in a way of its own; a list's numbers lose their digits; and numbers beside text have no type.

    Args:
        opened: As `datasets` has read it.
        columns: Those that are wanted.

    Raises:
        ExperimentError: If dates are among them that cannot be had from the files.
    """
    if opened.form != "json":
        return opened
    wanted = [*columns.text_columns, *columns.all_label_columns]
    tables = [rows.data.table for rows in opened.splits.values()]
    read = {name: [table.column(name) for table in tables if name in table.column_names] for name in wanted}
    changed = [name for name, of_each in read.items() if any(map(_is_changed, of_each))]
    if not changed:
        return opened
    files = [file for split in opened.splits for file in opened.files(split)]
    if unread := next((file for file in files if not _is_readable(file, opened)), None):
        if dates := [name for name in changed if any(map(_has_moments, read[name]))]:
            message = f"{unread.name} has dates in {listed(dates)}, which `datasets` writes otherwise than the file"
            raise ExperimentError(Problem(message, PLACE, 'Unpack it, and take the file: [dataset] use = "files".'))
        return opened
    splits = {split: _with(rows, opened.files(split), changed, columns) for split, rows in opened.splits.items()}
    return replace(opened, splits=DatasetDict(splits))


def _is_changed(column: pa.ChunkedArray) -> bool:
    """Whether a column may hold something else than its file."""
    kind = column.type
    is_plain = pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    if pa.types.is_list(kind):
        return _is_changed(pc.list_flatten(column))
    return not is_plain or _has_moments(column)


def _has_moments(column: pa.ChunkedArray) -> bool:
    if pa.types.is_list(column.type):
        return _has_moments(pc.list_flatten(column))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return bool(pc.any(pc.match_substring_regex(column, MOMENT)).as_py())
    return bool(pa.types.is_temporal(column.type))


def _is_readable(file: Path, opened: Opened) -> bool:
    """Whether `RowFile` reads a file, as the card has it."""
    is_json = ending_fault(file) is None and FORMATS[ending_of(file)] == "json"
    encoding = str(opened.options.get("encoding", "utf-8")).lower()
    return is_json and opened.options.get("field") is None and encoding in ("utf-8", "utf8")


def _with(rows: Dataset, files: Sequence[Path], names: Sequence[str], columns: LabelledText) -> Dataset:
    """The rows with some columns as their files have them."""
    tables = {}
    for file in files:
        reader = RowFile(file, "path", FilesSettings(train=str(file), kind=columns.kind), columns)
        reader.texts = [name for name in columns.text_columns if name in names]
        reader.labels = [name for name in columns.all_label_columns if name in names]
        reader.may_lack_label = True
        tables[shown(file)] = reader.read()
    read = joined(tables, PLACE, columns.label_column if columns.kind == "regression" else None)
    if read.num_rows != len(rows):
        message = f"{files[0].name} has {read.num_rows:,} rows, and `datasets` reads {len(rows):,}"
        raise ExperimentError(Problem(message, PLACE, 'Take the file: [dataset] use = "files".'))
    table = rows.data.table
    for name in read.column_names:
        if name in names and name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, read.column(name))
    told = Features.from_arrow_schema(pa.schema([pa.field(name, table.column(name).type) for name in names]))
    features = Features({**rows.features, **{name: told[name] for name in read.column_names if name in told}})
    kept = Features({name: features[name] for name in table.column_names})
    return Dataset(InMemoryTable(table), info=DatasetInfo(features=kept), fingerprint=f"{rows._fingerprint}-as-written")
