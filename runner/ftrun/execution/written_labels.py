"""The labels of rows that somebody measures a model on, as their file has them, in the terms of the task."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.row_tables import DATA, RowTable, is_missing
from ftrun.planning.plan import Plan
from ftrun.rowfiles import listed, spellings

MARKS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}
"""What stands in the column of one class, where each has its own."""
LARGEST_FLOAT32 = 3.4028234663852886e38


def labels_of(table: RowTable, task: Task, plan: Plan) -> list[Any]:
    """The labels of rows as the task has them: class ids, lists of them for a kind of somebody's own, or what stands
    there where that has no classes; lists of 0 and 1 where a row has any number of classes, or numbers.

    Raises:
        ExperimentError: If there are none, or one is none of the task's.
    """
    settings = plan.dataset.table()
    if task.kind == "multi_label" and (columns := settings.get("label_columns")):
        return _of_own_columns(table, columns)
    cells = table.columns.get(task.label_column)
    if cells is None:
        hint = f"There are: {listed(list(table.columns))}. Without labels: ftrun predict."
        raise table.wrong(f'has no column "{task.label_column}", which holds the labels', hint)
    if task.kind == "regression":
        if table.declared.get(task.label_column):
            hint = "It is a ClassLabel: the numbers in it are the places of classes."
            raise table.wrong(f'has classes in column "{task.label_column}", not numbers', hint)
        return [_number(table, task, row, cell) for row, cell in enumerate(cells, 1)]
    if task.class_names is None:
        return _of_ones_own(table, task, cells)
    names = task.class_names
    ids = {name: place for place, name in enumerate(names)}
    if task.kind == "multi_label" and settings.get("label_vectors"):
        return [_vector(table, task, row, cell) for row, cell in enumerate(cells, 1)]
    if settings.get("label_ids"):
        ids = {str(place): place for place in range(len(names))}
    else:
        cells = table.labels(task.label_column)
    if task.kind == "multi_label":
        separator = settings.get("label_separator")
        return [_marks(table, task, ids, row, cell, separator) for row, cell in enumerate(cells, 1)]
    return [_class_ids(table, task, ids, row, cell) for row, cell in enumerate(cells, 1)]


def labels_of_split(table: RowTable, labels: Sequence[Any], there: Task, task: Task) -> list[Any]:
    """The labels of a split of the run's data set as the model has them, whose classes may be others than those that
    the data set has now, or in another order.

    Args:
        table: The split, its labels by name.
        labels: The same as the data set has them now.
        there: What the data set asks for now.
        task: What the model has learnt.

    Raises:
        ExperimentError: If the data set asks for something else, or a row is of a class that the model does not know.
    """
    names, known = there.class_names, task.class_names
    asked = {"kind": (there.kind, task.kind), "label column": (there.label_column, task.label_column)}
    asked["text"] = (listed(there.text_columns), listed(task.text_columns))
    if task.kind not in ("classification", "multi_label"):
        asked["classes"] = (listed(names or ()), listed(known or ()))
    for what, (now, before) in asked.items():
        if now != before:
            message = f"since the run the data set has changed: its {what} was {before}, and now it is {now}"
            raise ExperimentError(Problem(message, DATA, "Name a file with rows as those of the training."))
    if names == known:
        return list(labels)
    ids = {name: place for place, name in enumerate(known or ())}
    cells = enumerate(table.columns[task.label_column], 1)
    if task.kind == "multi_label":
        return [_marks(table, task, ids, row, cell, None) for row, cell in cells]
    return [_class_id(table, task, ids, row, cell) for row, cell in cells]


def _of_ones_own(table: RowTable, task: Task, cells: Sequence[Any]) -> list[Any]:
    """Labels in a form that only plugins know, as they stand; cells of text could not say which form it is."""
    if table.suffix in (".csv", ".tsv"):
        hint = "Name a file of JSON or Parquet, or a split of the run's data set."
        raise table.wrong(f"cannot be read with labels for {task.kind}, as its cells are text alone", hint)
    if lacking := [row for row, cell in enumerate(cells, 1) if cell is None]:
        message = f'has no label in column "{task.label_column}": row {lacking[0]}'
        raise table.wrong(message, "Leave such rows out.")
    return list(cells)


def _of_own_columns(table: RowTable, columns: Sequence[str]) -> list[list[int]]:
    """Lists of 0 and 1, of a column for every class."""
    if missing := [name for name in columns if name not in table.columns]:
        hint = f"There are: {listed(list(table.columns))}. Without labels: ftrun predict."
        raise table.wrong(f"has no column {listed(missing)}, which holds labels", hint)
    marks = [[_mark(table, name, row, cell) for row, cell in enumerate(table.columns[name], 1)] for name in columns]
    return [list(row) for row in zip(*marks, strict=True)]


def _mark(table: RowTable, column: str, row: int, cell: Any) -> int:
    told = MARKS.get(str(cell).strip().casefold())
    if told is None:
        shown = "nothing" if _is_blank(cell) else f'"{cell}"'
        raise table.wrong(f'has {shown} in column "{column}", row {row}, which is neither 0 nor 1')
    return told


def _marks(
    table: RowTable, task: Task, ids: Mapping[str, int], row: int, cell: Any, separator: str | None
) -> list[int]:
    """A list of 0 and 1 for a list of classes, or a cell with several."""
    if isinstance(cell, str) and separator:
        cell = [name.strip() for name in cell.split(separator)] if cell.strip() else []
    if not isinstance(cell, list):
        what = "no label" if _is_blank(cell) else f'"{cell}"'
        message = f'has {what} in column "{task.label_column}", row {row}, where a list of classes is wanted'
        raise table.wrong(message, "Of a row that is of none of the classes write an empty list.")
    told = [_class_id(table, task, ids, row, one) for one in cell]
    if len(set(told)) < len(told):
        raise table.wrong(f'has a class more than once in column "{task.label_column}", row {row}', "Name it once.")
    return [int(place in told) for place in range(task.num_labels)]


def _vector(table: RowTable, task: Task, row: int, cell: Any) -> list[int]:
    """A list of 0 and 1 for one that has them for every class."""
    where = f'in column "{task.label_column}", row {row}'
    if not isinstance(cell, list):
        what = "no label" if _is_blank(cell) else f'"{cell}"'
        raise table.wrong(f"has {what} {where}, where a list with 0 or 1 for every class is wanted")
    if len(cell) != task.num_labels:
        raise table.wrong(f"has a list of {len(cell)} {where}, and the task has {task.num_labels} classes")
    return [_mark(table, str(task.label_column), row, one) for one in cell]


def _class_ids(table: RowTable, task: Task, ids: Mapping[str, int], row: int, cell: Any) -> int | list[int]:
    if task.kind != "classification" and isinstance(cell, list):
        return [_class_id(table, task, ids, row, one) for one in cell]
    return _class_id(table, task, ids, row, cell)


def _class_id(table: RowTable, task: Task, ids: Mapping[str, int], row: int, cell: Any) -> int:
    if _is_blank(cell):
        raise table.wrong(f'has no label in column "{task.label_column}": row {row}', "Leave such rows out.")
    cell = float(cell) if isinstance(cell, Decimal) else cell
    spelled = spellings(cell) if isinstance(cell, (str, bool, int, float)) else ()
    found = next((ids[text] for text in spelled if text in ids), None)
    if found is None:
        message = f'has "{cell}" in column "{task.label_column}", row {row}, which is none of the classes'
        raise table.wrong(message, f"The classes: {', '.join(ids)}.")
    return found


def _number(table: RowTable, task: Task, row: int, cell: Any) -> float:
    if _is_blank(cell):
        raise table.wrong(f'has no label in column "{task.label_column}": row {row}', "Leave such rows out.")
    number = math.nan
    if not isinstance(cell, bool) and "_" not in str(cell):  # Python alone reads 1_000
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            number = float(cell)
    if abs(number) <= LARGEST_FLOAT32:
        return number
    hint = "Write it with a point." if isinstance(cell, str) and "," in cell else None
    message = f'has {cell!r} in column "{task.label_column}", row {row}, which is no finite float32 number'
    raise table.wrong(message, hint)


def _is_blank(cell: Any) -> bool:
    return is_missing(cell) or (isinstance(cell, str) and not cell.strip())
