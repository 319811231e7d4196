"""What would fail at the first evaluation or checkpoint, done once before anything is trained."""

from __future__ import annotations

import errno
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ftrun.contracts import (
    BackendSession,
    Encode,
    EncodedRows,
    Evaluator,
    Job,
    Model,
    OwnCheckpoints,
    Predictions,
    Rows,
    Splits,
)
from ftrun.errors import ExperimentError, FtrunError, RunError
from ftrun.execution.checks import (
    check_model,
    check_predictions,
    checked_batch,
    checked_collate,
    forward_blamed,
    takes_tensors,
    told_of_padding,
)
from ftrun.execution.decoding import RawColumns
from ftrun.execution.encoded_labels import check_classes
from ftrun.execution.sameness import (
    FEW_ROWS,
    check_order,
    try_collator,
    try_columns,
    try_loaded,
    try_model,
    try_unlabelled,
)
from ftrun.execution.watcher import Watcher
from ftrun.planning.blame import line_in
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.conformance import said
from ftrun.planning.measures import MetricError
from ftrun.planning.plan import Plan

log = logging.getLogger(__name__)

MORE_ROWS = 64
"""Rows that a metric is tried on again, where it has raised on a batch; more where there are more classes."""
ROWS_SEEN = 10_000
"""Rows of a split whose labels are looked at for these."""
LEAST = 1e-6
"""What two numbers of the same rows may differ by, as a share."""
OF_THE_ROWS = (ValueError, ArithmeticError, Warning)
"""What a metric may raise for the rows that it is given, such as rows of one class; all else is a fault of its code."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
LIBRARIES = frozenset({"transformers", "peft"})
"""Whose own ways to save a model are not rehearsed: they are known to work, and models of theirs are large."""


def rehearse(plan: Plan, session: BackendSession, job: Job, splits: Splits, encode: Encode, watcher: Watcher) -> None:
    """Put one batch through collator, model and metrics, and save the model, before anything is trained.

    Args:
        plan: What is to be run.
        session: The backend's.
        job: What it gets.
        splits: The data set.
        encode: The model's.
        watcher: Is told what stops nothing.

    Raises:
        ExperimentError: If one of them does not do what the contract says.
        RunError: If the disk does not take the model.
    """
    split, rows = next(iter(job.evaluation.items()), ("the training split", job.train))
    raw = splits.evaluation.get(split, splits.train)
    some = range(min(len(rows), job.training.per_device_eval_batch_size))
    shown = [rows[row] for row in some]
    batch = checked_batch(plan, job.collate, shown, job.task, takes_tensors(session))

    def predicted(places: Sequence[int]) -> Predictions:
        predictions = session.predict(job, [rows[row] for row in places])
        check_predictions(plan, predictions, len(places), job.task)
        return replace(predictions, rows=RawColumns(raw, places))

    with forward_blamed(plan, job.model, batch, job.task), told_of_padding(plan, job.model, shown, batch):
        predictions = predicted(some)
    check_classes(plan.model, {"the training split": job.train, **job.evaluation}, predictions, job.task)
    places = varied([rows[row]["labels"] for row in range(min(len(rows), MORE_ROWS))], 0)
    few = [rows[row] for row in places]
    is_pure = try_collator(plan.collator, checked_collate(plan.collator, job.collate), few, watcher)
    if is_pure:
        own = replace(job, collate=checked_collate(plan.collator, job.collate), class_weights=None)
        say = partial(session.predict, own)
        check_order(plan.model, plan.collator, say, few)
        try_model(plan.model, say, few, job.training, job.task.kind, watcher)
        if plan.model.component(Model).load is not None and takes_tensors(session):
            try_unlabelled(plan.model, say, few, watcher)

    def more() -> Predictions:
        return predicted(_varied_places(rows, job.task.num_labels))

    rehearse_metrics(job.evaluators, split, predictions, more, watcher)
    rehearse_saving(plan, job.model, job.tokenizer, job.run_folder)
    few_raw = raw.select(places[:FEW_ROWS])
    try_columns(plan.model, encode, few_raw[:], job.task.text_columns, watcher)
    if (loaded := rehearse_loading(plan, session, job, few_raw)) is not None and is_pure:
        try_loaded(plan.model, session.predict(job, few[:FEW_ROWS]).logits, loaded, watcher)


def rehearse_metrics(
    evaluators: Sequence[Evaluator],
    split: str,
    predictions: Predictions,
    more: Callable[[], Predictions],
    watcher: Watcher,
    is_first: bool = True,
) -> None:
    """Compute every metric of a few rows; one that raises is tried on more rows, of as many classes as there are.

    One that raises on these, too, is refused, unless that may be for the rows, or for the model, which is not trained
    yet: then it is told.

    Args:
        evaluators: The metrics, ready to compute.
        split: What the rows are of.
        predictions: Of the few rows.
        more: Predicts more rows.
        watcher: Is told.
        is_first: Whether they are asked for the first time, and so tried for a memory, too.

    Raises:
        ExperimentError: If a metric raises what is no matter of the rows, or does not give what it promised.
    """
    fuller: Predictions | None = None
    for evaluator in evaluators:
        if _raised(evaluator, predictions) is None:
            if is_first:
                _tell_memory(evaluator, predictions, watcher)
            continue
        fuller = fuller or more()
        if (error := _raised(evaluator, fuller)) is None:
            continue
        (problem,) = error.problems
        told = f"{problem.message}, on {len(fuller.logits)} rows of {split} before any training"
        if not isinstance(error.__cause__, OF_THE_ROWS):
            raise ExperimentError(replace(problem, message=told)) from error.__cause__
        watcher.notice(f"{told}: should it do so in an evaluation, the run ends there")


def _tell_memory(evaluator: Evaluator, predictions: Predictions, watcher: Watcher) -> None:
    """Say where a metric gives other numbers for the same rows, once it was asked of some of them."""
    half = slice(len(predictions.logits) // 2 + 1)
    some = replace(
        predictions,
        logits=predictions.logits[half],
        labels=predictions.labels[half],
        rows=_cut(predictions.rows, half),
        decoded=_cut(predictions.decoded, half),
    )
    first = evaluator(predictions)
    if _raised(evaluator, some) is not None:
        return
    for name, number in evaluator(predictions).items():
        if abs(float(number) - float(first[name])) > LEAST * max(1.0, abs(float(number))):  # never of NaN
            told = f"the metric {name} is {first[name]:.6g} for some rows and, asked of others meanwhile, {number:.6g}"
            watcher.notice(f"{told}: it must keep nothing, or a resumed run has other numbers")


def _cut(columns: Mapping[str, Sequence[Any]] | None, some: slice) -> Mapping[str, Sequence[Any]] | None:
    return None if columns is None else {name: columns[name][some] for name in columns}


def _raised(evaluator: Evaluator, predictions: Predictions) -> MetricError | None:
    try:
        evaluator(predictions)
    except MetricError as error:
        log.info("a metric has no value on the first rows", exc_info=True)
        return error
    return None


def _varied_places(rows: EncodedRows, classes: int) -> list[int]:
    seen = range(0, len(rows), -(-len(rows) // ROWS_SEEN))
    return [seen[place] for place in varied([rows[row]["labels"] for row in seen], classes)]


def varied(labels: Sequence[Any], classes: int) -> list[int]:
    """The places of some rows with as many labels among them as can be had, each label as often as it can be.

    Args:
        labels: The labels of the rows to choose from.
        classes: How many there may be.
    """
    places: dict[str, list[int]] = {}
    for place, label in enumerate(labels):
        places.setdefault(repr(label), []).append(place)
    turns = max(map(len, places.values()), default=0)
    in_turn = [found[turn] for turn in range(turns) for found in places.values() if turn < len(found)]
    return in_turn[: max(MORE_ROWS, classes)]


def rehearse_saving(plan: Plan, model: Any, tokenizer: Any, where: Path | None = None) -> None:
    """Save the model as a checkpoint and the end of the run do, where its plugin has a way of its own.

    Args:
        plan: The plan that it is the model of.
        model: The model.
        tokenizer: Its tokenizer, or None.
        where: The folder that a folder for it is made in, and removed; one for temporary files by default.

    Raises:
        ExperimentError: If saving raises, or writes nothing.
        RunError: If there is no place for it.
    """
    if plan.model.offer.distribution == BUILT_IN:
        return
    ways = {"save_pretrained": model.save_pretrained}
    if isinstance(model, OwnCheckpoints):
        ways["save_checkpoint"] = model.save_checkpoint
    if tokenizer is not None:
        ways["its tokenizer's save_pretrained"] = tokenizer.save_pretrained
    for name, save in ways.items():
        if not _is_of_a_library(save):
            _rehearse_save(plan, name, save, where)


def rehearse_loading(plan: Plan, session: BackendSession, job: Job, raw: Rows) -> Any:
    """What a plugin's model says of rows once it is saved as at the end of a run, and loaded again.

    A model that a library saves is left out, which may be large; so is a backend that is not made of `ftrun.training`:
    what it does with a model that it did not train is its own.

    Args:
        plan: The plan that it is the model of.
        session: The backend's.
        job: With the model.
        raw: Few rows, as the data set has them.

    Returns:
        Its numbers; None where nobody loads it.

    Raises:
        ExperimentError: If it cannot be loaded, or does not take the rows then.
    """
    part, load = plan.model, plan.model.component(Model).load
    is_ours = part.offer.distribution == BUILT_IN
    if load is None or is_ours or not takes_tensors(session) or _is_of_a_library(job.model.save_pretrained):
        return None
    training = job.training.model_copy(update={"torch_compile": False})
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=job.run_folder) as name:
        folder = Path(name)
        job.model.save_pretrained(folder)
        if job.tokenizer is not None:
            job.tokenizer.save_pretrained(folder)
        try:
            built = load(part.settings, folder, job.task)
            check_model(part, built)
            columns = built.encode(raw[:])
            rows = [{name: cells[row] for name, cells in columns.items()} for row in range(len(raw))]
            loaded = replace(job, model=built.model, tokenizer=built.tokenizer, training=training)
            return session.predict(loaded, rows).logits
        except FtrunError as fault:
            told = "; ".join(problem.message for problem in fault.problems)
            raise part.fault(f"cannot be loaded from what it has saved: {told}", NOT_WHOLE) from fault
        except Exception as fault:
            told = f"cannot be loaded from what it has saved: raised {said(fault)}{line_in(fault, part)}"
            raise part.fault(told, NOT_WHOLE) from fault


NOT_WHOLE = "save_pretrained must write all that `load` needs, else nobody predicts with the model of a run."


def _is_of_a_library(method: Any) -> bool:
    return str(getattr(method, "__module__", "")).partition(".")[0] in LIBRARIES


def _rehearse_save(plan: Plan, name: str, save: Callable[[Path], Any], where: Path | None) -> None:
    part = plan.model
    try:
        with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=where) as folder:
            try:
                save(Path(folder))
            except FtrunError:
                raise
            except Exception as fault:
                if isinstance(fault, OSError) and fault.errno in NO_SPACE:
                    raise
                if isinstance(fault, FileExistsError) and plan.backend.offer.distribution != BUILT_IN:
                    return  # their backend may leave it to their model to make the folder
                log.info("the model could not be saved", exc_info=True)
                told = f"cannot be saved: {name} raised {said(fault)}{line_in(fault, part)}"
                raise part.fault(told, "A checkpoint is made of what it writes into a folder that is there.") from fault
            if not any(Path(folder).iterdir()):
                raise part.fault(f"cannot be saved: {name} wrote nothing into the folder that it was given")
    except OSError as error:
        raise RunError(f"there is no place to save the model in: {error.strerror or error}") from error
