"""Labels as a model has encoded them: those of the rows, and a class for every place where the kind of task is one that
the runner does not know.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftrun.contracts import EncodedRows, Predictions, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.hidden_labels import is_hidden
from ftrun.planning.parts import Part
from ftrun.settings import shown

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


def check_kept(
    labels: Sequence[Any], encoded: Sequence[Any], task: Task, class_names: Sequence[str] | None, who: str, split: str
) -> None:
    """Whether a model has encoded labels as what they are, of a kind of task that the runner knows: what is predicted
    is told, and measured, in them.

    Args:
        labels: As the data set has them.
        encoded: As the model has encoded them; those of another form than the kind has are let through.
        task: Theirs.
        class_names: The classes in the order of the model's outputs; None for the task's order.
        who: What to call the model component in a sentence.
        split: What to call the rows.

    Raises:
        ExperimentError: If one is another.
    """
    if task.kind not in KNOWN:
        return
    outputs = _outputs(task, class_names)
    for label, given in zip(labels, encoded, strict=True):
        if not is_hidden(label) and not _is_kept(label, given, task.kind, outputs):
            wanted = _expected(label, outputs)
            message = f"{who} encodes the label {_told(label, task)} of a row of {split} as {shown(given)}"
            hint = (
                "Predictions are told and measured in the data's labels: `encode` hands on what is in the label column."
            )
            if outputs is not None:
                hint = f"Its class_names ask for {shown(wanted)}: the class's place among them."
            elif task.kind == "classification":
                hint += " Outputs in another order are told by class_names of the BuiltModel."
            raise ExperimentError(Problem(message, "model", hint))


def _outputs(task: Task, class_names: Sequence[str] | None) -> Sequence[int] | None:
    """The place of each class among the model's outputs, where these are in another order."""
    names = task.class_names or ()
    if class_names is None or tuple(class_names) == tuple(names) or sorted(class_names) != sorted(names):
        return None
    return [list(class_names).index(name) for name in names]


def _expected(label: Any, outputs: Sequence[int] | None) -> Any:
    if outputs is None:
        return label
    if isinstance(label, Sequence):
        return [label[outputs.index(output)] for output in range(len(outputs))]
    return outputs[int(label)]


def _is_kept(label: Any, given: Any, kind: str, outputs: Sequence[int] | None) -> bool:
    given = given.tolist() if hasattr(given, "tolist") else given
    if kind == "multi_label":
        return not isinstance(given, list | tuple) or list(given) == list(_expected(label, outputs))
    if not isinstance(given, int | float):
        return True
    if kind == "regression":
        return math.isclose(given, label, rel_tol=1e-3, abs_tol=1e-6)  # float16 is not closer
    return bool(given == _expected(label, outputs))


def _told(label: Any, task: Task) -> str:
    names = task.class_names
    return f"{label} ({names[int(label)]})" if task.kind == "classification" and names else shown(label)


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
