"""A look at data and model before any training: what can be known then is known."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ftrun.contracts import (
    BackendSession,
    BuiltModel,
    ChecksModels,
    Job,
    Model,
    Predictions,
    Rows,
    Splits,
    Task,
)
from ftrun.execution.checks import (
    AS_ENTERED,
    check_predictions,
    check_session,
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


@dataclass(frozen=True)
class _Trial:
    """What rows are put through before anything is trained, as the backend does in an evaluation."""

    plan: Plan
    session: BackendSession
    job: Job

    def said(self, encoded: Sequence[Mapping[str, Any]], labelled: bool = True) -> Predictions:
        """What the untrained model says of encoded rows.

        Raises:
            ExperimentError: If collator or model does not do what the contract says.
        """
        plan, job = self.plan, self.job
        inputs = checked_batch(plan, job.collate, encoded, job.task) if labelled else job.collate(encoded)
        with forward_blamed(plan, job.model, inputs, job.task), told_of_padding(plan, job.model, encoded, inputs):
            predictions = self.session.predict(job, encoded)
        check_predictions(plan, predictions, len(encoded), job.task, labelled)
        return predictions

    def said_as_is(self, encoded: Sequence[Mapping[str, Any]]) -> Predictions:
        """The same of rows with labels or without."""
        return self.said(encoded, "labels" in encoded[0])

    def said_of_raw(self, batch: Mapping[str, Sequence[Any]], built: BuiltModel, labelled: bool = True) -> Predictions:
        """The same of rows that are still to be encoded."""
        return replace(self.said(_encoded(built, batch), labelled), rows=batch)

    def varied(self, rows: Rows, built: BuiltModel) -> Predictions:
        """The same of raw rows of as many classes as there are."""
        chosen = varied(list(rows[self.job.task.label_column][:]), self.job.task.num_labels)
        return self.said_of_raw(rows.select(chosen)[:], built)

    def compare(self, rows: Sequence[Mapping[str, Any]], watcher: Watcher) -> None:
        """Whether the same encoded rows come out alike of collator and model."""
        plan, kind = self.plan, self.job.task.kind
        if not try_collator(plan.collator, self.job.collate, rows, watcher):
            return
        check_order(plan.model, plan.collator, self.said, rows)
        try_model(plan.model, self.said, rows, plan.training, kind, watcher)
        if plan.model.component(Model).load is not None:
            try_unlabelled(plan.model, self.said_as_is, rows, watcher)

    def keep(self, built: BuiltModel, rows: Rows, watcher: Watcher) -> None:
        """Save the model and load it, and ask the backend whether it can what the settings ask of it."""
        plan, job = self.plan, self.job
        rehearse_saving(plan, job.model, job.tokenizer)
        few = rows.select(range(min(len(rows), FEW_ROWS)))
        encoded = _encoded(built, few[:])
        try_columns(plan.model, built.encode, few[:], job.task.text_columns, watcher)
        if (loaded := rehearse_loading(plan, self.session, job, few)) is not None:
            try_loaded(plan.model, self.session.predict(job, encoded).logits, loaded, watcher)
        if isinstance(self.session, ChecksModels):
            self.session.check_model(job.model, encoded[0])


def _trial_of(plan: Plan, session: BackendSession, built: BuiltModel, task: Task) -> _Trial:
    job = Job(
        model=built.model,
        tokenizer=built.tokenizer,
        train=[],
        evaluation={},
        collate=checked_collate(plan.collator, build_collate(plan, built), takes_tensors(session)),
        evaluators=(),
        training=plan.training.model_copy(update={"torch_compile": False}),
        task=task,
        seed=plan.seed,
        data_seed=plan.seed,
        run_folder=Path(tempfile.gettempdir()),
    )
    return _Trial(plan, session, job)


def _look(plan: Plan, session: BackendSession, splits: Splits, built: BuiltModel, watcher: Watcher) -> Inspection:
    watcher.working("one batch of every split through the model")
    trial = _trial_of(plan, session, built, splits.task)
    evaluators = evaluators_of(plan, splits.task, built)
    facts: list[SplitFacts] = []
    for (context, split), rows in splits.used.items():
        some = rows.select(range(0, len(rows), -(-len(rows) // MOST_ROWS)))
        lengths = _lengths(some, built)
        labelled = context != "test" or is_labelled(rows, splits.task)
        encoding = built if labelled else without_labels(built, splits.task)
        encoding = replace(encoding, encode=CheckedEncode.of(encoding, split, splits.task, plan.model.who))
        batch = _longest(some, lengths, plan.training.per_device_eval_batch_size)
        predictions = trial.said_of_raw(batch, encoding, labelled)
        if labelled:
            first = _encoded(encoding, rows.select(range(min(len(rows), FIRST_ROWS)))[:])
            check_classes(plan.model, {split: first}, predictions, splits.task)
            if not facts:
                trial.compare(first, watcher)
        loss = _checked_loss(plan, split, predictions) if labelled else None
        if labelled:
            more = partial(trial.varied, some, encoding)
            rehearse_metrics(evaluators, split, predictions, more, watcher, is_first=not facts)
        told = _summary(lengths, built.max_length)
        labels, counted = _labels(rows, splits.task) if labelled else (None, len(rows))
        facts.append(SplitFacts(split, context, len(rows), labels, told, loss, counted))
    trial.keep(built, splits.train, watcher)
    parameters = list(built.model.parameters())
    return Inspection(
        splits=facts,
        max_length=built.max_length,
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        is_cut_by_setting="max_length" in type(plan.model.settings).model_fields,
    )


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


def _checked_loss(plan: Plan, split: str, predictions: Predictions) -> float:
    loss = predictions.loss
    if loss is None or not math.isfinite(loss):
        raise plan.model.fault(f"gives a loss of {loss} for a batch of {split}, before any training")
    return loss
