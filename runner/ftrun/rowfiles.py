"""Files of rows, for data sets and predictions: cells of CSV and TSV as they are written, and JSON's values. Light.

Parquet has columns of its own, which pyarrow reads; what text is made of them is here, too. Text may be packed by gzip.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import gzip
import io
import json
import math
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from ftrun.errors import ExperimentError, Problem, nearest

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "FORMATS",
    "NAMES_OF_ROWS",
    "Dialect",
    "RowFile",
    "Suspect",
    "as_text",
    "decoded",
    "dialect_fault",
    "ending_fault",
    "ending_of",
    "is_packed",
    "is_unicode",
    "listed",
    "refuse_pointer",
    "rows_within",
    "shown",
    "spellings",
    "stem_of",
    "suspected_delimiter",
    "text_of",
]

FORMATS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet"}
"""What a file's name ends in, and what it then holds."""
PACKED = ".gz"
"""What the name of a file of text ends in besides, where it is packed."""
ENDINGS = (*FORMATS, *(f"{ending}{PACKED}" for ending, kind in FORMATS.items() if kind != "parquet"))
LARGEST_UNPACKED = 1 << 28
MOST_UNPACKED = 100
"""So many bytes, and so many times the file's own, are unpacked; what is more is a trap, and no text."""
NAMES_OF_ROWS = "If each row begins with its name, as R's write.table has it, write it with row.names = FALSE."
"""A hint where the first row has one cell more than the header."""
SUSPECTED_DELIMITERS = (";", "\t", "|", ",")
MARK_AS_CP1252 = b"\xef\xbb\xbf".decode("cp1252")
"""What the mark of UTF-8 is in the encodings of the West."""
GZIP = b"\x1f\x8b"
MAGIC = {b"PK\x03\x04": "a zip archive, such as an Excel file", GZIP: "compressed by gzip", b"PAR1": "Parquet"}
"""How files begin that are often given another name."""
POINTER = b"version https://git-lfs.github.com/spec/"
"""How a file begins that stands for another one, which Git has not fetched."""
JSON = re.compile(r'\s*(\{\s*("|$)|\[\s*(\{|$))')
PAGE = re.compile(r"\s*<(!doctype html|html)\b", re.IGNORECASE)
"""How JSON begins, or a page of the web, where a line is read as CSV."""


@dataclass(frozen=True)
class Dialect:
    """How cells stand in a file of text.

    Attributes:
        delimiter: What is between them; None for a comma, or in .tsv a tab.
        encoding: By Python's name.
        quoting: Whether `"` encloses cells.
        setting: How a person sets one of these, for hints: its name and the value are filled in.
    """

    delimiter: str | None = None
    encoding: str = "utf-8"
    quoting: bool = True
    setting: str = "[dataset] {} = {}"


def dialect_fault(delimiter: str | None, encoding: str) -> str | None:
    """What is wrong with how cells are said to stand; None if nothing is."""
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '\r\n"\0'):
        return f'delimiter must be one character, such as ";", not {delimiter!r}'
    return None if _is_text_encoding(encoding) else f'Python knows no text encoding "{encoding}"'


def is_packed(file: Path) -> bool:
    """Whether a file is packed, by its name."""
    return file.suffix.lower() == PACKED


def ending_of(file: Path) -> str:
    """What a file's name ends in, but for being packed: ".csv" of "rows.csv.gz"."""
    return (file.with_suffix("") if is_packed(file) else file).suffix.lower()


def stem_of(file: Path) -> str:
    """A file's name without what it ends in: "rows" of "rows.csv.gz"."""
    return (file.with_suffix("") if is_packed(file) else file).stem


def refuse_pointer(file: Path, place: str) -> None:
    """Refuse a file that only stands for another one, as Git LFS leaves those that it has not fetched.

    Args:
        file: The file.
        place: The key or option that names it.

    Raises:
        ExperimentError: If it is one.
        OSError: If it cannot be read.
    """
    with file.open("rb") as stream:
        is_pointer = stream.read(len(POINTER)) == POINTER
    if is_pointer:
        message = f"{shown(file)} is a pointer of Git LFS, and not the file itself"
        raise ExperimentError(Problem(message, place, "Fetch what it stands for: git lfs pull."))


