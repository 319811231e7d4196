"""Rows to be predicted, with all their columns as they are written, and the same rows with columns added."""

from __future__ import annotations

import codecs
import contextlib
import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from ftrun.contracts import Rows
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import (
    FORMATS,
    Dialect,
    RowFile,
    as_text,
    ending_fault,
    ending_of,
    is_unicode,
    listed,
    shown,
    text_of,
)

DATA = "--data"
OUT = "--out"
PACKED = (".zip", ".bz2", ".xz", ".zst")
TEXT = (str, bool, int, float, Decimal, date, time, timedelta)
"""What is text, or becomes it."""
AS_JSON = "JSON has a way to write that: --out with .jsonl."
NO_TEXT: Mapping[type, str] = {list: "a list", dict: "an object", bytes: "bytes"}
"""What files hold besides, in words."""


@dataclass(frozen=True)
class RowTable:
    """Rows with their columns.

    Attributes:
        name: What to call them in messages.
        columns: Cells by the column's name, as they are written.
        suffix: What the name of their file ends in; "" where they are of none.
        delimiter: What stands between cells of their file.
        records: JSON's objects: one may lack what another has.
        arrow: Parquet's table, with its types.
        declared: The names that Parquet gives the ids of a column, as `datasets` writes a ClassLabel or a list of them.
        separator: What stands between the classes in a cell of text; None where lists of them are written as JSON.
        notices: What a person should know of how they were read.
    """

    name: str
    columns: Mapping[str, Sequence[Any]]
    suffix: str = ""
    delimiter: str = ","
    records: Sequence[Mapping[str, Any]] | None = None
    arrow: Any = None
    declared: Mapping[str, Sequence[str]] = field(default_factory=dict)
    separator: str | None = None
    notices: Sequence[str] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def texts(self, column: str) -> list[str]:
        """A column's cells as text: numbers and truth values as JSON has them, as where a model is trained on them.

        Raises:
            ExperimentError: If a row has none there, or something else.
        """
        if self.arrow is not None:
            self._refuse(column, self.columns[column])
            told: list[str] = text_of(self.arrow.column(column)).to_pylist()
            return told
        self._refuse(column, self.columns[column])
        return [value if isinstance(value, str) else as_text(value) for value in self.columns[column]]

    def cells(self, column: str) -> Sequence[Any]:
        """A column's cells as they are, lists and objects too.

        Raises:
            ExperimentError: If a row has none there.
        """
        values = self.columns[column]
        for row, value in enumerate(values, 1):
            self._refuse_none(column, row, value)
        return values

    def labels(self, column: str) -> Sequence[Any]:
        """A column's cells, where they are ids, or lists of them, by the names that the file itself gives those."""
        names, cells = self.declared.get(column), self.columns[column]
        return cells if names is None else [by_name(cell, names) for cell in cells]

    def _refuse_none(self, column: str, row: int, value: Any) -> None:
        if is_missing(value):
            hint = "Write an empty text there if that is meant, or leave the row out."
            raise self.wrong(f'has no text in column "{column}": row {row}', hint)

    def _refuse(self, column: str, values: Sequence[Any]) -> None:
        for row, value in enumerate(values, 1):
            self._refuse_none(column, row, value)
            if not isinstance(value, TEXT):
                what = NO_TEXT.get(type(value), f"a value of type {type(value).__name__}")
                raise self.wrong(f'has {what} in column "{column}", row {row}', "Text, a number or a truth value fits.")
            if not is_unicode(value):
                raise self.wrong(f'has half a character (a lone surrogate) in column "{column}", row {row}')

    def wrong(self, message: str, hint: str | None = None) -> ExperimentError:
        """What is wrong with the rows."""
        return ExperimentError(Problem(f"{self.name} {message}", DATA, hint))


def refuse_no_rows(data: str | os.PathLike[str]) -> None:
    """Refuse what is here, and is no file of rows by its name; what is not here is no matter.

    Raises:
        ExperimentError: If it is a folder, or a file whose name does not say what it holds.
    """
    refuse_folder(data)
    path = Path(data).expanduser()
    with contextlib.suppress(OSError, ValueError):
        if path.exists() and (fault := ending_fault(path)):
            hint = "Unpack it, and name what was in it." if path.suffix.lower() in PACKED else None
            raise ExperimentError(Problem(fault, DATA, hint))


