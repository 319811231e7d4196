"""From a plan to an opened data set, a built model and a job: what a run and a look before it have in common."""

from __future__ import annotations

from collections.abc import Sequence

from ftrun.contracts import BestBy, BuiltModel, Collate, Collator, Dataset, Evaluator, Job, Model, Splits, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.beginning import Beginning
from ftrun.execution.checks import check_model, check_splits
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.class_weights import class_weights
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoding import Encoding
from ftrun.execution.watcher import Watcher
from ftrun.planning.measures import best_by, build_evaluator, metric_directions
from ftrun.planning.plan import Plan


def open_data(plan: Plan, watcher: Watcher) -> tuple[Splits, BestBy | None]:
    """The opened data set, and which number tells the best evaluation on it.

    Raises:
        ExperimentError: If it is not what the contract says, if model or metrics do not suit what the data turns out to
            be, or none yields that number.
    """
    watcher.working("opening the data set")
    splits = plan.dataset.component(Dataset).build(plan.dataset.settings)
    check_splits(plan.dataset, splits)
    watcher.data_opened(splits)
    for notice in splits.notices:
        watcher.notice(notice)
    if splits.task.kind not in plan.model.component(Model).kinds:
        message = f'the model "{plan.model.use}" does not take the data set\'s kind of task, {splits.task.kind}'
        raise ExperimentError(Problem(message, "model.use"))
    directions = metric_directions(plan.metrics, splits.task)
    return splits, best_by(plan.training, directions, list(splits.evaluation))


def build_model(plan: Plan, splits: Splits, watcher: Watcher) -> BuiltModel:
    """The model, its random weights drawn from the generators as they are.

    Raises:
        ExperimentError: If it is not what the contract says.
    """
    watcher.working("building the model")
    built = plan.model.component(Model).build(plan.model.settings, splits)
    check_model(plan.model, built)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def build_collate(plan: Plan, built: BuiltModel) -> Collate:
    """What makes batches of encoded rows."""
    return plan.collator.component(Collator).build(plan.collator.settings, built.tokenizer)


def evaluators_of(plan: Plan, task: Task, built: BuiltModel) -> Sequence[Evaluator]:
    """The metrics, ready to compute from what the model says as it says it."""
    order = ClassOrder(built, task)
    return [order.evaluator(build_evaluator(part, task)) for part in plan.metrics]


def make_job(
    plan: Plan,
    splits: Splits,
    built: BuiltModel,
    best: BestBy | None,
    cache: EncodedCache,
    watcher: Watcher,
    beginning: Beginning,
) -> Job:
    """All that a backend needs to train, every split encoded."""
    provider, processes = plan.model.offer.provider, plan.training.preprocessing_num_workers
    encoding = Encoding(splits, built, provider, cache, watcher.encoding, watcher.notice, processes)
    return Job(
        model=built.model,
        tokenizer=built.tokenizer,
        train=encoding.encode(splits.train_split, splits.train),
        evaluation={name: encoding.encode(name, rows) for name, rows in splits.evaluation.items()},
        collate=build_collate(plan, built),
        evaluators=evaluators_of(plan, splits.task, built),
        training=plan.training,
        task=splits.task,
        seed=plan.seed,
        data_seed=plan.seed if plan.training.data_seed is None else plan.training.data_seed,
        run_folder=beginning.folder.path,
        best_by=best,
        resume_from=beginning.checkpoint_folder,
        resume_best=beginning.best_counts,
        class_weights=class_weights(plan.training, splits, built),
    )