def ending_fault(file: Path) -> str | None:
    """What is wrong with what a file's name ends in; None if nothing is."""
    ending = f"{ending_of(file)}{PACKED}" if is_packed(file) else ending_of(file)
    return None if ending in ENDINGS else f"{shown(file)} must end in one of {', '.join(ENDINGS)}"


class _Unpacked(io.RawIOBase):
    """The bytes of a packed file, as long as they are in proportion to it."""

    def __init__(self, file: Path) -> None:
        self._stream = gzip.open(file)  # noqa: SIM115 - closed with this
        size = file.stat().st_size
        self._most = max(LARGEST_UNPACKED, MOST_UNPACKED * size)
        if not size:
            raise gzip.BadGzipFile("it is empty")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        count = self._stream.readinto(buffer)
        if self._stream.tell() > self._most:
            raise gzip.BadGzipFile(f"it unpacks to more than {MOST_UNPACKED} times its size")
        return count

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()
        super().close()


@dataclass(frozen=True)
class Suspect:
    """A row of CSV over several lines, each of which would be a whole row if `"` were a character like any other.

    Attributes:
        first: Its first line; last: its last one.
        rows: The cells of each line.
    """

    first: int
    last: int
    rows: Sequence[Sequence[str]]


class RowFile:
    """One file to be read.

    Args:
        file: The file, whose name ends in one of `ENDINGS`.
        place: The key or option that names it, for messages.
        dialect: How its cells stand.
    """

    def __init__(self, file: Path, place: str, dialect: Dialect) -> None:
        self.file = file
        self.place = place
        self.dialect = dialect
        self.format = FORMATS[ending_of(file)]
        self.suspects: list[Suspect] = []
        """Rows of CSV that were read and look like several."""
        self.blank_lines = 0
        """Of CSV with one column: lines with nothing in them that were passed over between rows."""

    def wrong(self, message: str, hint: str | None = None) -> ExperimentError:
        """What is wrong with the file."""
        return ExperimentError(Problem(f"{shown(self.file)} {message}", self.place, hint))

    def setting(self, name: str, value: object) -> str:
        """How a person sets a part of the dialect."""
        return self.dialect.setting.format(name, value)

    @contextlib.contextmanager
    def disk_errors(self) -> Iterator[None]:
        """What a disk or an encoding says, as what is wrong with the file; and if it only stands for another one."""
        try:
            refuse_pointer(self.file, self.place)
            yield
        except UnicodeError as error:
            raise self._no_text(error) from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self._badly_packed(error) from error
        except OSError as error:
            raise self.wrong(f"cannot be read: {error.strerror or error}") from error

    def named(self, columns: Sequence[str] | None) -> Sequence[str]:
        """The columns that have a name, each of which is there once.

        Raises:
            ExperimentError: If there is none, or one is there twice.
        """
        if columns is None or not any(columns):
            raise self.wrong("is empty")
        self._refuse_no_header(columns)
        named = [name for name in columns if name]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise self.wrong(f"has more than one column named {listed(twice)}", "Give each a name of its own.")
        return named

    def _refuse_no_header(self, columns: Sequence[str]) -> None:
        """Refuse what is no header by its looks."""
        if columns[0].startswith(MARK_AS_CP1252):
            hint = f"Leave the encoding out, or say what it is: {self.setting('encoding', json.dumps('utf-8'))}."
            raise self.wrong(f"begins with the mark of UTF-8, and is read as {self.dialect.encoding}", hint)
        if JSON.match(columns[0]):
            raise self.wrong("looks like JSON", f"Call it {stem_of(self.file)}.jsonl.")
        if PAGE.match(columns[0]):
            raise self.wrong("looks like a page of the web", "Fetch the file itself, which such a page only shows.")
        if columns[0].lower().startswith("sep="):
            raise self.wrong("begins with a line for Excel, sep=, and no header", "Take that line out.")
        if any("\0" in name for name in columns):
            hint = f"Save it as UTF-8, or say what it is: {self.setting('encoding', json.dumps('utf-16-le'))}, perhaps."
            raise self.wrong("has NUL characters in its header, as UTF-16 has where it is read as something else", hint)

    def missing(self, missing: Sequence[str], columns: Sequence[str]) -> ExperimentError:
        """That columns are not among those that are there."""
        hint = f"There are: {listed(columns)}."
        if self.format == "csv" and (mark := suspected_delimiter(columns, self.delimiter)):
            hint = self._if_between(mark, columns[0])
        elif close := nearest(missing[0], columns):
            hint = f'Did you mean "{close}"? {hint}'
        return self.wrong(f"has no column {listed(missing)}", hint)

    def _if_between(self, mark: str, header: str) -> str:
        setting = self.setting("delimiter", json.dumps(mark))
        return f"Its header is one cell, {header!r}; is {json.dumps(mark)} between its cells? {setting}"

    # ------------------------------------------------------------ CSV and TSV

    @property
    def delimiter(self) -> str:
        """What is between cells."""
        return self.dialect.delimiter or ("\t" if ending_of(self.file) == ".tsv" else ",")

    @property
    def encoding(self) -> str:
        """By Python's name; that of UTF-8 passes over a mark at the beginning."""
        name = self.dialect.encoding
        return "utf-8-sig" if codecs.lookup(name).name == "utf-8" else name

    def _reads_as_utf8(self, but_ascii: bool = False) -> bool:
        """Whether a file is UTF-8, which hardly any other text is by chance, unless it is ASCII."""
        decoder, plain = codecs.getincrementaldecoder("utf-8")(), True
        try:
            with self._bytes() as stream:
                while part := stream.read(1 << 20):
                    plain = plain and part.isascii()
                    decoder.decode(part)
            decoder.decode(b"", True)
        except UnicodeDecodeError:
            return False
        return not (plain and but_ascii)

    def encoding_notices(self) -> list[str]:
        """A sentence where a file seems to be in another encoding than it is read in."""
        if codecs.lookup(self.encoding).name.startswith("utf") or not self._reads_as_utf8(but_ascii=True):
            return []
        how = self.setting("encoding", json.dumps("utf-8"))
        return [f"{shown(self.file)} seems to be UTF-8, and is read as {self.dialect.encoding}: {how}"]

    @contextlib.contextmanager
    def cells(self) -> Iterator[Iterator[list[str]]]:
        """The cells of each line that has any, the header's first; every row has as many as the header."""
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if self.dialect.quoting else csv.QUOTE_NONE
        limit = csv.field_size_limit(sys.maxsize)
        try:
            with self._bytes() as raw, io.TextIOWrapper(raw, self.encoding, newline="") as stream:
                if stream.read(1) != "\ufeff":  # which codecs leave that are told of the order of bytes
                    stream.seek(0)
                reader = csv.reader(stream, delimiter=self.delimiter, quoting=quoting, strict=True)
                yield self._rows(reader)
        finally:
            csv.field_size_limit(limit)

    def _rows(self, reader: Any) -> Iterator[list[str]]:
        header: list[str] = []
        line, read, blank = 1, 0, 0
        self.suspects, self.blank_lines = [], 0
        try:
            for row in reader:
                if row:
                    if header and len(row) != len(header):
                        raise self._ragged(row, header, line, read == 1)
                    if header and row[-1] == header[-1]:
                        self._refuse_header(row, header, line)
                    header = header or row
                    if reader.line_num > line and (rows := rows_within(row, self.delimiter)):
                        self.suspects.append(Suspect(line, reader.line_num, rows))
                    self.blank_lines += blank if len(header) == 1 else 0
                    yield row
                    read, blank = read + 1, 0
                elif header:
                    blank += 1
                line = reader.line_num + 1
        except csv.Error as error:
            raise self._ill_formed(error, header, line) from None

    def _refuse_header(self, row: Sequence[str], header: Sequence[str], line: int) -> None:
        if len(row) > 1 and row[1:] == header[1:] and row[0].removeprefix("\ufeff") == header[0]:
            hint = "Of files that are put together the first alone keeps its header."
            raise self.wrong(f"has its header again in line {line}", hint)

    def _ill_formed(self, error: csv.Error, header: Sequence[str], line: int) -> ExperimentError:
        hint = 'In a cell between two " each " stands twice: "". '
        hint += f'If " is a character like any other in it: {self.setting("quoting", "false")}.'
        if mark := suspected_delimiter(header, self.delimiter):
            hint = self._if_between(mark, header[0])
        return self.wrong(f"is not well formed in line {line}: {error}", hint)

    def _ragged(self, row: Sequence[str], header: Sequence[str], line: int, is_first: bool) -> ExperimentError:
        found = "one cell" if len(row) == 1 else f"{len(row)} cells"
        message = f"has {found} in line {line}, and {len(header)} in its header"
        return self.wrong(message, self._ragged_hint(row, header, is_first))

    def _ragged_hint(self, row: Sequence[str], header: Sequence[str], is_first: bool) -> str:
        mark, between = suspected_delimiter(header, self.delimiter), json.dumps(self.delimiter)
        if mark and self.delimiter.join(row).count(mark) >= header[0].count(mark):
            return self._if_between(mark, header[0])
        if len(row) < len(header):
            return "A row has all its cells, empty ones too; one that holds the end of a line must be quoted."
        if self.dialect.quoting and any(cell[:1] == " " and cell.lstrip().startswith('"') for cell in row):
            return f'A " that encloses a cell stands right after {between}, without a space.'
        hint = f"A cell that holds {between} must be quoted."
        if len(header) == 1:
            return f"{hint} If the header stands further down, what stands above it has to go."
        if is_first and len(row) == len(header) + 1:
            at_end = f"If each row ends with {between}, let the header end with it, too."
            return f"{hint} {NAMES_OF_ROWS}" if row[-1] else at_end
        return hint

    def _bytes(self) -> IO[bytes]:
        return io.BufferedReader(_Unpacked(self.file)) if is_packed(self.file) else self.file.open("rb")

    def _badly_packed(self, error: Exception) -> ExperimentError:
        with self.file.open("rb") as stream:
            is_gzip = stream.read(2) == GZIP
        if not is_gzip:
            hint = f"If it is not packed, call it {self.file.stem}."
            return self.wrong("is not packed by gzip, as its name says", hint)
        if "unpacks to" in str(error):
            return self.wrong(f"is no packed text: {error}", "Unpack it, and name what was in it.")
        return self.wrong(f"cannot be unpacked: {error}", "It may have been cut off as it was written; fetch it again.")

    def _no_text(self, error: UnicodeError) -> ExperimentError:
        with self._bytes() as stream:
            head = stream.read(4096)
            if known := next((what for magic, what in MAGIC.items() if head.startswith(magic)), None):
                hint = "Unpack or export it, and name that."
                if known == MAGIC[GZIP] and not is_packed(self.file):
                    hint = f"Call it {self.file.name}{PACKED}, and it is unpacked as it is read."
                return self.wrong(f"is no text: it looks like {known}", hint)
            line = None
            if self.encoding == "utf-8-sig":
                stream.seek(0)
                line = next((number for number, part in enumerate(stream, 1) if not _is_utf8(part)), None)
        where = f" in line {line}" if line else ""
        why = getattr(error, "reason", error)
        return self.wrong(f"is not {self.dialect.encoding.upper()} text{where}: {why}", self._encoding_hint(head))

    def _encoding_hint(self, head: bytes) -> str:
        """What to do about a file that is not in the encoding in which it was read, by how it begins."""
        if self.format == "json":
            return "JSON is UTF-8; save it so."
        if self.encoding != "utf-8-sig" and self._reads_as_utf8():
            return f"It seems to be UTF-8: {self.setting('encoding', json.dumps('utf-8'))}."
        suspect = "cp1252"
        if head.startswith((b"\xff\xfe", b"\xfe\xff")) or head.count(0) > len(head) / 4:
            suspect = "utf-16"
        elif sum(byte > 127 for byte in head) > len(head) / 4:  # hardly letters of the West
            how = self.setting("encoding", '"..."')
            return f"Save it as UTF-8, or say what it is, such as gb18030, shift_jis or cp1251: {how}."
        return f"Save it as UTF-8, or say what it is: {self.setting('encoding', json.dumps(suspect))}, perhaps."

    # ------------------------------------------------------------ JSON

    def objects(self) -> Iterator[Mapping[str, Any]]:
        """The rows of a list, or of one object a line."""
        with self._bytes() as raw, io.TextIOWrapper(raw, "utf-8-sig") as stream:
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
            raise self.wrong(f"is nested too deeply in {where}") from None
        except ValueError as error:
            hint = "ftrun reads a list of objects, or one object a line."
            raise self.wrong(f"is no JSON in {where}: {error}", hint) from None

    def _object(self, value: Any, where: str) -> Mapping[str, Any]:
        if isinstance(value, dict):
            return value
        hint = 'Each row is an object with its columns by name, such as {"text": "...", "label": "..."}.'
        raise self.wrong(f"has no object in {where}", hint)


