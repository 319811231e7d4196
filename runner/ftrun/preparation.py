"""From a plan to an opened data set and a built model: what a run and a look before it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ftrun.class_order import ClassOrder
from ftrun.contracts import BuiltModel, Dataset, Direction, Evaluator, Metric, Model, Splits, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.plan import Plan, metric_directions
from ftrun.progress import Watcher


def open_data(plan: Plan, watcher: Watcher) -> tuple[Splits, Mapping[str, Direction]]:
    """The opened data set, and the numbers that the metrics yield on it with their better directions.

    Raises:
        ExperimentError: If model or metrics do not suit what the data turns out to be.
    """
    watcher.working("opening the data set")
    splits = plan.dataset.component(Dataset).build(plan.dataset.settings)
    watcher.data_opened(splits)
    for notice in splits.notices:
        watcher.notice(notice)
    if splits.task.kind not in plan.model.component(Model).kinds:
        message = f'the model "{plan.model.use}" does not take the data set\'s kind of task, {splits.task.kind}'
        raise ExperimentError(Problem(message, "model.use"))
    return splits, metric_directions(plan.metrics, splits.task)


def build_model(plan: Plan, splits: Splits, watcher: Watcher) -> BuiltModel:
    """The model, its random weights drawn from the generators as they are."""
    watcher.working("building the model")
    built = plan.model.component(Model).build(plan.model.settings, splits.task)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def evaluators_of(plan: Plan, task: Task, built: BuiltModel) -> Sequence[Evaluator]:
    """The metrics, ready to compute from what the model says as it says it."""
    order = ClassOrder(built, task)
    return [order.evaluator(part.component(Metric).build(part.settings, task)) for part in plan.metrics]
