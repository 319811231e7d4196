"""How much a row of each class counts in the loss."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal

from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.class_order import ClassOrder
from ftrun.planning.objective import objective_problems
from ftrun.settings import TrainingSettings

WEIGHTS_TAG = "ftrun.class_weights"
"""The tag that holds what balancing the training split came to, as JSON, in the order of the task's classes."""
NO_CLASS = -100
"""The label of a place in a row that has none."""


def class_weights(training: TrainingSettings, splits: Splits, built: BuiltModel) -> Sequence[float] | None:
    """`Job.class_weights`: those that `[training] class_weights` asks for, in the order of the model's outputs.

    Raises:
        ExperimentError: If the task is none that they, or `label_smoothing_factor`, mean anything for, has another
            number of classes, or has a class without a row, which cannot be balanced.
    """
    problems = objective_problems(training, splits.task)
    if problems:
        raise ExperimentError(*problems)
    asked = training.class_weights
    if asked is None:
        return None
    if splits.task.class_names is None:
        raise ExperimentError(Problem("the task has no classes to weigh", "training.class_weights", "Leave it out."))
    weights = weights_by_class(
        asked, splits.task, splits.train[splits.task.label_column][:] if asked == "balanced" else ()
    )
    return ClassOrder(built, splits.task).in_output_order(weights)


def weights_tags(training: TrainingSettings, splits: Splits) -> dict[str, str]:
    """What has to be known of weights that the settings alone do not tell, to measure the same loss later."""
    if training.class_weights != "balanced":
        return {}
    labels = splits.train[splits.task.label_column][:]
    return {WEIGHTS_TAG: json.dumps(weights_by_class("balanced", splits.task, labels))}


def recorded_weights(training: TrainingSettings, tags: Mapping[str, str]) -> Sequence[float] | None:
    """The weights that a run had, in the order of the task's classes; None where it had none, or has not recorded them.

    Args:
        training: Its settings.
        tags: On its record.
    """
    if training.class_weights != "balanced":
        return training.class_weights
    try:
        weights = json.loads(tags.get(WEIGHTS_TAG, ""))
        return [float(weight) for weight in weights]
    except (ValueError, TypeError):
        return None


def weights_by_class(asked: list[float] | Literal["balanced"], task: Task, labels: Iterable[Any]) -> list[float]:
    """The weight of each class, in the task's order.

    Balanced, it is `labels / (classes x labels of the class)`, as by scikit-learn's `compute_class_weight`: every class
    counts alike in sum, and a label 1 on average.

    Args:
        asked: The setting.
        task: For its classes.
        labels: Of the rows to train on: class ids, or lists of them with -100 where there is none.

    Raises:
        ExperimentError: If a class that is to be balanced has no label.
    """
    if asked != "balanced":
        return asked
    names = task.class_names or ()
    labels = list(labels)
    if not are_classes(labels, len(names)):
        message = "the labels of the rows to train on are no class ids, nor lists of them: they cannot be counted"
        raise ExperimentError(Problem(message, "training.class_weights", "Write the weights as a list."))
    counts = Counter(class_ids(labels))
    if missing := [name for class_id, name in enumerate(names) if not counts[class_id]]:
        message = f"no row to train on is of {', '.join(missing)}: what is not there cannot be balanced"
        raise ExperimentError(Problem(message, "training.class_weights", "Write the weights as a list."))
    return [counts.total() / (len(names) * counts[class_id]) for class_id in range(len(names))]


def class_ids(labels: Iterable[Any]) -> Iterator[int]:
    """The classes of labels that are class ids, or lists of them with -100 where there is none."""
    for label in labels:
        yield from (int(one) for one in ([label] if isinstance(label, Integral) else label) if one != NO_CLASS)


def are_classes(labels: Iterable[Any], count: int) -> bool:
    """Whether labels are class ids of so many classes, or lists of them with -100 where there is none."""
    for label in labels:
        for one in label if hasattr(label, "__iter__") and not isinstance(label, str) else [label]:
            if (
                isinstance(one, bool)
                or not isinstance(one, Integral)
                or (one != NO_CLASS and not 0 <= int(one) < count)
            ):
                return False
    return True