def rows_within(row: Sequence[str], delimiter: str) -> list[list[str]]:
    r"""The cells of each line of a row that stands in several lines, where each has as many as the row.

    So it is where a stray `"` opens a cell, and another one, rows later, closes it.

    >>> rows_within(["Great,1\nIt ends", "0"], ","), rows_within(["Two lines\nof one text", "1"], ",")
    ([['Great', '1'], ['It ends', '0']], [])
    """
    lines = delimiter.join(row).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    whole = len(row) > 1 and len(lines) > 1 and all(line.count(delimiter) == len(row) - 1 for line in lines)
    return [line.split(delimiter) for line in lines] if whole else []


def suspected_delimiter(columns: Sequence[str], delimiter: str) -> str | None:
    """What may be between the cells of a header that was read as one; None where it was not."""
    if len(columns) != 1:
        return None
    return next((mark for mark in SUSPECTED_DELIMITERS if mark != delimiter and mark in columns[0]), None)


def shown(file: Path) -> str:
    """A file for a message: from the working folder where it is below it."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def as_text(value: bool | int | float) -> str:
    """A number or a truth value as text, as JSON has it.

    >>> as_text(True), as_text(2), as_text(0.5)
    ('true', '2', '0.5')
    """
    return str(value).lower() if isinstance(value, bool) else str(value)


def spellings(value: str | bool | int | float) -> Sequence[str]:
    """The name of the class that a value of a label column stands for, and those of the same value in a column of
    another type: 1 is 1.0, true is True.

    >>> spellings("1"), spellings(1.0), spellings(True)
    (('1',), ('1.0', '1'), ('true', 'True', 'TRUE'))
    """
    name = value if isinstance(value, str) else as_text(value)
    if isinstance(value, bool):
        return name, name.capitalize(), name.upper()
    if isinstance(value, str) or not math.isfinite(value) or value % 1:
        return (name,)
    return tuple(dict.fromkeys((name, str(int(value)), f"{int(value)}.0")))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"more than one value is named {listed(twice)}")
    return row


def listed(names: Sequence[str]) -> str:
    """Names for a message, each in quotation marks."""
    return ", ".join(f'"{name}"' for name in names)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_unicode(value: Any) -> bool:
    """Whether a value is anything but text with half a character."""
    try:
        return not isinstance(value, str) or bool(value.encode()) or True
    except UnicodeEncodeError:
        return False


def _is_text_encoding(name: str) -> bool:
    try:
        "".encode(name)
    except (LookupError, ValueError):  # also what encodes something else than text
        return False
    return True


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Without dictionaries, such as pandas' categories, and without decimals."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.float64()) if pa.types.is_decimal(column.type) else column


def text_of(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A text column as text: numbers and truth values as JSON has them, moments as ISO 8601; NaN is no text. A decimal
    that is more than a float holds stands as it is.
    """
    import pyarrow as pa

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return column
    if pa.types.is_decimal(column.type):
        return pa.chunked_array([[_decimal_as_text(value) for value in column.to_pylist()]], pa.string())
    column = decoded(column)
    if pa.types.is_floating(column.type):
        told = [None if value is None or value != value else as_text(value) for value in _as_doubles(column)]
        return pa.chunked_array([told], pa.string())
    return column.cast(pa.string())


def _as_doubles(column: pa.ChunkedArray) -> list[float | None]:
    """Numbers, those of single precision by the fewest digits that tell them apart: 0.1, not 0.10000000149011612."""
    import pyarrow as pa

    if not pa.types.is_float32(column.type):
        told: list[float | None] = column.to_pylist()
        return told
    return [None if digits is None else float(digits) for digits in column.cast(pa.string()).to_pylist()]


def _decimal_as_text(value: Decimal | None) -> str | None:
    if value is None:
        return None
    text = as_text(float(value))
    return text if Decimal(text) == value else format(value, "f")
