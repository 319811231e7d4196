"""Which rows are meant: those of a file, of a split of the run's data set, or rows that are at hand."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.own_forms import OwnRows, own_rows, reads_files
from ftrun.execution.prediction import Predictor, predicting, table_of_split
from ftrun.execution.row_tables import DATA, RowTable, read_rows, refuse_folder, refuse_no_rows, rows_of_texts
from ftrun.execution.trained import Trained
from ftrun.execution.watcher import Watcher
from ftrun.rowfiles import FORMATS, Dialect, dialect_fault, ending_fault, ending_of, stem_of

Data = str | os.PathLike[str] | Sequence[str | Sequence[str] | Mapping[str, Any]]
"""A file or the name of a split; or rows: a text each, the texts of a pair each, or an object with columns each."""
NO_ROW = "Rows are texts, pairs of texts, or dicts with columns, all of one kind."


@dataclass(frozen=True)
class RowSource:
    """Rows to be predicted or measured.

    Attributes:
        data: Which.
        text_columns: The columns that hold the text, where they are called otherwise than in the training.
        delimiter: Between cells of a file, encoding: of it; as in the training where absent.
        quoting: Whether `"` encloses cells of a file; as in the training where absent.
    """

    data: Data
    text_columns: Sequence[str] = ()
    delimiter: str | None = None
    encoding: str | None = None
    quoting: bool | None = None

    @property
    def file(self) -> Path | None:
        """The file or folder that is meant, if it is one by its name alone.

        Raises:
            ExperimentError: If it is not there.
        """
        return data_file(self.data) if isinstance(self.data, str | os.PathLike) else None

    @property
    def name(self) -> str | None:
        """What to call the rows by what is said of them: a file's name or a split's; None of rows that are at hand."""
        if not isinstance(self.data, str | os.PathLike):
            return None
        return name_of(self.file) if self.file else os.fspath(self.data)

    def file_of(self, trained: Trained) -> Path | None:
        """The file or folder that is meant, if it is one: a bare name with an ending that no file of rows has, such as
        `dev.conll`, is a file's where one is called so and the model's data set reads files by itself.

        Raises:
            ExperimentError: As `file`.
        """
        file = self.file
        if file is None and isinstance(self.data, str) and reads_files(trained):
            path = Path(self.data)
            with contextlib.suppress(OSError, ValueError):
                return path if path.suffix and path.exists() else None
        return file

    def is_split(self, trained: Trained) -> bool:
        """Whether a split is meant."""
        return isinstance(self.data, str | os.PathLike) and self.file_of(trained) is None

    def read(self, trained: Trained) -> RowTable | None:
        """The rows, as far as they can be had without the model; None of a split, of texts without a column, and of a
        file that the model's data set may know by itself.

        Raises:
            ExperimentError: If there are none, or they are not what they should be.
        """
        if file := self.file_of(trained):
            return None if reads_files(trained) else read_rows(file, self._dialect(trained))
        if isinstance(self.data, str | os.PathLike):
            if trained.run is None:  # then there is no split, whatever is called so here
                refuse_no_rows(self.data)
            return None
        if not isinstance(self.data, Sequence):
            message = f"this is {type(self.data).__name__}, and not a file, the name of a split or a list of rows"
            raise ExperimentError(Problem(message, DATA, NO_ROW))
        if not self.data:
            raise ExperimentError(Problem("there are no rows", DATA))
        if all(isinstance(row, Mapping) for row in self.data):
            return rows_of_objects([row for row in self.data if isinstance(row, Mapping)])
        return None

    def own(self, predictor: Predictor) -> OwnRows | None:
        """The rows of a file in a form that the model's data set reads by itself; None of all else.

        Raises:
            ExperimentError: If they are not what they should be, or it is said how cells of text stand in the file.
        """
        file = self.file_of(predictor.trained)
        if file is None or (own := own_rows(predictor, file, bool(self.text_columns))) is None:
            return None
        told = {"delimiter": self.delimiter, "encoding": self.encoding, "quoting": self.quoting}
        for option, value in told.items():
            if value is not None:
                who = predictor.trained.plan.dataset.who
                message = f"{own.table.name} is read by {who}, which is not told of any {option}"
                raise ExperimentError(Problem(message, f"--{option}", "Leave it out."))
        return own

    def table(self, predictor: Predictor, read: RowTable | None) -> tuple[RowTable, Sequence[str]]:
        """The rows and the columns of their text, with the model at hand.

        Args:
            predictor: The model.
            read: The rows, where they could be had without it, and are not its data set's own.

        Raises:
            ExperimentError: If there is no such split, or the texts are not as many as the model takes.
        """
        if read is not None:
            for sentence in read.notices:
                predictor.watcher.notice(sentence)
            return read, self.text_columns
        if isinstance(self.data, str | os.PathLike):
            if file := self.file_of(predictor.trained):
                return self._table_of_file(file, predictor.trained), self.text_columns
            return table_of_split(predictor.splits, os.fspath(self.data)), self.text_columns
        texts = [_texts(row, number) for number, row in enumerate(self.data, 1)]
        columns = columns_of_texts(predictor.task, len(texts[0]))
        return rows_of_texts(texts, columns), columns

    def _table_of_file(self, file: Path, trained: Trained) -> RowTable:
        """The rows of a file that the model's data set has not read."""
        refuse_folder(file)
        if fault := ending_fault(file):
            hint = f"Its form is none that {trained.plan.dataset.who} knows, either."
            raise ExperimentError(Problem(fault, DATA, hint))
        return read_rows(file, self._dialect(trained))

    def _dialect(self, trained: Trained) -> Dialect:
        known = trained.dialect
        quoting = known.quoting if self.quoting is None else self.quoting
        dialect = Dialect(self.delimiter or known.delimiter, self.encoding or known.encoding, quoting, "--{} {}")
        if fault := dialect_fault(dialect.delimiter, dialect.encoding):
            raise ExperimentError(Problem(fault, "--delimiter" if fault.startswith("delimiter") else "--encoding"))
        return dialect


