"""Predictions made up for a metric: ordinary ones, perfect ones, and those that are a metric's undoing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ftrun.contracts import Predictions, Task

ROWS = 12
"""How many rows there are."""
SURE = 20.0
"""A logit so far above the others that its class is as good as certain."""
KINDS = ("classification", "multi_label", "regression")
"""Kinds of task whose predictions can be made up here."""
ONE_CLASS, CONSTANT, ONE_ROW = "one class", "constant predictions", "one row"


def predictions_of(task: Task, labels: Sequence[Any], said: Sequence[Any]) -> Predictions:
    """What an evaluator is given.

    Args:
        task: Of a kind in `KINDS`.
        labels: One for each row, as the task's kind has them.
        said: For classification a class id for each row, or the probabilities of all classes; for "multi_label" a list
            of 0 and 1; for regression a number.
    """
    if task.kind == "regression":
        logits, truth = np.asarray(said, "float32").reshape(-1, 1), np.asarray(labels, "float32")
    elif task.kind == "multi_label":
        logits, truth = (2 * np.asarray(said, "float32") - 1) * SURE, np.asarray(labels, "int64")
    else:
        rows = np.asarray(said)
        shares = rows if rows.ndim == 2 else np.eye(task.num_labels)[rows]
        with np.errstate(divide="ignore"):
            logits = np.maximum(np.log(shares.astype("float64")), -SURE).astype("float32")
        truth = np.asarray(labels, "int64")
    return Predictions(logits, truth, 0.5, task.kind)


def ordinary(task: Task) -> Predictions:
    """Rows of every class, some of them wrong, none of them certain."""
    labels = labels_of(task)
    if task.kind == "regression":
        return predictions_of(task, labels, [label + 0.3 * (-1) ** row for row, label in enumerate(labels)])
    if task.kind == "multi_label":
        wrong = [[1 - value if (row + place) % 5 == 0 else value for place, value in enumerate(label)]
                 for row, label in enumerate(labels)]  # fmt: skip
        return predictions_of(task, labels, wrong)
    said = [(label + (row % 4 == 3)) % task.num_labels for row, label in enumerate(labels)]
    return predictions_of(task, labels, [_shares(task, name, 0.55 + row / 40) for row, name in enumerate(said)])


def perfect(task: Task) -> Predictions:
    """What the labels are, certain."""
    return predictions_of(task, labels_of(task), labels_of(task))


def worse(task: Task) -> Sequence[Predictions]:
    """What is wrong in some rows, in all, and in the same way in each."""
    labels = labels_of(task)
    if task.kind == "regression":
        wrong: list[Any] = [-label for label in labels]
    elif task.kind == "multi_label":
        wrong = [[1 - value for value in label] for label in labels]
    else:
        wrong = [(label + 1) % task.num_labels for label in labels]
    return ordinary(task), predictions_of(task, labels, wrong), constant(ordinary(task))


def one_class(predictions: Predictions) -> Predictions:
    """Predictions of rows whose labels are all alike: those of the first."""
    first = [0] * len(predictions.logits)
    return replace(predictions, labels=predictions.labels[first], rows=_picked(predictions.rows, first))


def constant(predictions: Predictions) -> Predictions:
    """Predictions that are all alike: those of the first row."""
    first = [0] * len(predictions.logits)
    return replace(predictions, logits=predictions.logits[first], decoded=_picked(predictions.decoded, first))


def picked(predictions: Predictions, rows: Sequence[int]) -> Predictions:
    """Some of the rows, in this order."""
    places = list(rows)
    return replace(
        predictions,
        logits=predictions.logits[places],
        labels=predictions.labels[places],
        rows=_picked(predictions.rows, places),
        decoded=_picked(predictions.decoded, places),
    )


def _picked(columns: Mapping[str, Sequence[Any]] | None, places: Sequence[int]) -> Mapping[str, Sequence[Any]] | None:
    if columns is None:
        return None
    return {name: [cells[place] for place in places] for name, cells in columns.items()}


def turned(rows: int) -> list[int]:
    """Another order of rows: the even ones backwards, then the odd ones."""
    return [*reversed(range(0, rows, 2)), *range(1, rows, 2)]


def labels_of(task: Task) -> list[Any]:
    """Labels of every class."""
    if task.kind == "regression":
        return [row % 5 / 2 - 1.0 for row in range(ROWS)]
    if task.kind == "multi_label":
        return [[(row >> place) % 2 for place in range(task.num_labels)] for row in range(ROWS)]
    return [row % task.num_labels for row in range(ROWS)]


def _shares(task: Task, name: int, share: float) -> list[float]:
    rest = (1 - share) / max(1, task.num_labels - 1)
    return [share if place == name else rest for place in range(task.num_labels)]
