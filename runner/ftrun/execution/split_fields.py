"""What the fields of an opened data set hold: texts, tables and names, as the contract has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftrun.contracts import Splits, Task
from ftrun.planning.task_fields import faults_in_task, no_lists, no_texts, told_of
from ftrun.settings import shown


def fault_in_fields(splits: Splits) -> str | None:
    """What is wrong with the first field that is not of its type, to go on from the data set's name; None if none is.

    The rows themselves are not looked at.
    """
    return next(_faults(splits), None)


def _faults(splits: Splits) -> Iterator[str]:
    task = splits.task
    if not isinstance(task, Task):
        yield f"has a {type(task).__name__} for its task, and must have ftrun.contracts.Task"
        return
    yield from faults_in_task(task)
    yield from no_texts(splits, ("name", "source", "digest", "train_split"), "")
    yield from no_lists(splits, ("notices", "test_at_end"), "", "a list of texts")
    for field in ("evaluation", "test", "digests"):
        yield from _no_table(getattr(splits, field), field)
    yield from _no_names([splits.train_split, *splits.evaluation, *splits.test])


def _no_table(value: Any, field: str) -> Iterator[str]:
    held = "texts" if field == "digests" else "rows"
    if not isinstance(value, Mapping):
        yield f"has {told_of(value)} for {field}, and must have a mapping from the names of splits to {held}"
        return
    for name, inner in value.items():
        if not isinstance(name, str):
            yield f"has {told_of(name)} among the names of splits in {field}, and must have texts"
        if field == "digests" and not isinstance(inner, str):
            yield f"has {told_of(inner)} for the digest of {name}, and must have a text"


def _no_names(names: Sequence[str]) -> Iterator[str]:
    """Files and metrics are called by them."""
    for name in names:
        if not name.strip() or set(name) & set("/\\\0"):
            yield f"calls a split {shown(name)}, and must call it as a file can be called, without a slash"
