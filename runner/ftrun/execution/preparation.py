"""From a plan to an opened data set and a built model: what a run and a look before it have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ftrun.contracts import (
    Backend,
    BackendSession,
    BestBy,
    BuiltModel,
    Collate,
    Collator,
    Dataset,
    Evaluator,
    Model,
    Splits,
    Task,
)
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.watcher import Watcher
from ftrun.planning.answers import placed_errors
from ftrun.planning.measures import best_by, build_evaluator, check_evaluated, metric_directions
from ftrun.planning.plan import Plan, missing_tokenizer


def open_session(plan: Plan) -> BackendSession:
    """The backend's session, not yet entered."""
    with placed_errors(plan.backend, "backend"):
        return plan.backend.component(Backend).build(plan.backend.settings, plan.training)


def open_data(plan: Plan, watcher: Watcher) -> tuple[Splits, BestBy | None]:
    """The opened data set, and which number tells the best evaluation on it.

    Raises:
        ExperimentError: If model or metrics do not suit what the data turns out to be, or none yields that number, or
            evaluations are asked for and there is nothing to evaluate on.
    """
    watcher.working("opening the data set")
    with placed_errors(plan.dataset, "dataset"):
        splits = plan.dataset.component(Dataset).build(plan.dataset.settings)
    watcher.data_opened(splits)
    for notice in splits.notices:
        watcher.notice(notice)
    if splits.task.kind not in plan.model.component(Model).kinds:
        message = f'the model "{plan.model.use}" does not take the data set\'s kind of task, {splits.task.kind}'
        raise ExperimentError(Problem(message, "model.use"))
    if not splits.evaluation and (problems := check_evaluated(plan.metrics, plan.training)):
        raise ExperimentError(*problems)
    directions = metric_directions(plan.metrics, splits.task)
    best = best_by(plan.training, directions, list(splits.evaluation)) if splits.evaluation else None
    return splits, best


def build_model(plan: Plan, splits: Splits, watcher: Watcher) -> BuiltModel:
    """The model, its random weights drawn from the generators as they are.

    Raises:
        ExperimentError: If it comes without the tokenizer that the collator needs.
    """
    watcher.working("building the model")
    with placed_errors(plan.model, "model"):
        built = plan.model.component(Model).build(plan.model.settings, splits)
    if built.tokenizer is None and (problem := missing_tokenizer(plan)):
        raise ExperimentError(problem)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def build_collate(plan: Plan, built: BuiltModel) -> Collate:
    """What makes batches of encoded rows."""
    with placed_errors(plan.collator, "collator"):
        return plan.collator.component(Collator).build(plan.collator.settings, built.tokenizer)


def evaluators_of(plan: Plan, task: Task, built: BuiltModel) -> Sequence[Evaluator]:
    """The metrics, ready to compute from what the model says as it says it."""
    order = ClassOrder(built, task)
    return [
        order.evaluator(build_evaluator(part, task, f"metrics[{index}]")) for index, part in enumerate(plan.metrics)
    ]
