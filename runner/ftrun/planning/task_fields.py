"""What the fields of a task hold: texts and names, as the contract has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ftrun.contracts import Task
from ftrun.settings import shown


def faults_in_task(task: Task) -> Iterator[str]:
    """What is wrong with each field that is not of its type, to go on from the data set's name."""
    yield from no_texts(task, ("kind", "label_column"), " of its task")
    if task.kind == "":
        yield 'has "" for the kind of its task, and must have a word'
    yield from no_lists(task, ("text_columns", "class_names"), " of its task", "a tuple of texts")


def no_texts(owner: Any, fields: Sequence[str], whose: str) -> Iterator[str]:
    """What is wrong with fields that must be texts, and say something."""
    for field in fields:
        value = getattr(owner, field)
        if not isinstance(value, str):
            yield f"has {shown(value)} for the {field}{whose}, and must have a text"


def no_lists(owner: Any, fields: Sequence[str], whose: str, wanted: str) -> Iterator[str]:
    """What is wrong with fields that must be lists of texts."""
    for field in fields:
        value = getattr(owner, field)
        if field == "class_names" and value is None:
            continue
        if isinstance(value, str) or not isinstance(value, Sequence):
            yield f"has {told_of(value)} for the {field}{whose}, and must have {wanted}"
        elif odd := [item for item in value if not isinstance(item, str)]:
            yield f"has {told_of(odd[0])} among the {field}{whose}, and must have {wanted}"


def told_of(value: Any) -> str:
    """A value, or of what is long in words its type."""
    is_plain = value is None or isinstance(value, str | int | float)
    return shown(value) if is_plain else f"a {type(value).__name__}"