def predict_rows(
    trained: Trained,
    source: RowSource,
    watcher: Watcher,
    check: Callable[[RowTable, Task], None] = lambda table, task: None,
) -> tuple[RowTable, Mapping[str, Sequence[Any]]]:
    """Rows, and the columns that a model adds to them.

    Args:
        trained: The model.
        source: The rows.
        watcher: Sees it go by.
        check: Called with the rows and the task before anything is computed; may raise.

    Raises:
        ExperimentError: If the rows or the model are not what they should be.
        RunError: If a part fails in a way that it does not explain.
    """
    read = source.read(trained)
    with predicting(trained, watcher) as predictor:
        own = source.own(predictor)
        table, text_columns = (own.table, source.text_columns) if own else source.table(predictor, read)
        table = replace(table, separator=trained.label_separator)
        check(table, predictor.task)
        return table, predictor.predict(table, text_columns)


def data_file(data: str | os.PathLike[str]) -> Path | None:
    """The file or folder that is meant, if it is one and no split by its name alone; a bare name, which ends in nothing
    that files of rows do, is taken for that of a split, though something here is called so, too.

    Raises:
        ExperimentError: If it is not there, or no name at all.
    """
    told = os.fspath(data)
    path = Path(told).expanduser()
    is_bare = isinstance(data, str) and bool(told) and path.name == told != ".."
    if is_bare and ending_of(path) not in FORMATS:
        return None
    if not told:
        refuse_folder(data)
    with contextlib.suppress(OSError, ValueError):
        if path.exists():
            return path
    raise ExperimentError(Problem(f"there is no file {path.absolute()}", DATA))


def name_of(file: Path) -> str:
    """What to call the rows of a file, or of a folder."""
    return file.absolute().name if file.is_dir() else stem_of(file)


def columns_of_texts(task: Task, texts: int) -> Sequence[str]:
    """What to call the columns of texts that have no names of their own."""
    return task.text_columns or ("text", "text_pair")[:texts]


def rows_of_objects(records: Sequence[Mapping[str, Any]]) -> RowTable:
    """Rows with columns by name, of which one may lack what another has."""
    names = dict.fromkeys(name for record in records for name in record)
    if strange := [name for name in names if not isinstance(name, str)]:
        raise ExperimentError(Problem(f"a row has a column {strange[0]!r}, which is no text", DATA, NO_ROW))
    columns = {name: [_plain(record.get(name)) for record in records] for name in names}
    return RowTable("the list", columns, records=[dict(record) for record in records])


def _plain(value: Any) -> Any:
    """A value as JSON would have it, where NumPy and pandas have values of their own; None where it stands for none."""
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    dtype = getattr(value, "dtype", None)
    if type(value).__module__ != "numpy" or getattr(dtype, "kind", "") not in ("b", "i", "u", "f", "O", "U", "T"):
        return value
    told = value.tolist()
    return [_plain(one) for one in told] if isinstance(told, list) else told


def _texts(row: Any, number: int) -> Sequence[str]:
    texts = (row,) if isinstance(row, str) else row
    if isinstance(texts, list | tuple) and texts and all(isinstance(text, str) for text in texts):
        return texts
    raise ExperimentError(Problem(f"row {number} is {type(row).__name__} {str(row)[:40]!r}", DATA, NO_ROW))
