"""Files of rows: cells of CSV and TSV as they are written, JSON's values, Parquet's columns. Light until it reads."""

from __future__ import annotations

import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftrun.errors import ExperimentError, Problem, nearest

from ftrun_plugins.datasets import FILE_FORMATS, FilesSettings

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
SUSPECTED_DELIMITERS = (";", "\t", "|", ",")
MAGIC = {b"PK\x03\x04": "a zip archive, such as an Excel file", b"\x1f\x8b": "compressed by gzip", b"PAR1": "Parquet"}
"""How files begin that are often given another name."""


class RowFile:
    """One file to be read by these settings.

    Args:
        file: The file.
        split: The key of `[dataset]` that names it, for messages.
        settings: Its dialect, and the columns that are wanted.
    """

    def __init__(self, file: Path, split: str, settings: FilesSettings) -> None:
        self.file = file
        self.split = split
        self.settings = settings
        self.format = FILE_FORMATS[file.suffix.lower()]

    def read(self) -> pa.Table:
        """The text and label columns, and `idx` where there is one.

        Raises:
            ExperimentError: Saying in which line or row the file is not what it is said to be.
        """
        read: Callable[[], pa.Table] = {"csv": self._csv, "json": self._json, "parquet": self._parquet}[self.format]
        with self._disk_errors():
            table = read()
        if not table.num_rows:
            raise self._wrong("has no rows")
        return table

    def check(self) -> Sequence[Problem]:
        """What the header of a CSV or TSV file alone tells to be wrong, with places inside `[dataset]`; light."""
        if self.format != "csv":
            return []
        try:
            with self._disk_errors(), self._cells() as cells:
                self._wanted(next(cells, None))
        except ExperimentError as error:
            return [replace(problem, place=self.split) for problem in error.problems]
        return []

    def _wrong(self, message: str, hint: str | None = None) -> ExperimentError:
        return ExperimentError(Problem(f"{shown(self.file)} {message}", f"dataset.{self.split}", hint))

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except UnicodeError as error:
            raise self._no_text(error) from None
        except OSError as error:
            raise self._wrong(f"cannot be read: {error.strerror or error}") from error

    # ------------------------------------------------------------ columns

    def _wanted(self, columns: Sequence[str] | None, several: bool = True) -> Mapping[str, int]:
        """Where the wanted columns stand among these."""
        if columns is None or not any(columns):
            raise self._wrong("is empty")
        named = [name for name in columns if name]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise self._wrong(f"has more than one column named {_listed(twice)}", "Give each a name of its own.")
        wanted = [*self.settings.text_columns, self.settings.label_column]
        if missing := [name for name in dict.fromkeys(wanted) if name not in named]:
            raise self._missing(missing, named)
        return {name: columns.index(name) for name in [*wanted, *({"idx"} & set(named))]}

    def _missing(self, missing: Sequence[str], columns: Sequence[str]) -> ExperimentError:
        hint = f"There are: {_listed(columns)}."
        other = [mark for mark in SUSPECTED_DELIMITERS if mark != self.delimiter and mark in columns[0]]
        if self.format == "csv" and len(columns) == 1 and other:
            mark = json.dumps(other[0])
            hint = f"Its header is one cell, {columns[0]!r}; is {mark} between its cells? [dataset] delimiter = {mark}"
        elif close := nearest(missing[0], columns):
            hint = f'Did you mean "{close}"? {hint}'
        return self._wrong(f"has no column {_listed(missing)}", hint)

    # ------------------------------------------------------------ CSV and TSV

    @property
    def delimiter(self) -> str:
        return self.settings.delimiter or ("\t" if self.file.suffix.lower() == ".tsv" else ",")

    @property
    def encoding(self) -> str:
        name = self.settings.encoding
        return "utf-8-sig" if name.lower().replace("_", "-") in ("utf-8", "utf8") else name

    def _csv(self) -> pa.Table:
        import pyarrow as pa

        with self._cells() as cells:
            columns = self._wanted(next(cells, None))
            schema = pa.schema([(name, pa.string()) for name in columns])
            batches = []
            while rows := list(islice(cells, BATCH_ROWS)):
                arrays = [pa.array([row[index] for row in rows], pa.string()) for index in columns.values()]
                batches.append(pa.record_batch(arrays, schema))
        return pa.Table.from_batches(batches, schema)

    @contextlib.contextmanager
    def _cells(self) -> Iterator[Iterator[list[str]]]:
        """The cells of each line that has any, the header's first; every row has as many as the header."""
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.settings.quoting else csv.QUOTE_NONE
        limit = csv.field_size_limit(sys.maxsize)
        try:
            with self.file.open(encoding=self.encoding, newline="") as stream:
                reader = csv.reader(stream, delimiter=self.delimiter, quoting=quoting, strict=True)
                yield self._rows(reader)
        finally:
            csv.field_size_limit(limit)

    def _rows(self, reader: Any) -> Iterator[list[str]]:
        width, line = 0, 1
        try:
            for row in reader:
                if row and len(row) != width:
                    if width:
                        raise self._ragged(len(row), width, line)
                    width = len(row)
                if row:
                    yield row
                line = reader.line_num + 1
        except csv.Error as error:
            hint = 'If " is a character like any other in it: [dataset] quoting = false.'
            raise self._wrong(f"is not well formed in line {line}: {error}", hint) from None

    def _ragged(self, cells: int, width: int, line: int) -> ExperimentError:
        hint = f"A cell that holds {json.dumps(self.delimiter)} must be quoted."
        found = "one cell" if cells == 1 else f"{cells} cells"
        return self._wrong(f"has {found} in line {line}, and {width} in its header", hint)

    def _no_text(self, error: UnicodeError) -> ExperimentError:
        with self.file.open("rb") as stream:
            head = stream.read(4096)
            if known := next((what for magic, what in MAGIC.items() if head.startswith(magic)), None):
                return self._wrong(f"is no text: it looks like {known}")
            line = None
            if self.encoding == "utf-8-sig":
                stream.seek(0)
                line = next((number for number, part in enumerate(stream, 1) if not _is_utf8(part)), None)
        suspect = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) > len(head) / 4 else "cp1252"
        where = f" in line {line}" if line else ""
        hint = f'Save it as UTF-8, or say what it is: [dataset] encoding = "{suspect}", perhaps.'
        if self.format == "json":
            hint = "JSON is UTF-8; save it so."
        why = getattr(error, "reason", error)
        return self._wrong(f"is not {self.settings.encoding.upper()} text{where}: {why}", hint)

    # ------------------------------------------------------------ JSON

    def _json(self) -> pa.Table:
        import pyarrow as pa

        rows = list(self._objects())
        if not rows:
            raise self._wrong("has no rows")
        wanted = self._wanted(list(dict.fromkeys(name for row in rows for name in row)))
        return pa.table({name: self._column(name, [row.get(name) for row in rows]) for name in wanted})

    def _objects(self) -> Iterator[Mapping[str, Any]]:
        with self.file.open(encoding="utf-8-sig") as stream:
            head = stream.read(1)
            while head.isspace():
                head = stream.read(1)
            stream.seek(0)
            if head == "[":
                yield from self._elements(stream.read())
                return
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield self._object(self._parsed(line, f"line {number}"), f"line {number}")

    def _elements(self, text: str) -> Iterator[Mapping[str, Any]]:
        for number, element in enumerate(self._parsed(text, "its list"), 1):
            yield self._object(element, f"row {number}")

    def _parsed(self, text: str, where: str) -> Any:
        try:
            return json.loads(text, object_pairs_hook=_distinct)
        except RecursionError:
            raise self._wrong(f"is nested too deeply in {where}") from None
        except ValueError as error:
            hint = "ftrun reads a list of objects, or one object a line."
            raise self._wrong(f"is no JSON in {where}: {error}", hint) from None

    def _object(self, value: Any, where: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        hint = 'Each row is an object with its columns by name, such as {"text": "...", "label": "..."}.'
        raise self._wrong(f"has no object in {where}", hint)

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        """JSON's values as an Arrow array; those of text columns as text."""
        import pyarrow as pa

        for number, value in enumerate(values, 1):
            if isinstance(value, (list, dict)):
                what = "a list" if isinstance(value, list) else "an object"
                raise self._wrong(
                    f'has {what} in column "{name}", row {number}', "Text, a number or a truth value fits."
                )
        if name in self.settings.text_columns:
            values = [value if value is None or isinstance(value, str) else as_text(value) for value in values]
        kinds = {type(value) for value in values} - {type(None)}
        if len(kinds) > 1 and kinds != {int, float}:
            first = type(next(value for value in values if value is not None))
            other = next(n for n, value in enumerate(values, 1) if value is not None and type(value) is not first)
            raise self._wrong(f'mixes kinds of values in column "{name}": row {other} is not of those before it')
        try:
            return pa.array(
                [float(value) if value is not None else None for value in values] if float in kinds else values
            )
        except UnicodeEncodeError:
            row = next(n for n, value in enumerate(values, 1) if not _is_unicode(value))
            raise self._wrong(f'has half a character (a lone surrogate) in column "{name}", row {row}') from None
        except (OverflowError, pa.ArrowInvalid):
            raise self._wrong(f'has a number in column "{name}" that is too large') from None

    # ------------------------------------------------------------ Parquet

    def _parquet(self) -> pa.Table:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.file) as file:
                columns = self._wanted(file.schema_arrow.names)
                return file.read(list(columns)).select(list(columns))
        except (pa.ArrowException, OSError) as error:
            raise self._wrong(f"is no Parquet that can be read: {str(error).strip().splitlines()[0]}") from error


def shown(file: Path) -> str:
    """A file for a message: from the working folder where it is below it."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def as_text(value: bool | int | float) -> str:
    """A number or a truth value as text, as JSON has it.

    >>> as_text(True), as_text(2), as_text(0.5)
    ('true', '2', '0.5')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"more than one value is named {_listed(twice)}")
    return row


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_unicode(value: Any) -> bool:
    try:
        return not isinstance(value, str) or bool(value.encode()) or True
    except UnicodeEncodeError:
        return False
