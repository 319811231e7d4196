"""Which rows of an opened data set are used, and what a person should know of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import Dataset, DatasetDict
from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins.datasets import Limits
from ftrun_plugins.datasets.holding import arrow_of
from ftrun_plugins.datasets.labels import Labelled
from ftrun_plugins.datasets.repositories import Opened
from ftrun_plugins.datasets.slices import as_slice

MOST_SHOWN = 20
"""Classes that a sentence names."""


def splits_named(
    opened: Opened, train: str, evaluation: Sequence[str], test: Sequence[str] = ()
) -> tuple[tuple[str, Dataset], dict[str, Dataset], dict[str, Dataset]]:
    """The split to train on with its name, those to evaluate on, and those for a test, by their names. A part of a
    split, such as `train[:10%]`, has a name without brackets.

    Raises:
        ExperimentError: If one is not there, or has no rows.
    """
    known = ", ".join(opened.splits)
    named: dict[str, tuple[str, Dataset]] = {}
    problems = []
    for split in dict.fromkeys((train, *evaluation, *test)):
        part = as_slice(split)
        whole = part.split if part else split
        if whole not in opened.splits:
            problems.append(Problem(f'the data set has no split "{whole}"', "dataset", f"It has: {known}."))
            continue
        rows = opened.splits[whole]
        places = part.of(len(rows)) if part else range(len(rows))
        if part and not places:
            problems.append(Problem(f'"{split}" has no rows: {whole} has {len(rows):,}', "dataset"))
            continue
        named[split] = (part.name, rows.select(places)) if part else (split, rows)
    if problems:
        raise ExperimentError(*problems)
    return named[train], dict(named[split] for split in evaluation), dict(named[split] for split in test)


def with_splits(opened: Opened, train: str, evaluation: Sequence[str], test: Sequence[str]) -> Opened:
    """An opened data set with no other splits than those that are named, or of which parts are."""
    parts = {split: as_slice(split) for split in (train, *evaluation, *test)}
    named = {part.split if part else split for split, part in parts.items()}
    return replace(
        opened, splits=DatasetDict({split: opened.splits[split] for split in opened.splits if split in named})
    )


def selected(labelled: Labelled, limits: Limits, train: str) -> tuple[Labelled, list[str]]:
    """The rows that are used, and what a person should know of them.

    Args:
        labelled: All rows.
        limits: How many to use.
        train: What to call the training split.
    """
    task = labelled.task
    used = _some(labelled.train, limits.max_train_samples, limits.shuffle_seed)
    evaluation = {
        split: _some(rows, limits.max_eval_samples, limits.shuffle_seed) for split, rows in labelled.evaluation.items()
    }
    notices = [*labelled.notices, *_absent_classes(task, labelled.train, used, train, "max_train_samples")]
    notices += _torn_texts(task, used, train)
    for split, rows in evaluation.items():
        notices += _torn_texts(task, rows, split)
        notices += _absent_classes(task, labelled.evaluation[split], rows, split, "max_eval_samples")
        notices += _shared_rows(task, used, rows, train, split)
    for split, rows in labelled.test.items():
        if task.label_column in rows.column_names:
            notices += _absent_classes(task, rows, rows, split, "")
        for other, others in {train: used, **evaluation}.items():
            notices += _shared_rows(task, others, rows, other, split)
    return Labelled(task, used, evaluation, test=labelled.test), notices


def _some(rows: Dataset, limit: int | None, shuffle_seed: int | None) -> Dataset:
    """The first rows, as transformers' scripts take them, or with a seed a random choice in the file's order."""
    if limit is None or limit >= len(rows):
        return rows
    if shuffle_seed is None:
        return rows.select(range(limit))
    return rows.select(np.sort(np.random.default_rng(shuffle_seed).permutation(len(rows))[:limit]))


def _absent_classes(task: Task, rows: Dataset, used: Dataset, split: str, limit: str) -> list[str]:
    """A sentence if some classes have no row, lost by a limit or never there; or if every row is of all of them."""
    if task.class_names is None:
        return []
    all_rows = _rows_by_class(rows, task)
    some_rows = all_rows if used is rows else _rows_by_class(used, task)
    lost = [name for name, before, now in zip(task.class_names, all_rows, some_rows, strict=True) if before and not now]
    never = [name for name, before in zip(task.class_names, all_rows, strict=True) if not before]
    notices = []
    if lost:
        kept = _shown([name for name, now in zip(task.class_names, some_rows, strict=True) if now]) or "no class"
        notices.append(
            f"with {limit} = {len(used)} the rows used of {split} are all of {kept}, and none of {_shown(lost)}: "
            "they seem to be sorted by class; [dataset] shuffle_seed = 0 takes rows at random instead"
        )
    if never:
        notices.append(f"no row of {split} is of {_shown(never)}")
    if task.kind == "multi_label" and (all_rows == len(rows)).all():
        notices.append(f'every row of {split} is of every class: is "{task.label_column}" read as it is meant?')
    return notices


def _shown(names: Sequence[str]) -> str:
    """Some names and how many more there are, so that a sentence stays one."""
    more = f" and {len(names) - MOST_SHOWN:,} more" if len(names) > MOST_SHOWN else ""
    return ", ".join(names[:MOST_SHOWN]) + more


def _rows_by_class(rows: Dataset, task: Task) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How many rows are of each class."""
    count, labels = task.num_labels, arrow_of(rows, [task.label_column]).column(0)
    if task.kind == "multi_label":
        marks = labels.combine_chunks()
        summed: np.ndarray[tuple[int], np.dtype[np.int64]] = (
            pc.list_flatten(marks).to_numpy().reshape(-1, count).sum(axis=0, dtype=np.int64)
        )
        return summed
    return np.bincount(labels.to_numpy(), minlength=count)


def _shared_rows(task: Task, others: Dataset, rows: Dataset, other: str, split: str) -> list[str]:
    """A sentence if rows stand in two splits alike."""
    shared = pc.sum(pc.is_in(_texts(rows, task), value_set=_texts(others, task))).as_py()
    if not shared:
        return []
    return [f"{shared:,} of the {len(rows):,} rows of {split} stand in {other}, too: the same text"]


def _torn_texts(task: Task, rows: Dataset, split: str) -> list[str]:
    """A sentence if a text stands in a split with one class here and another there: no model can have both right."""
    if task.kind != "classification":
        return []
    table = pa.table({"text": _texts(rows, task), "label": arrow_of(rows, [task.label_column]).column(0)})
    found = table.group_by("text").aggregate([("label", "count_distinct"), ("label", "count")])
    torn = pc.sum(found.filter(pc.field("label_count_distinct") > 1)["label_count"]).as_py()
    return [f"{torn:,} of the {len(rows):,} rows of {split} have the text of a row of another class"] if torn else []


def _texts(rows: Dataset, task: Task) -> pa.Array:
    """The text of each row, the columns of a pair as one."""
    table = arrow_of(rows, task.text_columns)
    columns = [table.column(name).cast(pa.large_string()) for name in task.text_columns]
    joined = (
        pc.binary_join_element_wise(*columns, pa.scalar("\0", pa.large_string())) if len(columns) > 1 else columns[0]
    )
    return joined.combine_chunks()