def refuse_folder(data: str | os.PathLike[str]) -> None:
    """Refuse a folder.

    Raises:
        ExperimentError: If it is one.
    """
    with contextlib.suppress(OSError, ValueError):
        if Path(data).expanduser().is_dir():
            is_bare = isinstance(data, str) and Path(data).name == data != ".."
            handed = f" A data set that reads folders has it as ./{data}." if is_bare and data else ""
            inside = f"Name a file in it, or a split.{handed}"
            raise ExperimentError(Problem(f"{os.fspath(data) or '.'} is a folder", DATA, inside))


def read_rows(file: Path, dialect: Dialect) -> RowTable:
    """All rows of a file.

    Raises:
        ExperimentError: If it is not what its name says, naming the line or row.
    """
    refuse_no_rows(file)
    reader = RowFile(file, DATA, dialect)
    with reader.disk_errors():
        table = {"csv": _of_cells, "json": _of_objects, "parquet": _of_parquet}[reader.format](reader)
    if not len(table):
        raise reader.wrong("has no rows")
    return table


def rows_of_split(name: str, rows: Rows) -> RowTable:
    """The rows of a split."""
    return RowTable(name, {column: list(rows[column][:]) for column in rows.column_names})


def rows_of_texts(texts: Sequence[Sequence[str]], columns: Sequence[str]) -> RowTable:
    """Texts of one's own, as many to a row as there are columns.

    Raises:
        ExperimentError: If a row has more of them, or fewer.
    """
    for row in texts:
        if len(row) != len(columns):
            names = listed(columns)
            hint = f"Its text: {names}. So: " + " ".join(["--text", *('"..."' for _ in columns)])
            hint += "; --text again for each further row."
            count = "is 1 text" if len(row) == 1 else f"are {len(row) or 'no'} texts"
            raise ExperimentError(Problem(f"there {count} for a model of {len(columns)}", "--text", hint))
    return RowTable("--text", {column: [row[place] for row in texts] for place, column in enumerate(columns)})


def check_writable(out: Path, data: Path | None, overwrite: bool = False) -> None:
    """Whether rows can be written to a file, as far as that is known before.

    Args:
        out: The file.
        data: The file that the rows are of.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        ExperimentError: If not, or it is there already, or the file that is read.
    """
    if out.suffix.lower() not in FORMATS:
        raise ExperimentError(Problem(f"{shown(out)} must end in one of {', '.join(FORMATS)}", OUT))
    if not out.absolute().parent.is_dir():
        raise ExperimentError(Problem(f"there is no folder {out.absolute().parent}", OUT, "Make it, or name another."))
    if not os.access(out.absolute().parent, os.W_OK) or out.is_dir():
        raise ExperimentError(Problem(f"{shown(out)} cannot be written there", OUT))
    if data is not None and out.exists() and data.exists() and out.samefile(data):
        raise ExperimentError(Problem(f"{shown(out)} is the file that is read", OUT, "Name another one."))
    if out.exists() and not overwrite:
        hint = "Name another one, or say --overwrite."
        raise ExperimentError(Problem(f"{shown(out)} is there already", OUT, hint))


def check_rows_writable(table: RowTable, out: Path) -> None:
    """Whether rows themselves can be written to a file, before anything is added to them.

    Raises:
        ExperimentError: If a cell or a name has half a character, which JSON alone can say.
    """
    kind = FORMATS[out.suffix.lower()]
    if kind == "json" or (kind == "parquet" and table.arrow is not None):
        return
    for column, cells in table.columns.items():
        if not is_unicode(column):
            raise table.wrong(f"has half a character (a lone surrogate) in the name of column {column!a}", AS_JSON)
        for row, value in enumerate(cells, 1):
            if not is_unicode(_cell(value, table.separator)):
                raise table.wrong(f'has half a character (a lone surrogate) in column "{column}", row {row}', AS_JSON)


