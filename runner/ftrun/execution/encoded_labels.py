"""Labels as a model has encoded them, for a kind of task that the runner does not know: a class for every place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ftrun.contracts import EncodedRows, Predictions, Task
from ftrun.planning.parts import Part

KNOWN = ("classification", "multi_label", "regression")
"""Kinds of task that the contract knows: their text is text, their labels are held to it as the data is opened, and the
runner tells what is predicted."""
NO_CLASS = -100
"""The label of a place in a row that has none."""
ROWS_READ = 500
"""Rows of a split whose labels are looked at, spread over all of it."""


def check_places(part: Part, predictions: Predictions, task: Task) -> None:
    """Whether there is a label for every place that the model gives numbers for, or one for each of these numbers.

    Labels that are no whole numbers, and those of a task without classes, are what its parts agree on.

    Args:
        part: The model, whose `encode` gives labels.
        predictions: Of rows with labels.
        task: Theirs.

    Raises:
        ExperimentError: If there is not.
    """
    if not _are_classes(predictions.labels, task):
        return
    labels, logits = tuple(predictions.labels.shape), tuple(predictions.logits.shape)
    if labels in (logits[:-1], logits):
        return
    message = f"encodes labels of shape {labels} for numbers of shape {logits}"
    expected = "(rows,)" if len(logits) == 2 else "(rows, places)"
    hint = (
        f"The task has classes, so there must be a class for every place, of shape {expected}, as {logits[:-1]} here, "
        f"and {NO_CLASS} where there is none. Labels of another form are for a task without class_names."
    )
    raise part.fault(message, hint)


def check_classes(part: Part, splits: Mapping[str, EncodedRows], predictions: Predictions, task: Task) -> None:
    """Whether the labels are classes of the task, or -100, where there is one for every place.

    Args:
        part: The model, whose `encode` gives labels.
        splits: Encoded rows with labels, by the names of their splits.
        predictions: Of some of these rows.
        task: Theirs.

    Raises:
        ExperimentError: If one is not.
    """
    if not _are_classes(predictions.labels, task) or predictions.labels.ndim != predictions.logits.ndim - 1:
        return
    for split, rows in splits.items():
        for row in range(0, len(rows), max(1, -(-len(rows) // ROWS_READ))):
            for label in _numbers(rows[row].get("labels")):
                if label != NO_CLASS and not 0 <= label < task.num_labels:
                    message = f"encodes the label {label} in row {row + 1} of {split}"
                    raise part.fault(
                        f"{message}: it must be a whole number from 0 to {task.num_labels - 1}, a class's place among "
                        f"{task.num_labels}, or {NO_CLASS} where there is none"
                    )


def _are_classes(labels: Any, task: Task) -> bool:
    """Whether labels should be classes, by the contract: whole numbers of a task of one's own that names classes."""
    whole = getattr(getattr(labels, "dtype", None), "kind", None) in ("i", "u")
    return whole and task.kind not in KNOWN and bool(task.class_names)


def _numbers(labels: Any) -> Iterator[Any]:
    if hasattr(labels, "tolist"):
        labels = labels.tolist()
    if isinstance(labels, (list, tuple)):
        for label in labels:
            yield from _numbers(label)
    elif labels is not None:
        yield labels
