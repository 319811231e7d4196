"""Rows with any number of classes each: a list, a cell with several names, or a column of 0 and 1 for every class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset
from ftrun.errors import Problem
from ftrun.rowfiles import decoded

from ftrun_plugins.datasets.classes import Classes, is_minus_one, is_missing
from ftrun_plugins.datasets.columns import FITTING, Places, SplitColumns, is_plain

MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
"""What stands in a class's own column, as text."""
SEVERAL = 'With several classes in a cell, say what is between them: [dataset] label_separator = "|".'


class ManyLabels(SplitColumns):
    """One split whose rows have any number of classes each."""

    @property
    def declared(self) -> Sequence[str] | None:
        inner = getattr(self.feature, "feature", None)
        return list(inner.names) if isinstance(inner, ClassLabel) else None

    def fits_labels(self, kind: pa.DataType) -> str | None:
        if self.settings.label_columns:
            return None if is_plain(kind) else FITTING
        if pa.types.is_null(kind):
            return None
        if is_list(kind):
            return None if is_plain(kind.value_type) else "A list of text or numbers fits: the classes of the row."
        if self.settings.label_separator is None:
            return f"A list of classes fits. {SEVERAL}"
        return None if _is_text(kind) else "Text or a list of classes fits."

    @cached_property
    def lists(self) -> pa.Array:
        """The classes of each row as the file has them; None where a row has no label."""
        column = self.table.column(self.label)
        if pa.types.is_null(column.type):
            return pa.nulls(len(column), pa.list_(pa.string()))
        if _is_text(column.type):
            return _split(decoded(column), self.settings.label_separator or "")
        if pa.types.is_fixed_size_list(column.type):
            column = column.cast(pa.list_(column.type.value_type))
        return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)

    @cached_property
    def each(self) -> pa.ChunkedArray:
        """All labels, row after row."""
        return decoded(pa.chunked_array([pc.list_flatten(self.lists)]))

    @cached_property
    def row_of_each(self) -> Any:
        """The row of each of them, from 0."""
        return pc.list_parent_indices(self.lists).to_numpy(zero_copy_only=False)

    @cached_property
    def values(self) -> list[Any]:
        """The distinct labels; none where each class has a column of its own."""
        values: list[Any] = [] if self.settings.label_columns else pc.unique(self.each).to_pylist()
        return values

    @cached_property
    def marks(self) -> list[list[Any]]:
        """The cells of the classes' own columns, each column's distinct ones."""
        return [pc.unique(decoded(self.table.column(name))).to_pylist() for name in self.settings.label_columns or ()]

    def has_labels(self, known: Sequence[Any]) -> bool:
        """Whether any row of a test has a label: blank cells alone are none, and -1 stands for none, too."""
        if not self.has_column:
            return False
        if self.settings.label_columns:
            return any(not is_missing(value) and not is_minus_one(value) for cells in self.marks for value in cells)
        if not self.values:
            is_text = _is_text(self.table.schema.field(self.label).type)
            return not is_text and bool(self.lists.null_count < len(self.lists))
        return any(not is_minus_one(value) for value in self.values) or any(map(is_minus_one, known))

    # ------------------------------------------------------------ rows without a label

    def labelled_rows(self) -> Places:
        """The places of the rows that have a label: a list, if of no class, or a mark in any class's own column."""
        if self.settings.label_columns:
            return np.flatnonzero(self._any_mark)
        lacks = pc.is_null(self.lists).to_numpy(zero_copy_only=False)
        if self.knows_minus_one and (secret := [value for value in self.values if is_minus_one(value)]):
            others = (
                np.ones(len(self.each), bool)
                & ~pc.is_in(self.each, value_set=pa.array(secret, self.each.type)).to_numpy()
            )
            has_other = np.zeros(len(self.rows), bool)
            has_other[self.row_of_each[others]] = True
            lacks = lacks | (self.rows_with(secret).to_numpy() & ~has_other)
        return np.flatnonzero(~lacks)

    @property
    def _any_mark(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which rows have something in a class's own column, where -1 stands for nothing."""
        marked = np.zeros(len(self.rows), bool)
        for name, cells in zip(self.settings.label_columns or (), self.marks, strict=True):
            told = {value: not is_missing(value) and not is_minus_one(value) for value in cells if value == value}
            marked |= np.array([told.get(value, False) for value in decoded(self.table.column(name)).to_pylist()], bool)
        return marked

    # ------------------------------------------------------------ what is wrong

    def doubt(self) -> Iterator[Problem]:
        """Lists that may be of classes, or of 0 and 1 for every class; to be asked of the split to train on."""
        settings, declared = self.settings, self.declared
        if settings.label_vectors is not None or settings.label_ids or settings.label_separator or not self.values:
            return
        lengths = [length for length in pc.unique(pc.list_value_length(self.lists)).to_pylist() if length]
        may_be = len(lengths) == 1 and lengths[0] > 1 and all(mark_of(value) is not None for value in self.values)
        if may_be and (declared is None or len(declared) in (2, lengths[0])):
            message = f'{self.name} has lists of {lengths[0]} in column "{self.label}", of nothing but 0 and 1'
            hint = "Write true, if they have 0 or 1 for every class, and false, if they name the classes of the row."
            yield Problem(message, "dataset.label_vectors", hint)

    def value_problems(self) -> Iterator[Problem]:
        """What can be no class, whatever the classes are."""
        if self.settings.label_columns:
            yield from self._mark_problems()
            return
        if self.lists.null_count:
            hint = "Of a row that is of none of the classes write an empty list."
            hint = f"Give each row a label, or none at all. {hint}" if self.is_test else hint + self.how_to_drop
            yield self.first_of(pc.is_null(self.lists), f'has no label in column "{self.label}"', hint)
        if blank := [value for value in self.values if is_missing(value)]:
            message = f'has a class without a name in column "{self.label}"'
            yield self.first_of(self.rows_with(blank), message, "Leave it out, or name it.")
        if fractions := [value for value in self.values if isinstance(value, float) and value % 1]:
            message = f'has {fractions[0]} in column "{self.label}", which is no class'
            yield self.first_of(self.rows_with(fractions), message, "A list of classes fits.")

    def _mark_problems(self) -> Iterator[Problem]:
        for name, cells in zip(self.settings.label_columns or (), self.marks, strict=True):
            wrong = [value for value in cells if mark_of(value) is None]
            if wrong:
                column = decoded(self.table.column(name))
                shown = f'"{self.shown(wrong[0])}"' if not is_missing(wrong[0]) else "nothing"
                hint = "Give each row 1 where it is of the class, and else 0"
                hint += "; or no row of the test a label." if self.is_test else "."
                hint += "" if self.is_test or self._any_mark.all() else self.how_to_drop
                message = f'has {shown} in column "{name}", which is neither 0 nor 1'
                is_wrong = {value: True for value in wrong if value == value}
                rows = [is_wrong.get(value, value != value) for value in column.to_pylist()]
                yield self.first_of(pa.chunked_array([pa.array(rows, pa.bool_())]), message, hint)

    def class_problems(self, classes: Classes) -> Iterator[Problem]:
        """Labels that are none of the classes, and rows that name one twice."""
        if self.settings.label_columns:
            return
        if classes.by_id:
            yield from self.declared_problems()
        if unknown := [value for value in self.values if classes(value, self.declared) is None]:
            yield self.unknown(unknown, classes, self.rows_with(unknown))
            return
        pairs = self.row_of_each * len(classes.names) + self._ids(classes)
        found, counts = np.unique(pairs, return_counts=True)
        if (counts > 1).any():
            twice = np.zeros(len(self.rows), bool)
            twice[found[counts > 1] // len(classes.names)] = True
            first = classes.names[int(found[counts > 1][0] % len(classes.names))]
            hint = "Name each class once; or if the lists have 0 or 1 for every class: [dataset] label_vectors = true."
            message = f'has the class "{first}" more than once in column "{self.label}"'
            yield self.first_of(pa.chunked_array([pa.array(twice)]), message, hint)

    def rows_with(self, values: Sequence[Any]) -> pa.ChunkedArray:
        """Which rows have one of these labels."""
        there = pc.is_in(self.each, value_set=pa.array(values, self.each.type)).to_numpy()
        if any(value != value for value in values):
            there = there | pc.fill_null(pc.is_nan(self.each), False).to_numpy()
        rows = np.zeros(len(self.rows), bool)
        rows[self.row_of_each[there]] = True
        return pa.chunked_array([pa.array(rows)])

    # ------------------------------------------------------------ as the model takes them

    def with_ids(self, classes: Classes) -> Dataset:
        """The rows, each with a list of 0 and 1, one for every class."""
        marks = self._marks_of(classes)
        ends = pa.array(np.arange(len(marks) + 1, dtype=np.int32) * marks.shape[1])
        return self.with_labels(pa.ListArray.from_arrays(ends, pa.array(marks.ravel())))

    def _marks_of(self, classes: Classes) -> Any:
        """0 or 1 for every row and class."""
        marks = np.zeros((len(self.rows), len(classes.names)), np.int8)
        if self.settings.label_columns:
            for place, name in enumerate(self.settings.label_columns):
                marks[:, place] = [bool(mark_of(value)) for value in decoded(self.table.column(name)).to_pylist()]
        else:
            marks[self.row_of_each, self._ids(classes)] = 1
        return marks

    def without_labels(self) -> Dataset:
        """The rows as they are predicted."""
        return self.with_labels(None)

    def _ids(self, classes: Classes) -> Any:
        """The class id of each label."""
        values = pc.unique(self.each)
        ids = pa.array([classes(value, self.declared) for value in values.to_pylist()], pa.int64())
        return pc.take(ids, pc.index_in(self.each, value_set=values)).to_numpy()


def _split(column: pa.ChunkedArray, separator: str) -> pa.Array:
    """The names in each cell, without the space around them; none in a blank cell."""
    cells = column.to_pylist()
    told = [None if cell is None else [part.strip() for part in cell.split(separator)] for cell in cells]
    empty: list[str] = []
    return pa.array(
        [
            empty if names == [""] or (cell and not cell.strip()) else names
            for cell, names in zip(cells, told, strict=True)
        ],
        pa.list_(pa.string()),
    )


def mark_of(value: Any) -> bool | None:
    """Whether a cell of a class's own column says that the row is of it; None if it says neither."""
    if isinstance(value, (bool, str)):
        return MARKS.get(str(value).strip().casefold())
    return bool(value) if value in (0, 1) else None


def is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