def write_rows(table: RowTable, added: Mapping[str, Sequence[Any]], out: Path) -> None:
    """Write rows with the columns that were added, in the form that the file's name says; whole or not at all.

    Raises:
        ExperimentError: If it cannot be written.
    """
    aside = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        if FORMATS[out.suffix.lower()] == "parquet":
            _write_parquet(table, added, aside)
        else:
            with aside.open("w", encoding="utf-8", newline="") as stream:
                write_text(table, added, stream, out.suffix.lower())
        aside.replace(out)
    except OSError as error:
        raise ExperimentError(Problem(f"{shown(out)} cannot be written: {error.strerror or error}", OUT)) from error
    finally:
        aside.unlink(missing_ok=True)


def write_text(table: RowTable, added: Mapping[str, Sequence[Any]], stream: TextIO, suffix: str) -> None:
    """Write rows as CSV or TSV, or as JSON with one object a line.

    Args:
        table: The rows; added: the further columns.
        stream: Where to.
        suffix: What the name of such a file ends in.
    """
    if FORMATS[suffix] == "json":
        for record, more in zip(records_of(table), rows_by_name(added), strict=True):
            whole = _json({**record, **more})
            line = json.dumps(whole, ensure_ascii=not is_for_all(stream.encoding), default=str)
            stream.write(f"{line if is_unicode(line) else json.dumps(whole, default=str)}\n")
        return
    delimiter = table.delimiter if suffix == table.suffix else {".tsv": "\t"}.get(suffix, ",")
    writer = csv.writer(_Lines(stream), delimiter=delimiter, lineterminator="\r\n")
    columns = {**table.columns, **added}
    writer.writerow(columns)
    writer.writerows([_cell(value, table.separator) for value in row] for row in zip(*columns.values(), strict=True))


class _Lines:
    """Lines of CSV as they are written, each of which is to end in a mere newline.

    Python's csv quotes a cell for the sake of the ends of lines alone that it is told of; so it is told of both.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> int:
        return self._stream.write(line.removesuffix("\r\n") + "\n")


def is_for_all(encoding: str | None) -> bool:
    """Whether an encoding has a place for every character; that of no stream of bytes has."""
    return encoding is None or codecs.lookup(encoding).name.startswith("utf")


def check_shown(table: RowTable, names: Sequence[str], stream: TextIO) -> None:
    """Whether a stream has a place for all that is in rows, and in further names, where they go to it as CSV.

    Raises:
        ExperimentError: If it has not; something else must not stand in their place.
    """
    if is_for_all(stream.encoding):
        return
    for text in (str(value) for cells in (names, table.columns, *table.columns.values()) for value in cells):
        try:
            text.encode(stream.encoding)
        except UnicodeEncodeError as error:
            message = f"standard output is in {stream.encoding}, which has no place for {text[error.start]!a}"
            hint = "Set PYTHONIOENCODING=utf-8, or name a file, which is written as UTF-8: --out FILE."
            raise ExperimentError(Problem(message, OUT, hint)) from None


def _of_cells(reader: RowFile) -> RowTable:
    with reader.cells() as cells:
        columns = next(cells, None)
        reader.named(columns)
        assert columns
        rows = list(cells)
    names = _distinct_names(columns)
    by_column = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    table = RowTable(shown(reader.file), by_column, ending_of(reader.file), reader.delimiter)
    return replace(table, notices=[*reader.encoding_notices(), *_rows_within(reader), *_blank_lines(reader)])


def _rows_within(reader: RowFile) -> list[str]:
    """A sentence about rows that a stray `"` may have made one of."""
    if not reader.suspects:
        return []
    first, more = reader.suspects[0], len(reader.suspects) - 1
    lines = f'{len(first.rows):,} lines between two " are read as one row, and each has as many cells as the header'
    lines += f"; so are {more:,} more" if more else ""
    how = f'If " is a character like any other there: {reader.setting("quoting", "false")}'
    return [f"lines {first.first:,} to {first.last:,} of {shown(reader.file)}: {lines}. {how}"]


def _blank_lines(reader: RowFile) -> list[str]:
    """A sentence about lines that may be meant to be rows, where a row has one cell."""
    if not (count := reader.blank_lines):
        return []
    lines = "1 blank line that is no row" if count == 1 else f"{count:,} blank lines that are no rows"
    return [f'{shown(reader.file)} has {lines}: a text with nothing in it is written ""']


def _distinct_names(columns: Sequence[str]) -> Sequence[str]:
    """Names for columns of which several may have none: then as pandas has them, and one alone is called ""."""
    if columns.count("") < 2:
        return columns
    told = [name or f"Unnamed: {place}" for place, name in enumerate(columns)]
    taken = set(columns)
    return [name if columns[place] or name not in taken else f"{name}.1" for place, name in enumerate(told)]


def _of_objects(reader: RowFile) -> RowTable:
    records = list(reader.objects())
    names = dict.fromkeys(name for record in records for name in record)
    by_column = {name: [record.get(name) for record in records] for name in names}
    return RowTable(shown(reader.file), by_column, ending_of(reader.file), records=records)


def _of_parquet(reader: RowFile) -> RowTable:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(reader.file) as file:
            reader.named(file.schema_arrow.names)
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise reader.wrong(f"is no Parquet that can be read: {str(error).strip().splitlines()[0]}") from error
    by_column = {name: _values(reader, name, table.column(name)) for name in table.column_names}
    declared = _declared_names(table.schema.metadata or {})
    return RowTable(shown(reader.file), by_column, ".parquet", arrow=table, declared=declared)


def _values(reader: RowFile, name: str, column: Any) -> list[Any]:
    """The cells of a column of Parquet; moments that Python has not, such as of the year 10000, as text."""
    import pyarrow as pa

    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        try:
            return list(column.cast(pa.string()).to_pylist())
        except pa.ArrowException as error:
            raise reader.wrong(f'has {column.type} in column "{name}" that cannot be read: {error}') from error


def _declared_names(metadata: Mapping[bytes, bytes]) -> dict[str, Sequence[str]]:
    """The names of the ids of each column that `datasets` has written as a ClassLabel, or as a list of them."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        inner = {column: _inner(feature) for column, feature in features.items()}
        return {column: list(one["names"]) for column, one in inner.items() if one.get("_type") == "ClassLabel"}
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


