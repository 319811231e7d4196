"""Several files as one split: tables with the same columns, and of one kind of values in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Features
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import decoded, listed, text_of

IDS = "idx"
"""A column that is only kept where all files have it."""


def joined(tables: Mapping[str, pa.Table], place: str, numbers: str | None = None) -> pa.Table:
    """The rows of several files, one file after the other.

    Args:
        tables: The columns that are wanted of each file, by what to call it in messages.
        place: The key that names the files.
        numbers: The column that is of numbers, however a file has them.

    Raises:
        ExperimentError: Naming two files that do not go together, and the column.
    """
    if len(tables) == 1:
        return next(iter(tables.values()))
    names = _common_columns(tables, place)
    _refuse_other_classes(tables, names, place)
    metadata = next(iter(tables.values())).schema.metadata
    columns = {}
    for name in names:
        of_each = {file: table.column(name) for file, table in tables.items()}
        columns[name] = _column(_as_numbers(of_each) if name == numbers else of_each, name, place)
    return pa.table(columns).replace_schema_metadata(metadata)


def _common_columns(tables: Mapping[str, pa.Table], place: str) -> Sequence[str]:
    first, *others = tables
    names = [name for name in tables[first].column_names if name != IDS]
    for other in others:
        for one, another in ((first, other), (other, first)):
            there = tables[another].column_names
            if lacking := [name for name in tables[one].column_names if name != IDS and name not in there]:
                message = f"{another} has no column {listed(lacking)}, and {one} has"
                raise ExperimentError(Problem(message, place, "The files of one split have the same columns."))
    return [*names, IDS] if all(IDS in table.column_names for table in tables.values()) else names


def _refuse_other_classes(tables: Mapping[str, pa.Table], names: Sequence[str], place: str) -> None:
    """Parquet may say what its numbers stand for: then all files say the same."""
    first, *others = tables
    for name in names:
        declared = {file: _classes(table, name) for file, table in tables.items()}
        for other in others:
            if declared[other] != declared[first]:
                message = f'{first} and {other} do not declare the same classes in column "{name}"'
                raise ExperimentError(Problem(message, place, "Write the files anew, with the names of the classes."))


def _classes(table: pa.Table, name: str) -> Sequence[str] | None:
    feature = Features.from_arrow_schema(table.schema).get(name)
    feature = getattr(feature, "feature", feature)  # of a list
    return list(feature.names) if isinstance(feature, ClassLabel) else None


def _as_numbers(columns: Mapping[str, pa.ChunkedArray]) -> Mapping[str, pa.ChunkedArray]:
    """Whole numbers beside others as these; beside text, in which there are numbers as well, as they are written."""
    plain = {file: decoded(column) for file, column in columns.items()}
    kinds = {_kind(column.type) for column in plain.values() if _tells(column)}
    if not kinds <= {"text", "whole numbers", "numbers"}:
        return columns
    if "text" in kinds:
        return {file: text_of(column) for file, column in plain.items()}
    return {file: column.cast(pa.float64(), safe=False) for file, column in plain.items()}


def _column(columns: Mapping[str, pa.ChunkedArray], name: str, place: str) -> pa.ChunkedArray:
    plain = {file: decoded(column) for file, column in columns.items()}
    told = {file: _kind(column.type) for file, column in plain.items() if _tells(column)}
    kinds = set(told.values())
    if "text" in kinds and len(kinds) > 1 and kinds <= {"text", "whole numbers"}:
        plain = {file: text_of(column) for file, column in plain.items()}
        kinds = {"text"}
    if len(kinds) > 1:
        (one, kind), (other, different) = _two_kinds(told)
        message = f'{one} has {kind} in column "{name}", and {other} has {different}'
        raise ExperimentError(Problem(message, place, "Write them alike in all files of the split."))
    common = _common_type([column.type for column in plain.values() if _tells(column)])
    common = next(iter(plain.values())).type if common is None else common
    return pa.chunked_array([chunk for column in plain.values() for chunk in column.cast(common).chunks], common)


def _two_kinds(told: Mapping[str, str]) -> Sequence[tuple[str, str]]:
    first = next(iter(told.items()))
    return first, next((file, kind) for file, kind in told.items() if kind != first[1])


def _tells(column: pa.ChunkedArray) -> bool:
    """Whether a column has values of a kind: nothing, and lists with nothing in them, go with any."""
    return not pa.types.is_null(column.type) and not (_is_list(column.type) and not len(pc.list_flatten(column)))


def _kind(kind: pa.DataType) -> str:
    if _is_list(kind):
        return f"lists of {_kind(kind.value_type)}"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_integer(kind):
        return "whole numbers"
    if pa.types.is_floating(kind):
        return "numbers"
    return "truth values" if pa.types.is_boolean(kind) else str(kind)


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _common_type(types: Sequence[pa.DataType]) -> pa.DataType | None:
    """The one type for values of one kind; None if there are none."""
    told = list(dict.fromkeys(types))
    if len(told) < 2:
        return told[0] if told else None
    if _is_list(told[0]):
        return pa.list_(_common_type([kind.value_type for kind in told]))
    if pa.types.is_integer(told[0]):
        return pa.int64()
    return pa.float64() if pa.types.is_floating(told[0]) else pa.large_string()
