"""Whether the settings of the loss mean anything for a task."""

from __future__ import annotations

from collections.abc import Sequence

from ftrun.contracts import Task
from ftrun.errors import Problem
from ftrun.settings import TrainingSettings


def objective_problems(training: TrainingSettings, task: Task) -> Sequence[Problem]:
    """What is wrong with the settings of the loss for a task, told by its kind and its classes alone."""
    kinds = {"regression": "numbers", "multi_label": "any number of classes"}
    weights = training.class_weights
    asked = {"label_smoothing_factor": training.label_smoothing_factor, "class_weights": weights}
    if task.kind in kinds:
        message = f"it is for a task with one class for a label, and here a label is {kinds[task.kind]}"
        return [Problem(message, f"training.{key}", "Leave it out.") for key, value in asked.items() if value]
    if task.kind != "classification" and not task.cross_entropy:
        message = f"it is for a loss that is cross entropy, and nothing says so of the task, {task.kind}"
        hint = "Leave it out. Who makes the data set says it by Task(cross_entropy=True), where it is so."
        return [Problem(message, f"training.{key}", hint) for key, value in asked.items() if value]
    names = task.class_names
    if names is not None and isinstance(weights, list) and len(weights) != len(names):
        message = f"there are {len(weights)} weights for {len(names)} classes"
        return [Problem(message, "training.class_weights", f"The classes in their order: {', '.join(names)}.")]
    return []
