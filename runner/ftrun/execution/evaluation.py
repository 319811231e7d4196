"""A run's metrics on further rows with labels, and their points on its record."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftrun.contracts import Predictions, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.class_weights import recorded_weights
from ftrun.execution.final_test import prefix_of
from ftrun.execution.finding import tracking_of
from ftrun.execution.hidden_labels import unlabelled_rows
from ftrun.execution.own_forms import OwnRows
from ftrun.execution.prediction import (
    Predictor,
    inputs_of,
    predicting,
    source_columns,
    split_named,
    table_of_split,
)
from ftrun.execution.remarks import not_finite, without_numbers
from ftrun.execution.row_sources import RowSource, name_of
from ftrun.execution.row_tables import RowTable
from ftrun.execution.trained import Trained
from ftrun.execution.watcher import Watcher
from ftrun.execution.written_labels import labels_of, labels_of_split
from ftrun.planning.measures import build_evaluator
from ftrun.planning.plan import Plan
from ftrun.rowfiles import listed
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_evaluations, read_history
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.records import TagsRecord
from ftrun.tracking.feeder import deliver_later
from ftrun.tracking.fetching import is_fetched

MODEL_STEP = "ftrun.model_step"
"""The tag that says which step the model is of."""
CLOSE, CLOSE_IN_HALF = 1e-3, 5e-3
"""Share of a number by which it may be another than the run's; in half a precision a row may fall otherwise."""


def check_name(name: str) -> None:
    """Whether the record, and MLflow, take a name for some rows.

    Raises:
        ExperimentError: If not.
    """
    if not re.fullmatch(r"[\w][\w .:-]*", name):
        hint = "Letters, digits, _, ., -, : and spaces; such as --name reviews."
        raise ExperimentError(Problem(f"{name!r} is no name for the record", "--name", hint))


def refuse_taken(run: RunFolder, name: str) -> None:
    """Refuse a name for rows by which a run's record has a number already: `eval/f1/accuracy` beside `eval/f1`.

    Raises:
        ExperimentError: If it has.
    """
    keys = {point.key for points in read_evaluations(run).values() for point in points}
    if f"eval/{name}" in keys:
        message = f'the record of {run.name} has a metric "{name}" already, and can have no rows of that name'
        raise ExperimentError(Problem(message, "--name", "Give these rows another name, such as --name reviews."))


def measure(trained: Trained, source: RowSource, watcher: Watcher, name: str | None = None) -> dict[str, float]:
    """The metrics on rows with labels, which go on the run's record.

    Args:
        trained: The model.
        source: The rows.
        watcher: Sees it go by, and is told what a person should know.
        name: What the record calls the rows; that of the file or the split if absent. Without any they go on none.

    Raises:
        ExperimentError: If the rows or the model are not what they should be.
        RunError: If a part fails, or the record cannot be written.
    """
    file = source.file_of(trained)
    called = name or (name_of(file) if file else source.name)
    if called is not None:
        check_name(called)
    if called is not None and trained.run is not None:
        refuse_taken(trained.run, called)
    split = str(source.data) if source.is_split(trained) else None
    read = source.read(trained)
    with predicting(trained, watcher) as predictor:
        if split is not None:
            numbers = evaluate_split(predictor, split)
        elif own := source.own(predictor):
            numbers = evaluate_own(predictor, own, source.text_columns)
        else:
            numbers = evaluate_rows(predictor, *source.table(predictor, read))
        if split is not None and (told := unlike_the_run(predictor, split, numbers)):
            watcher.notice(told)
    split = split if called == split else None
    for sentence in record_evaluation(trained, called, numbers, split) if called else ():
        watcher.notice(sentence)
    return numbers


def evaluate_split(predictor: Predictor, name: str) -> dict[str, float]:
    """The metrics on a split of the run's data set.

    Raises:
        ExperimentError: If there is no such split, it has no labels, or some that the model does not know.
    """
    splits, task = predictor.splits, predictor.task
    rows, column = split_named(splits, name), splits.task.label_column
    if column not in rows.column_names:
        message = f'{name} has no labels in "{column}", or they are kept secret, so there is nothing to measure'
        raise ExperimentError(Problem(message, "--data"))
    if unlabelled_rows(rows, splits.task):
        raise ExperimentError(
            Problem(f"the labels of {name} are kept secret, so there is nothing to measure", "--data")
        )
    table = table_of_split(splits, name)
    return _measured(predictor, table, labels_of_split(table, rows[column][:], splits.task, task), ())


def evaluate_own(predictor: Predictor, own: OwnRows, text_columns: Sequence[str] = ()) -> dict[str, float]:
    """The metrics on the rows of a file that the run's data set has read.

    Raises:
        ExperimentError: If a row has no text or no label.
    """
    task = predictor.task
    column, lacking = task.label_column, unlabelled_rows(own.rows, task)
    if len(lacking) == len(own.rows):
        hint = "Without labels: ftrun predict."
        raise own.table.wrong(f'has no labels in "{column}", so there is nothing to measure', hint)
    if lacking:
        raise own.table.wrong(f'has no label in column "{column}": row {lacking[0] + 1}', "Leave such rows out.")
    return _measured(predictor, own.table, list(own.rows[column][:]), text_columns)


