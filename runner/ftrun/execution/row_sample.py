"""What tells the rows of a split apart, whatever a data set says of them: a checksum of some, spread over all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ftrun.contracts import Rows, Task

SAMPLED = 1_000
"""Rows that are read, of however many; all where there are no more."""


def sample_checksum(rows: Rows, task: Task) -> str:
    """The checksum of rows spread evenly over a split, in their order, by text and label: alike in every process.

    Args:
        rows: The split's.
        task: Whose columns are read, as far as they are there.
    """
    count = len(rows)
    read = min(count, SAMPLED)
    some = rows.select([place * count // read for place in range(read)])
    columns = [name for name in (*task.text_columns, task.label_column) if name in rows.column_names]
    told = {name: [_plain(cell) for cell in some[name][:]] for name in columns}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _plain(cell: Any) -> Any:
    """A cell as JSON has it; of what says nothing of itself that every process would, its kind."""
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell
    if hasattr(cell, "tolist"):
        return _plain(cell.tolist())
    if isinstance(cell, Mapping):
        return {str(name): _plain(inner) for name, inner in cell.items()}
    if isinstance(cell, list | tuple):
        return [_plain(inner) for inner in cell]
    if isinstance(cell, bytes):
        return cell.hex()
    return cell.isoformat() if hasattr(cell, "isoformat") else type(cell).__qualname__
