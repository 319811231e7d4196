"""From a plan to an opened data set, a built model and a job: what a run and a look before it have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ftrun.contracts import (
    Backend,
    BackendSession,
    BestBy,
    BuiltModel,
    Collate,
    Collator,
    Dataset,
    Evaluator,
    Job,
    Model,
    Rows,
    Splits,
    Task,
)
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.beginning import Beginning
from ftrun.execution.checks import check_model, check_session, check_splits, check_task
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.class_weights import class_weights
from ftrun.execution.decoding import Decoding, RawColumns, Terms
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoding import Encoding
from ftrun.execution.watcher import Watcher
from ftrun.planning.answers import notices_of, placed_errors
from ftrun.planning.measures import best_by, build_evaluator, check_evaluated, metric_directions
from ftrun.planning.plan import Plan, missing_tokenizer


def open_session(plan: Plan) -> BackendSession:
    """The backend's session, not yet entered.

    Raises:
        ExperimentError: If the backend builds something else.
    """
    with placed_errors(plan.backend, "backend"):
        session = plan.backend.component(Backend).build(plan.backend.settings, plan.training)
    check_session(plan.backend, session)
    return session


def open_data(plan: Plan, watcher: Watcher) -> tuple[Splits, BestBy | None]:
    """The opened data set, and which number tells the best evaluation on it.

    Raises:
        ExperimentError: If it is not what the contract says, if model or metrics do not suit what the data turns out to
            be, or none yields that number, or evaluations are asked for and there is nothing to evaluate on.
    """
    watcher.working("opening the data set")
    with placed_errors(plan.dataset, "dataset"):
        dataset = plan.dataset.component(Dataset)
        train_only = dataset.train_only if plan.training.eval_strategy == "no" else None
        splits = (train_only or dataset.build)(plan.dataset.settings)
    check_splits(plan.dataset, splits)
    check_task(plan.dataset, plan.task, splits.task)
    watcher.data_opened(splits)
    for notice in splits.notices:
        watcher.notice(notice)
    if splits.task.kind not in plan.model.component(Model).kinds:
        message = f"{plan.model.who} does not take the data set's kind of task, {splits.task.kind}"
        raise ExperimentError(Problem(message, "model.use"))
    if not splits.evaluation:
        is_tested, left_out = bool(splits.test_at_end), train_only is not None
        if problems := check_evaluated(plan.metrics, plan.training, is_tested, left_out):
            raise ExperimentError(*problems)
    directions = metric_directions(plan.metrics, splits.task)
    best = best_by(plan.training, directions, list(splits.evaluation)) if splits.evaluation else None
    metrics = enumerate(plan.metrics)
    told = [notice for index, part in metrics for notice in notices_of(part, f"metrics[{index}]", splits.task)]
    for notice in dict.fromkeys(told):
        watcher.notice(notice)
    return splits, best


def build_model(plan: Plan, splits: Splits, watcher: Watcher) -> BuiltModel:
    """The model, its random weights drawn from the generators as they are.

    Raises:
        ExperimentError: If it is not what the contract says, or comes without the tokenizer that the collator needs.
    """
    watcher.working("building the model")
    with placed_errors(plan.model, "model"):
        built = plan.model.component(Model).build(plan.model.settings, splits)
    check_model(plan.model, built)
    if built.tokenizer is None and (problem := missing_tokenizer(plan.model, plan.collator)):
        raise ExperimentError(problem)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def load_model(plan: Plan, folder: Path, task: Task, watcher: Watcher) -> BuiltModel:
    """The model that a training has left in a folder.

    Raises:
        ExperimentError: If the folder holds another, or the component cannot read back what it saved.
    """
    watcher.working("loading the model")
    load = plan.model.component(Model).load
    if load is None:
        message = f"{plan.model.offer.who} does not say how to read back what it saved, so it cannot be predicted with"
        ways = "Give it a `load` (ftrun.contracts.Model, since 1.1), or ask those who make it to"
        hint = f"{ways}, and say this again: what it saved stays in {folder}."
        raise ExperimentError(Problem(message, "model.use", hint))
    with placed_errors(plan.model, "model"):
        built = load(plan.model.settings, folder, task)
    check_model(plan.model, built)
    for notice in built.notices:
        watcher.notice(notice)
    return built


def build_collate(plan: Plan, built: BuiltModel) -> Collate:
    """What makes batches of encoded rows.

    Raises:
        ExperimentError: If the collator builds something else.
    """
    with placed_errors(plan.collator, "collator"):
        collate = plan.collator.component(Collator).build(plan.collator.settings, built.tokenizer)
    if not callable(collate):
        given = type(collate).__name__
        raise plan.collator.fault(f"built a {given}, and must build a function that makes batches of rows")
    return collate


def evaluators_of(
    plan: Plan, task: Task, built: BuiltModel, evaluation: Mapping[str, Rows] | None = None
) -> Sequence[Evaluator]:
    """The metrics, ready to compute from what the model says as it says it.

    Args:
        plan: Whose metrics.
        task: What is learnt.
        built: The model.
        evaluation: The splits that are evaluated; where there is one alone, predictions of as many rows are of it.
    """
    terms = terms_of(plan, task, built, evaluation)
    return [
        terms.evaluator(build_evaluator(part, task, f"metrics[{index}]")) for index, part in enumerate(plan.metrics)
    ]


def terms_of(plan: Plan, task: Task, built: BuiltModel, evaluation: Mapping[str, Rows] | None = None) -> Terms:
    """How metrics and the record have what the model says; arguments as above."""
    (only,) = evaluation.values() if evaluation and len(evaluation) == 1 else (None,)
    return Terms(ClassOrder(built, task, plan.model.who).in_task_order, Decoding(plan.model, built, task), only)


def make_encoding(plan: Plan, splits: Splits, built: BuiltModel, cache: EncodedCache, watcher: Watcher) -> Encoding:
    """How the splits of a run are encoded."""
    provider, processes = plan.model.offer.provider, plan.training.preprocessing_num_workers
    return Encoding(splits, built, provider, cache, watcher.encoding, watcher.notice, processes, plan.model.who)


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
    encoding = make_encoding(plan, splits, built, cache, watcher)
    return Job(
        model=built.model,
        tokenizer=built.tokenizer,
        train=encoding.encode(splits.train_split, splits.train),
        evaluation={name: encoding.encode(name, rows) for name, rows in splits.evaluation.items()},
        collate=build_collate(plan, built),
        evaluators=evaluators_of(plan, splits.task, built, splits.evaluation),
        training=plan.training,
        task=splits.task,
        seed=plan.seed,
        data_seed=plan.seed if plan.training.data_seed is None else plan.training.data_seed,
        run_folder=beginning.folder.path,
        best_by=best,
        resume_from=beginning.checkpoint_folder,
        resume_best=beginning.best_counts,
        class_weights=class_weights(plan.training, splits, built),
        raw={name: RawColumns(rows) for name, rows in splits.evaluation.items()},
    )