def evaluate_rows(predictor: Predictor, table: RowTable, text_columns: Sequence[str] = ()) -> dict[str, float]:
    """The metrics on the rows of a file.

    Raises:
        ExperimentError: If a row has no text, or a label that is none of the task's.
    """
    return _measured(predictor, table, labels_of(table, predictor.task, predictor.trained.plan), text_columns)


def _measured(
    predictor: Predictor, table: RowTable, labels: Sequence[Any], text_columns: Sequence[str]
) -> dict[str, float]:
    task, plan = predictor.task, predictor.trained.plan
    raw = inputs_of(table, task, source_columns(table, task, text_columns))
    weights = recorded_weights(plan.training, predictor.tags)
    predictions = predictor.said(table.name, len(table), {**raw, task.label_column: labels}, task, weights)
    if weights is None and plan.training.class_weights is not None:
        sentence = "the loss is left out: the run has not recorded the weights of its classes, by which it is weighed"
        predictor.watcher.notice(sentence)
        predictions = replace(predictions, loss=None)
    numbers = numbers_of(plan, task, predictions)
    silent = without_numbers(table.name, predictions)
    for sentence in [f"{silent}: the metrics have no value"] if silent else not_finite(numbers):
        predictor.watcher.notice(sentence)
    return numbers


def unlike_the_run(predictor: Predictor, split: str, numbers: Mapping[str, float]) -> str | None:
    """That numbers of a split are not those that the run has recorded of it at its model's step, in a sentence; None
    where they are, or there are none to compare with: of another device or precision numbers may differ.

    Args:
        predictor: Of the run's model.
        split: The split.
        numbers: By metric.
    """
    trained = predictor.trained
    run = trained.run
    if run is None or is_fetched(run) or trained.folder != run.model:
        return None
    here = predictor.session.environment()
    if any(predictor.tags.get(f"ftrun.{name}") != here.get(name) for name in ("device", "precision")):
        return None
    recorded = _recorded(run, split)
    share = CLOSE if here["precision"] == "float32" else CLOSE_IN_HALF
    told = [
        f"{key} was {before:.5g}, and it is {numbers[name]:.5g} now"
        for name, (key, before) in recorded.items()
        if name in numbers and not _is_close(numbers[name], before, share)
    ]
    return f"in the run {'; '.join(told)}: model, data or code are not what they were" if told else None


def numbers_of(plan: Plan, task: Task, predictions: Predictions) -> dict[str, float]:
    """The loss, where there is one, and the metrics by name."""
    numbers = {} if predictions.loss is None else {"loss": predictions.loss}
    for index, part in enumerate(plan.metrics):
        told = build_evaluator(part, task, f"metrics[{index}]")(predictions)
        numbers |= {name: float(value) for name, value in told.items()}
    return numbers


def record_evaluation(
    trained: Trained, name: str, numbers: Mapping[str, float], split: str | None = None
) -> Sequence[str]:
    """Put numbers on the record of a finished run, as `eval/NAME/METRIC` at its model's step, and tell MLflow; what
    is on it already stays.

    Args:
        trained: The run's model.
        name: What to call the rows.
        numbers: By metric.
        split: The split that they are, where it was given no other name: what a run has recorded of its own test is
            compared with.

    Returns:
        What a person should know of it, in sentences.

    Raises:
        RunError: If another process has the run, or the journal cannot be written.
    """
    run = trained.run
    if run and is_fetched(run):
        return ["it is on no record: the run's own folder is not here"]
    if run is None or trained.folder != run.model:
        return ["it is on no record: that is for a run's own model"]
    history = read_history(run)
    if history.status != "FINISHED":
        return ["it is on no record: the run is not finished"]
    step = _model_step(run) or history.last_step
    tested = [dataset.split for dataset in history.datasets if dataset.context == "test"]
    prefix = prefix_of(split, tested) if split in tested else f"eval/{name}/"
    with run.locked():
        journal = Journal(run.journal)
        journal.metrics(step, {f"{prefix}{key}": value for key, value in numbers.items()})
        differing = [key for key, _ in journal.differing]
        journal.close()
    tracking = tracking_of(run)
    if tracking.get("enabled", True):
        deliver_later(run, tracking.get("uri"))
    if not differing:
        return []
    return [f"{listed(differing)} came out otherwise than the same name did before, whose numbers stay on the record"]


def _recorded(run: RunFolder, split: str) -> dict[str, tuple[str, float]]:
    """By metric what a run has recorded of one of its evaluation splits at its model's step, and by which key."""
    history = read_history(run)
    evaluated = [dataset.split for dataset in history.datasets if dataset.context == "evaluation"]
    if split not in evaluated:
        return {}
    prefix = "eval/" if len(evaluated) == 1 else f"eval/{split}/"
    points = read_evaluations(run).get(_model_step(run) or history.last_step, ())
    return {
        point.key.removeprefix(prefix): (point.key, point.value) for point in points if point.key.startswith(prefix)
    }


def _is_close(number: float, before: float, share: float) -> bool:
    return math.isclose(number, before, rel_tol=share, abs_tol=1e-6) or (math.isnan(number) and math.isnan(before))


def _model_step(run: RunFolder) -> int | None:
    """The step that the model is of, as its run has it."""
    told = None
    for entry, _ in read_journal(run.journal):
        if isinstance(entry.record, TagsRecord):
            told = entry.record.tags.get(MODEL_STEP, told)
    return int(told) if told is not None else None
