"""Files of labelled rows, column by column: text as it is written, labels as they are. Light until it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftrun import rowfiles
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import as_text, is_unicode

from ftrun_plugins.datasets import FilesSettings

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000


class RowFile(rowfiles.RowFile):
    """One file to be read by these settings.

    Args:
        file: The file.
        split: The key of `[dataset]` that names it, for messages.
        settings: Its dialect, and the columns that are wanted.
    """

    def __init__(self, file: Path, split: str, settings: FilesSettings) -> None:
        dialect = rowfiles.Dialect(settings.delimiter, settings.encoding, settings.quoting)
        super().__init__(file, f"dataset.{split}", dialect)
        self.split = split
        self.settings = settings

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
        try:
            with self.disk_errors(), self.cells() as cells:
                self._wanted(next(cells, None))
        except ExperimentError as error:
            return [replace(problem, place=self.split) for problem in error.problems]
        return []

    # ------------------------------------------------------------ columns

    def _wanted(self, columns: Sequence[str] | None) -> Mapping[str, int]:
        """Where the wanted columns stand among these."""
        named = self.named(columns)
        assert columns
        labels = self.settings.all_label_columns
        wanted = [*self.settings.text_columns, *labels]
        if self.split == "test" and set(labels).isdisjoint(named):
            wanted = list(self.settings.text_columns)
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
        return pa.Table.from_batches(batches, schema)

    # ------------------------------------------------------------ JSON

    def _json(self) -> pa.Table:
        import pyarrow as pa

        rows = list(self.objects())
        if not rows:
            raise self.wrong("has no rows")
        wanted = self._wanted(list(dict.fromkeys(name for row in rows for name in row)))
        return pa.table({name: self._column(name, [row.get(name) for row in rows]) for name in wanted})

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        """JSON's values as an Arrow array; those of text columns as text."""
        import pyarrow as pa

        may_be_lists = self.settings.kind == "multi_label" and name == self.settings.label_column
        if may_be_lists and any(isinstance(value, list) for value in values):
            return self._lists(name, values)
        for number, value in enumerate(values, 1):
            if isinstance(value, (list, dict)):
                what = "a list" if isinstance(value, list) else "an object"
                raise self.wrong(
                    f'has {what} in column "{name}", row {number}', "Text, a number or a truth value fits."
                )
        if name in self.settings.text_columns:
            values = [value if value is None or isinstance(value, str) else as_text(value) for value in values]
        kinds = {type(value) for value in values} - {type(None)}
        if len(kinds) > 1 and kinds != {int, float}:
            first = type(next(value for value in values if value is not None))
            other = next(n for n, value in enumerate(values, 1) if value is not None and type(value) is not first)
            raise self.wrong(f'mixes kinds of values in column "{name}": row {other} is not of those before it')
        try:
            return pa.array(
                [float(value) if value is not None else None for value in values] if float in kinds else values
            )
        except UnicodeEncodeError:
            row = next(n for n, value in enumerate(values, 1) if not is_unicode(value))
            raise self.wrong(f'has half a character (a lone surrogate) in column "{name}", row {row}') from None
        except (OverflowError, pa.ArrowInvalid):
            raise self.wrong(f'has a number in column "{name}" that is too large') from None

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
                return file.read(list(columns)).select(list(columns))
        except (pa.ArrowException, OSError) as error:
            raise self.wrong(f"is no Parquet that can be read: {str(error).strip().splitlines()[0]}") from error
