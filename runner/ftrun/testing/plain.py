"""Rows, batches and weights as plain values, to be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftrun.contracts import BuiltModel, Rows


def columns_of(rows: Rows, count: int | None = None) -> dict[str, list[Any]]:
    """The columns of the first rows, or of all."""
    return {name: list(rows[name])[:count] for name in rows.column_names}


def rows_of(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Columns, row by row."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def rows_encoded(built: BuiltModel, rows: Rows) -> list[dict[str, Any]]:
    """All rows as a model's `encode` has them."""
    return rows_of({name: list(column) for name, column in built.encode(columns_of(rows)).items()})


def plain(value: Any) -> Any:
    """Tensors and arrays as lists, whatever they are in."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values hold the same, bit for bit."""
    return bool(plain(one) == plain(other))