def _inner(feature: Any) -> Mapping[str, Any]:
    """What a feature is of, where it is of lists, as versions of `datasets` have written these."""
    if isinstance(feature, list):
        feature = {"feature": feature[0]}
    inner = feature.get("feature", feature)
    return inner if isinstance(inner, dict) else {}


def by_name(cell: Any, names: Sequence[str]) -> Any:
    """A class id, or a list of them, by name; None where it is none."""
    if isinstance(cell, list):
        return [by_name(one, names) for one in cell]
    return names[cell] if isinstance(cell, int) and 0 <= cell < len(names) else None


def _write_parquet(table: RowTable, added: Mapping[str, Sequence[Any]], file: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def array(values: Sequence[Any]) -> Any:
        try:
            told = pa.array(values)
            parquet.write_table(pa.table({"one": told.slice(0, 0)}), pa.BufferOutputStream())
        except (pa.ArrowException, OverflowError):  # kinds of values that are mixed, or not to be had in Parquet
            return pa.array([_cell(value) for value in values], pa.string())
        return told

    arrow = table.arrow
    if arrow is None:
        arrow = pa.table({name: array(values) for name, values in table.columns.items()})
    for name, values in added.items():
        arrow = arrow.append_column(name, array(values))
    parquet.write_table(arrow, file)


def records_of(table: RowTable) -> Sequence[Mapping[str, Any]]:
    """The rows, each with its columns by name."""
    return table.records if table.records is not None else rows_by_name(table.columns)


def rows_by_name(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns, row by row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing; NaN stands for that in much data, and blank text is text."""
    return value is None or (isinstance(value, (float, Decimal, date)) and value != value)


def _cell(value: Any, separator: str | None = None) -> str:
    if separator is not None and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return separator.join(value)
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (bool, int, float)):
        return as_text(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
