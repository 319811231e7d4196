"""From a plan to an opened data set and a built model: what a run and a look before it have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ftrun.contracts import BestBy, BuiltModel, Dataset, Evaluator, Model, Splits, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.watcher import Watcher
from ftrun.planning.measures import best_by, build_evaluator, metric_directions
from ftrun.planning.plan import Plan


def open_data(plan: Plan, watcher: Watcher) -> tuple[Splits, BestBy | None]:
    """The opened data set, and which number tells the best evaluation on it.

    Raises:
        ExperimentError: If model or metrics do not suit what the data turns out to be, or none yields that number.
    """
    watcher.working("opening the data set")
    splits = plan.dataset.component(Dataset).build(plan.dataset.settings)
    watcher.data_opened(splits)
    for notice in splits.notices:
        watcher.notice(notice)
    if splits.task.kind not in plan.model.component(Model).kinds:
        message = f'the model "{plan.model.use}" does not take the data set\'s kind of task, {splits.task.kind}'
        raise ExperimentError(Problem(message, "model.use"))
    directions = metric_directions(plan.metrics, splits.task)
    return splits, best_by(plan.training, directions, list(splits.evaluation))


def build_model(plan: Plan, splits: Splits, watcher: Watcher) -> BuiltModel:
    """The model, its random weights drawn from the generators as they are."""
    watcher.working("building the model")
    built = plan.model.component(Model).build(plan.model.settings, splits)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def evaluators_of(plan: Plan, task: Task, built: BuiltModel) -> Sequence[Evaluator]:
    """The metrics, ready to compute from what the model says as it says it."""
    order = ClassOrder(built, task)
    return [order.evaluator(build_evaluator(part, task)) for part in plan.metrics]
