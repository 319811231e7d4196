"""What a column of Arrow's holds, as text or labels may be in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset
from ftrun.rowfiles import decoded, rows_within

from ftrun_plugins.datasets.inference import Holds, is_text

Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
FIRST = 100
"""Rows that mostly tell; all are looked at where these are numbers."""


def arrow_of(rows: Dataset, names: Sequence[str] | None = None) -> pa.Table:
    """Rows as Arrow has them: those that are selected, with some columns or all."""
    some = rows if names is None else rows.select_columns(list(names))
    return some.data.table if some._indices is None else some.with_format("arrow")[:]


def holds(column: pa.ChunkedArray) -> Holds:
    """What a column holds; text that is nothing but numbers is values."""
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        first = any(map(is_text, column.slice(0, FIRST).to_pylist()))
        return "text" if first or any(map(is_text, pc.unique(decoded(column)).to_pylist())) else "values"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return "lists"
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null)
    return "values" if any(test(kind) for test in tests) else "something else"


def header_again(rows: Dataset) -> int | None:
    """The place of the first row in which every cell is its column's name."""
    table = arrow_of(rows)
    if len(table.columns) < 2 or not all(pa.types.is_string(column.type) for column in table.columns):
        return None
    again = np.ones(len(rows), bool)
    for name, column in zip(table.column_names, table.columns, strict=True):
        again &= pc.fill_null(pc.equal(pc.utf8_ltrim(column, "\ufeff"), name), False).to_numpy()
    return int(np.argmax(again)) if again.any() else None


def rows_over_lines(rows: Dataset, delimiter: str) -> list[tuple[int, list[list[str]]]]:
    """The places of rows that look like several, as they would stand in CSV, and the cells of each of these."""
    table = arrow_of(rows)
    lines, marks = np.zeros((2, len(rows)), np.int64)
    for column in table.columns:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            lines += _count(column, "\n") + _count(column, "\r") - _count(column, "\r\n")
            marks += _count(column, delimiter)
    found = []
    for place in np.flatnonzero((lines > 0) & (marks == lines * (len(table.columns) - 1))).tolist():
        cells = ["" if value.as_py() is None else str(value) for value in (column[place] for column in table.columns)]
        if inside := rows_within(cells, delimiter):
            found.append((place, inside))
    return found


def _count(column: pa.ChunkedArray, part: str) -> Integers:
    counted: Integers = pc.fill_null(pc.count_substring(column, part), 0).to_numpy()
    return counted
