"""Files of labelled rows, column by column: text as it is written, labels as they are. Light until it reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftrun import rowfiles
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import as_text, is_unicode, shown

from ftrun_plugins.datasets import FilesSettings, LabelledText
from ftrun_plugins.datasets.inference import LABELS, Holds, is_text
from ftrun_plugins.datasets.quoted import Numbers, Suspect, swallowed

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
ENCLOSED = r'(?s)^\s*".*"\s*$'


class RowFile(rowfiles.RowFile):
    """One file to be read by these settings.

    Args:
        file: The file.
        split: The key of `[dataset]` that names it, or `KEY.SPLIT`.
        settings: Its dialect.
        columns: The columns that are wanted; those that the settings name if absent.
    """

    def __init__(self, file: Path, split: str, settings: FilesSettings, columns: LabelledText | None = None) -> None:
        dialect = rowfiles.Dialect(settings.delimiter, settings.encoding, settings.quoting)
        super().__init__(file, f"dataset.{split}", dialect)
        self.split = split
        known = columns or settings
        self.settings = settings
        self.may_lack_label = False
        self.is_label_known = columns is not None or settings.label_named is not None
        self.texts = known.text_columns or []
        self.label = known.label_column or LABELS[0]
        self.labels = known.label_columns or [self.label]
        self.notices: list[str] = []
        """What a person should know of the rows that were read."""

    def read(self) -> pa.Table:
        """The text and label columns, and `idx` where there is one; the file `test` may have no label column.

        Raises:
            ExperimentError: Saying in which line or row the file is not what it is said to be.
        """
        read: Callable[[], pa.Table] = {"csv": self._csv, "json": self._json, "parquet": self._parquet}[self.format]
        with self.disk_errors():
            table = read()
        if not table.num_rows:
            raise self.wrong("has no rows")
        return table

    def check(self) -> Sequence[Problem]:
        """What the header of a CSV or TSV file alone tells to be wrong, with places inside `[dataset]`; light."""
        if self.format != "csv":
            return []
        self.may_lack_label = self.settings.label_named is None  # then another may be the label
        try:
            with self.disk_errors(), self.cells() as cells:
                self._wanted(next(cells, None))
        except ExperimentError as error:
            return [replace(problem, place=self.split) for problem in error.problems]
        return []

    def begins_with(self, column: str) -> bool:
        """Whether the first row, or the header, has a column; false if the file cannot be read so far."""
        import pyarrow as pa
        from pyarrow import parquet

        try:
            if self.format == "csv":
                with self.cells() as cells:
                    return column in next(cells, [])
            if self.format == "json":
                return column in next(iter(self.objects()), {})
            return column in parquet.read_schema(self.file).names
        except (ExperimentError, OSError, UnicodeError, EOFError, zlib.error, pa.ArrowException):
            return False

    def contents(self) -> Mapping[str, Holds]:
        """What each column holds that has a name, of all rows.

        Raises:
            ExperimentError: As `read`.
        """
        look: Callable[[], Mapping[str, Holds]]
        look = {"csv": self._held_cells, "json": self._held_values, "parquet": self._held_arrays}[self.format]
        with self.disk_errors():
            return look()

    # ------------------------------------------------------------ columns

    def _wanted(self, columns: Sequence[str] | None) -> Mapping[str, int]:
        """Where the wanted columns stand among these."""
        named = self.named(columns)
        assert columns
        wanted = [*self.texts, *self.labels]
        may_lack_labels = self.may_lack_label or self.split.partition(".")[0] == "test"
        if may_lack_labels and set(self.labels).isdisjoint(named):
            alike = {name.strip().casefold() for name in named} & {name.strip().casefold() for name in self.labels}
            wanted = wanted if alike and self.is_label_known else list(self.texts)
        if missing := [name for name in dict.fromkeys(wanted) if name not in named]:
            raise self.missing(missing, named)
        return {name: columns.index(name) for name in [*wanted, *({"idx"} & set(named))]}

    # ------------------------------------------------------------ CSV and TSV

    def _csv(self) -> pa.Table:
        import pyarrow as pa

        with self.cells() as cells:
            columns = self._wanted(next(cells, None))
            schema = pa.schema([(name, pa.string()) for name in columns])
            batches = []
            while rows := list(islice(cells, BATCH_ROWS)):
                arrays = [pa.array([row[index] for row in rows], pa.string()) for index in columns.values()]
                batches.append(pa.record_batch(arrays, schema))
        table = pa.Table.from_batches(batches, schema)
        self.notices += self.encoding_notices()
        self.notices += self._swallowed(columns, table) if self.suspects else []
        self.notices += [] if self.dialect.quoting else self._enclosed(table)
        return table

    def _swallowed(self, columns: Mapping[str, int], table: pa.Table) -> Sequence[str]:
        """A sentence about rows that a stray `"` seems to have made one of."""
        numbers = Numbers() if self.settings.kind == "regression" else None
        known = {
            columns[label]: numbers or {cell.strip() for cell in table.column(label).unique().to_pylist()}
            for label in self.labels
            if label in columns
        }
        suspects = [
            Suspect(f"lines {one.first:,} to {one.last:,} of {shown(self.file)}", one.rows) for one in self.suspects
        ]
        return swallowed(suspects, known, self.setting("quoting", "false"))

    def _enclosed(self, table: pa.Table) -> Sequence[str]:
        """Sentences about columns in which every text stands between two `"`, which are part of it."""
        import pyarrow.compute as pc

        every = [name for name in self.texts if pc.all(pc.match_substring_regex(table.column(name), ENCLOSED)).as_py()]
        how = self.setting("quoting", "true")
        said = f'every text of {shown(self.file)} in column {{}} stands between two ", which are part of it: {how}'
        return [said.format(json.dumps(name)) for name in every] if len(table) else []

    def _held_cells(self) -> Mapping[str, Holds]:
        with self.cells() as cells:
            columns = next(cells, None)
            self.named(columns)
            assert columns
            texts: set[int] = set()
            row = None
            for row in cells:
                texts |= {at for at, cell in enumerate(row) if at not in texts and is_text(cell)}
            if row is None:
                raise self.wrong("has no rows")
        return {name: "text" if at in texts else "values" for at, name in enumerate(columns) if name}

    # ------------------------------------------------------------ JSON

    def _json(self) -> pa.Table:
        import pyarrow as pa

        rows = list(self.objects())
        self._refuse_no_rows(rows)
        wanted = self._wanted(list(dict.fromkeys(name for row in rows for name in row)))
        return pa.table({name: self._column(name, [row.get(name) for row in rows]) for name in wanted})

    def _refuse_no_rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            raise self.wrong("has no rows")
        if len(rows) == 1 and rows[0] and self._holds_rows(rows[0]):
            hint = "ftrun reads a list of objects, or one object a line"
            raise self.wrong(
                "is one object with all rows inside", f'{hint}: with pandas, to_json(orient="records", lines=True).'
            )

    def _holds_rows(self, row: Mapping[str, Any]) -> bool:
        """Whether an object has nothing but lists and objects, or beside other things a list of objects and no text."""
        if all(isinstance(value, (list, dict)) for value in row.values()):
            return True
        inside = any(isinstance(value, list) and value and isinstance(value[0], dict) for value in row.values())
        return inside and set(self.texts or ["text"]).isdisjoint(row)

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        """JSON's values as an Arrow array; those of text columns as text."""
        import pyarrow as pa

        may_be_lists = self.settings.kind == "multi_label" and name == self.label
        if may_be_lists and any(isinstance(value, list) for value in values):
            return self._lists(name, values)
        for number, value in enumerate(values, 1):
            if isinstance(value, (list, dict)):
                what = "a list" if isinstance(value, list) else "an object"
                raise self.wrong(
                    f'has {what} in column "{name}", row {number}', "Text, a number or a truth value fits."
                )
        values = [None if value != value else value for value in values]  # NaN is no text and no label
        if name in self.texts:
            values = [value if value is None or isinstance(value, str) else as_text(value) for value in values]
        kinds = {type(value) for value in values} - {type(None)}
        if len(kinds) > 1 and kinds != {int, float}:
            first = type(next(value for value in values if value is not None))
            other = next(n for n, value in enumerate(values, 1) if value is not None and type(value) is not first)
            hint = "Write them alike in all rows: as text, or all as numbers or as truth values."
            raise self.wrong(f'mixes kinds of values in column "{name}": row {other} is not of those before it', hint)
        try:
            return pa.array(self._floats(name, values) if float in kinds else values)
        except UnicodeEncodeError:
            row = next(n for n, value in enumerate(values, 1) if not is_unicode(value))
            raise self.wrong(f'has half a character (a lone surrogate) in column "{name}", row {row}') from None
        except (OverflowError, pa.ArrowInvalid):
            raise self.wrong(f'has a number in column "{name}" that is too large') from None

    def _floats(self, name: str, values: list[Any]) -> list[float | None]:
        """Numbers of which some have a fraction; a whole one that would be another then is none."""
        floats = [None if value is None else float(value) for value in values]
        if self.settings.kind == "regression":
            return floats
        for number, (value, told) in enumerate(zip(values, floats, strict=True), 1):
            if isinstance(value, int) and told != value:
                message = f'has {value} in column "{name}", row {number}, which is too large beside numbers like 1.0'
                raise self.wrong(message, "Write whole numbers alike in all rows, or as text.")
        return floats

    def _held_values(self) -> Mapping[str, Holds]:
        held: dict[str, Holds | None] = {}
        first: list[Mapping[str, Any]] = []
        for row in self.objects():
            first += [row] if len(first) < 2 else []
            for name, value in row.items():
                held[name] = _with(held.get(name), value)
        self._refuse_no_rows(first)
        return {name: one or "values" for name, one in held.items()}

    def _lists(self, name: str, values: list[Any]) -> pa.Array:
        """JSON's lists of classes as an Arrow array: text, whole numbers or truth values, and of one kind."""
        import pyarrow as pa

        kinds = {type(one) for value in values if isinstance(value, list) for one in value}
        for number, value in enumerate(values, 1):
            where = f'in column "{name}", row {number}'
            if value is not None and not isinstance(value, list):
                raise self.wrong(f"has no list {where}, and lists in others", "A list of classes fits.")
            if any(one is None or isinstance(one, (list, dict)) for one in value or ()):
                raise self.wrong(f"has something else than classes in the list {where}", "Text or numbers fit.")
            if len(kinds) > 1 and any(type(one) is not str for one in value or ()):
                raise self.wrong(f"mixes kinds of classes in its lists {where}", "Text or numbers fit.")
            if not all(map(is_unicode, value or ())):
                raise self.wrong(f"has half a character (a lone surrogate) {where}")
        try:
            return pa.array(values, None if kinds else pa.list_(pa.string()))
        except (OverflowError, pa.ArrowInvalid):
            raise self.wrong(f'has a number in column "{name}" that is too large') from None

    # ------------------------------------------------------------ Parquet

    def _parquet(self) -> pa.Table:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(self.file) as file:
                columns = self._wanted(file.schema_arrow.names)
                return _plain(file.read(list(columns)).select(list(columns)))
        except (pa.ArrowException, OSError) as error:
            raise self.wrong(f"is no Parquet that can be read: {str(error).strip().splitlines()[0]}") from error

    def _held_arrays(self) -> Mapping[str, Holds]:
        import pyarrow as pa
        from pyarrow import parquet

        from ftrun_plugins.datasets.holding import holds

        try:
            with parquet.ParquetFile(self.file) as file:
                self.named(file.schema_arrow.names)
                if not file.metadata.num_rows:
                    raise self.wrong("has no rows")
                return {name: holds(_plain(file.read([name])).column(name)) for name in file.schema_arrow.names}
        except (pa.ArrowException, OSError) as error:
            raise self.wrong(f"is no Parquet that can be read: {str(error).strip().splitlines()[0]}") from error


def _plain(table: pa.Table) -> pa.Table:
    """With views of text as text, which little else can be done with."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            text = pa.field(field.name, pa.large_string(), metadata=field.metadata)
            table = table.set_column(place, text, table.column(place).cast(pa.large_string()))
    return table


def _with(before: Holds | None, value: Any) -> Holds | None:
    """What a column holds that has one more of JSON's values; None if nothing yet."""
    if value is None or (before == "text" and isinstance(value, str)):
        return before
    now: Holds = "text" if is_text(value) else "values"
    if isinstance(value, (list, dict)):
        now = "lists" if isinstance(value, list) else "something else"
    if before is None or before == now:
        return now
    return "text" if {before, now} == {"text", "values"} else "something else"
