"""A look at data and model before any training: what can be known then is known."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ftrun.contracts import (
    BackendSession,
    BuiltModel,
    ChecksModels,
    Collate,
    Job,
    Model,
    Predictions,
    Rows,
    Splits,
    Task,
)
from ftrun.execution.checks import (
    AS_ENTERED,
    check_loss,
    check_session,
    check_shape,
    checked_batch,
    checked_collate,
    forward_blamed,
    takes_tensors,
    told_of_padding,
)
from ftrun.execution.class_weights import are_classes, class_ids
from ftrun.execution.encoded_labels import KNOWN, check_classes
from ftrun.execution.encoding import BATCH_ROWS, CheckedEncode
from ftrun.execution.facts import Inspection, Lengths, Numbers, SplitFacts
from ftrun.execution.hidden_labels import is_labelled, without_labels
from ftrun.execution.preparation import build_collate, build_model, evaluators_of, open_data, open_session
from ftrun.execution.process import environment_restored, faults_logged, refuse_several_processes
from ftrun.execution.rehearsal import rehearse_loading, rehearse_metrics, rehearse_saving, varied
from ftrun.execution.remarks import without_effect
from ftrun.execution.sameness import FEW_ROWS, try_collator, try_loaded, try_model, try_unlabelled
from ftrun.execution.watcher import Watcher
from ftrun.planning.plan import Plan

MOST_ROWS = 10_000
"""Rows of a split whose lengths are taken; all of a million would take as long as encoding them."""
FIRST_ROWS = 100
"""Rows of a split whose encoded labels are looked at."""


def inspect(plan: Plan, watcher: Watcher) -> Inspection:
    """Open data and model, put a batch of every split through model and metrics, and save the model and load it.

    The batch is made of the longest rows that were looked at: what is too long for a model fails there.

    Raises:
        ExperimentError: If something about the experiment is wrong that the data or the model tells.
        RunError: If something cannot be had, or a part fails in a way that it does not explain.
    """
    refuse_several_processes()
    watcher.working("importing")
    with faults_logged("check", plan.parts.values()), environment_restored(), watcher, open_session(plan) as session:
        check_session(plan.backend, session, AS_ENTERED)
        splits, _ = open_data(plan, watcher)
        for sentence in without_effect(plan.training):
            watcher.notice(sentence)
        session.seed(plan.seed)
        built = build_model(plan, splits, watcher)
        return _look(plan, session, splits, built, watcher)


def _look(plan: Plan, session: BackendSession, splits: Splits, built: BuiltModel, watcher: Watcher) -> Inspection:
    watcher.working("one batch of every split through the model")
    collate = checked_collate(plan.collator, build_collate(plan, built), takes_tensors(session))
    evaluators = evaluators_of(plan, splits.task, built)
    facts: list[SplitFacts] = []
    for (context, split), rows in splits.used.items():
        some = rows.select(range(0, len(rows), -(-len(rows) // MOST_ROWS)))
        lengths = _lengths(some, built)
        labelled = context != "test" or is_labelled(rows, splits.task)
        encoding = built if labelled else without_labels(built, splits.task)
        encoding = replace(encoding, encode=CheckedEncode.of(encoding, split, splits.task, plan.model.who))
        batch = _longest(some, lengths, plan.training.per_device_eval_batch_size)
        predictions = _forward(plan, batch, encoding, collate, splits.task, labelled)
        check_shape(plan.model, predictions, len(next(iter(batch.values()))), splits.task)
        if labelled:
            first = _encoded(encoding, rows.select(range(min(len(rows), FIRST_ROWS)))[:])
            check_classes(plan.model, {split: first}, predictions, splits.task)
            if not facts:
                _try_alike(plan, first, built, collate, splits.task, watcher)
        loss = _checked_loss(plan, split, predictions) if labelled else None
        if labelled:
            more = partial(_varied, plan, some, encoding, collate, splits.task)
            rehearse_metrics(evaluators, split, predictions, more, watcher, is_first=not facts)
        told = _summary(lengths, built.max_length)
        labels, counted = _labels(rows, splits.task) if labelled else (None, len(rows))
        facts.append(SplitFacts(split, context, len(rows), labels, told, loss, counted))
    _try_kept(plan, session, splits, built, collate, watcher)
    parameters = list(built.model.parameters())
    return Inspection(
        splits=facts,
        max_length=built.max_length,
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        is_cut_by_setting="max_length" in type(plan.model.settings).model_fields,
    )


def _try_kept(
    plan: Plan, session: BackendSession, splits: Splits, built: BuiltModel, collate: Collate, watcher: Watcher
) -> None:
    """Save the model and load it, and ask the backend whether it can what the settings ask of it."""
    rehearse_saving(plan, built.model, built.tokenizer)
    few = splits.train.select(range(min(len(splits.train), FEW_ROWS)))
    encoded = _encoded(built, few[:])
    with tempfile.TemporaryDirectory(prefix="ftrun-check-") as folder:
        job = Job(
            model=built.model,
            tokenizer=built.tokenizer,
            train=[],
            evaluation={},
            collate=collate,
            evaluators=(),
            training=plan.training,
            task=splits.task,
            seed=plan.seed,
            data_seed=plan.seed,
            run_folder=Path(folder),
        )
        if (loaded := rehearse_loading(plan, session, job, few)) is not None:
            try_loaded(plan.model, session.predict(job, encoded).logits, loaded, watcher)
    if isinstance(session, ChecksModels):
        session.check_model(built.model, encoded[0])


def _labels(rows: Rows, task: Task) -> tuple[Mapping[str, int] | Numbers | None, int]:
    """How labels are spread, and what their shares are of."""
    labels = list(rows[task.label_column][:])
    if task.kind == "regression":
        return Numbers(min(labels), math.fsum(labels) / len(labels), max(labels)), len(labels)
    if task.class_names is None or not (task.kind in KNOWN or are_classes(labels, task.num_labels)):
        return None, len(labels)
    if task.kind == "multi_label":
        counts = Counter(index for label in labels for index, there in enumerate(label) if there)
    else:
        counts = Counter(class_ids(labels))
    shared = len(labels) if task.kind == "multi_label" else counts.total()
    return {name: counts[index] for index, name in enumerate(task.class_names)}, shared


def _lengths(rows: Rows, built: BuiltModel) -> list[int]:
    """Tokens of each row before any is cut; empty where the model does not tell."""
    if built.lengths is None:
        return []
    lengths: list[int] = []
    for start in range(0, len(rows), BATCH_ROWS):
        lengths += built.lengths(rows[start : start + BATCH_ROWS])
    return lengths


def _summary(lengths: Sequence[int], max_length: int | None) -> Lengths | None:
    if not lengths:
        return None
    ordered = sorted(lengths)
    cut = None if max_length is None else sum(length > max_length for length in lengths)
    return Lengths(
        rows=len(ordered),
        median=ordered[len(ordered) // 2],
        most=ordered[math.ceil(0.95 * len(ordered)) - 1],
        longest=ordered[-1],
        cut=cut,
    )


def _longest(rows: Rows, lengths: Sequence[int], count: int) -> Mapping[str, Sequence[Any]]:
    """The longest rows, or where lengths are not known the first ones, column by column."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row]) if lengths else range(len(rows))
    batch: Mapping[str, Sequence[Any]] = rows.select(order[:count])[:]
    return batch


