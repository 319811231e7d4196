"""A model whose outputs are in another order than the task's classes: what it says, in the task's terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ftrun.contracts import BuiltModel, Predictions, Task
from ftrun.errors import ExperimentError, Problem


class ClassOrder:
    """How a model's outputs come to be in the order of the task's classes.

    Args:
        built: The model.
        task: What it learns.
        who: What to call the model component in a sentence.

    Raises:
        ExperimentError: If the model names other classes than the task.
    """

    def __init__(self, built: BuiltModel, task: Task, who: str = "the model") -> None:
        self._outputs: Sequence[int] | None = None
        if built.class_names is None or built.class_names == task.class_names:
            return
        names = task.class_names or ()
        if sorted(built.class_names) != sorted(names):
            message = f"{who} gives the classes {', '.join(built.class_names)}, and the task has {', '.join(names)}"
            raise ExperimentError(Problem(message, "model"))
        self._outputs = [built.class_names.index(name) for name in names]

    def in_task_order(self, predictions: Predictions) -> Predictions:
        """Predictions with the logits' columns and the labels in the order of the task's classes."""
        if self._outputs is None:
            return predictions
        labels = self._labels(predictions, self._outputs)
        return replace(predictions, logits=predictions.logits[..., self._outputs], labels=labels)

    def _labels(self, predictions: Predictions, outputs: Sequence[int]) -> Any:
        if predictions.labels is None:
            return None
        if predictions.kind == "multi_label":  # a column for each class
            return predictions.labels[..., outputs]
        labels = predictions.labels.copy()
        for class_id, output in enumerate(outputs):
            labels[predictions.labels == output] = class_id
        return labels

    def in_output_order(self, by_class: Sequence[float]) -> list[float]:
        """Numbers that are one for each of the task's classes, in the order of the model's outputs."""
        if self._outputs is None:
            return list(by_class)
        return [by_class[self._outputs.index(output)] for output in range(len(self._outputs))]
