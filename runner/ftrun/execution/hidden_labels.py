"""Rows whose labels are not there, or kept secret, as in many test splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftrun.contracts import BuiltModel, Encode, Rows, Task

HIDDEN = -1
"""What stands for a label that is kept secret, as in `datasets`."""


def unlabelled_rows(rows: Rows, task: Task) -> Sequence[int]:
    """The places of the rows that have no label.

    A number of a regression may be -1 as any other, unless all rows have that.
    """
    if task.label_column not in rows.column_names:
        return range(len(rows))
    labels = rows[task.label_column][:]
    hidden = [place for place, label in enumerate(labels) if is_hidden(label)]
    if task.kind == "regression" and len(hidden) < len(labels):
        return [place for place in hidden if labels[place] != HIDDEN]
    return hidden


def is_labelled(rows: Rows, task: Task) -> bool:
    """Whether every row has a label."""
    return not unlabelled_rows(rows, task)


def without_labels(built: BuiltModel, task: Task) -> BuiltModel:
    """A model whose `encode` sees no labels."""
    encode = _Unlabelled(built.encode, task.label_column)
    return replace(built, encode=encode, encode_key=f"{built.encode_key} without labels")


@dataclass(frozen=True)
class _Unlabelled:
    """An object, which can be sent to other processes."""

    encode: Encode
    label_column: str

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        return self.encode({name: cells for name, cells in batch.items() if name != self.label_column})


def is_hidden(label: Any) -> bool:
    """Whether a label is not there, or kept secret."""
    if isinstance(label, (list, tuple)):
        return bool(label) and all(part == HIDDEN for part in label)
    return label is None or label != label or (label == HIDDEN and not isinstance(label, bool))