def _encoded(built: BuiltModel, batch: Mapping[str, Sequence[Any]]) -> Sequence[Mapping[str, Any]]:
    columns = built.encode(batch)
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _forward(
    plan: Plan, batch: Mapping[str, Sequence[Any]], built: BuiltModel, collate: Collate, task: Task, labelled: bool
) -> Predictions:
    """What the untrained model says of a batch of raw rows."""
    return replace(_said(plan, built, collate, task, labelled, _encoded(built, batch)), rows=batch)


def _said(
    plan: Plan, built: BuiltModel, collate: Collate, task: Task, labelled: bool, encoded: Sequence[Mapping[str, Any]]
) -> Predictions:
    inputs = checked_batch(plan, collate, encoded, task) if labelled else collate(encoded)
    with forward_blamed(plan, built.model, inputs), told_of_padding(plan, built.model, encoded, inputs):
        output = built.model(**inputs)
        logits = output.logits.detach().cpu().float().numpy()
        loss = None if output.loss is None else output.loss.detach()
    if "labels" not in inputs:
        return Predictions(logits, None, None, task.kind)
    check_loss(plan.model, loss)
    told = None if loss is None else float(loss)
    return Predictions(logits, inputs["labels"].detach().cpu().numpy(), told, task.kind)


def _said_as_is(
    plan: Plan, built: BuiltModel, collate: Collate, task: Task, encoded: Sequence[Mapping[str, Any]]
) -> Predictions:
    """With labels or without, as the rows are."""
    return _said(plan, built, collate, task, "labels" in encoded[0], encoded)


def _try_alike(
    plan: Plan, rows: Sequence[Mapping[str, Any]], built: BuiltModel, collate: Collate, task: Task, watcher: Watcher
) -> None:
    """Whether the same encoded rows come out alike of collator and model."""
    if not try_collator(plan.collator, collate, rows, watcher):
        return
    was_training = built.model.training
    built.model.eval()
    try:
        say = partial(_said, plan, built, collate, task, True)
        try_model(plan.model, say, rows, plan.training, task.kind, watcher)
        if plan.model.component(Model).load is not None:
            try_unlabelled(plan.model, partial(_said_as_is, plan, built, collate, task), rows, watcher)
    finally:
        built.model.train(was_training)


def _varied(plan: Plan, rows: Rows, built: BuiltModel, collate: Collate, task: Task) -> Predictions:
    """What the untrained model says of rows of as many classes as there are."""
    chosen = varied(list(rows[task.label_column][:]), task.num_labels)
    return _forward(plan, rows.select(chosen)[:], built, collate, task, labelled=True)


def _checked_loss(plan: Plan, split: str, predictions: Predictions) -> float:
    loss = predictions.loss
    if loss is None or not math.isfinite(loss):
        raise plan.model.fault(f"gives a loss of {loss} for a batch of {split}, before any training")
    return loss
