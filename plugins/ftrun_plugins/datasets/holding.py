"""What a column of Arrow's holds, as text or labels may be in it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from ftrun.rowfiles import decoded

from ftrun_plugins.datasets.inference import Holds, is_text

FIRST = 100
"""Rows that mostly tell; all are looked at where these are numbers."""


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
