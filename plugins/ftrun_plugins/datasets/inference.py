"""Which columns hold the text and the label, where a file does not say and there is no doubt."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from typing import Any, Literal

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import listed

from ftrun_plugins.datasets import LabelledText, TableText
from ftrun_plugins.datasets.quoted import Numbers

Holds = Literal["text", "values", "lists", "something else"]
"""Of a column: text that is no number; numbers, truth values or nothing; lists, which are labels where a row may have
several; or what can be neither text nor label."""
PAIRS = (
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("text", "text_pair"),
    ("text1", "text2"),
    ("question", "answer"),
    ("query", "passage"),
)
"""Columns that are two texts of one row by their names, in the order in which a model takes them."""
LABELS = ("label", "labels")
USUAL = (*LABELS, "class", "target", "category", "sentiment", "y", "score", "rating", "stars")
"""What columns of labels are often called; none but the first two are taken unasked."""
IDS = re.compile(r"(?i:(.*[_\W])?(idx?|index|guid|uuid|uid)|unnamed: \d+|__index_level_\d+__)|.*[a-z](ID|Id)")

LABEL_IDS = re.compile(r"(?i:(label|class|target|category)[_\W]?idx?)")
"""Columns of labels that are called ids: of a class, and not of a row."""


def with_columns(settings: TableText, columns: Mapping[str, Holds], name: str) -> tuple[LabelledText, Sequence[str]]:
    """The settings with all their columns, and a sentence about those that nobody has named.

    Args:
        settings: As a file has them.
        columns: What each column of the training split holds.
        name: What to call that split.

    Raises:
        ExperimentError: If there is a doubt.
    """
    several = settings.label_columns
    label = settings.label_named or _label(settings, columns, name)
    texts = settings.text_columns or _texts(columns, several or [label], name)
    told = []
    if settings.text_columns is None:
        told.append(f"the text is in {listed(texts)}")
    if several:
        pass  # the file itself says where the labels are
    elif settings.label_column is None and label != LABELS[0]:
        told.append(f"the label is in {listed([label])}")
    elif told:
        told.append(f"the label in {listed([label])}")
    notices = [f"{' and '.join(told)}, as the columns of {name} tell"] if told else []
    return settings.with_columns(list(texts), label), notices


def refuse_no_header(settings: TableText, task: Task, name: str, place: str) -> None:
    """Refuse CSV whose first line is a row, where its label was taken for the name of the column that nobody has named.

    Raises:
        ExperimentError: If that name is a class, or a number as all labels are.
    """
    label = task.label_column
    known: Container[str] = task.class_names or Numbers()
    if settings.label_named is None and label in known:
        message = f'{name} seems to have no header: its first line has "{label}" where the label is'
        hint = "If it is a row, write a line with the names of the columns above it; "
        hint += f"if these are names: label_column = {_written(label)}."
        raise ExperimentError(Problem(message, place, hint))


def is_id(name: str) -> bool:
    """Whether a column is one of names for rows, by its own name."""
    return not name or (IDS.fullmatch(name) is not None and LABEL_IDS.fullmatch(name) is None)


def is_text(value: Any) -> bool:
    """Whether a value is text, and neither blank nor a number that is written out."""
    if not isinstance(value, str) or not value.strip():
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def _label(settings: TableText, columns: Mapping[str, Holds], name: str) -> str:
    texts = settings.text_columns or ()
    if known := next((one for one in LABELS if one in columns and one not in texts), None):
        return known
    fitting = _fitting(settings)
    left = [one for one, holds in columns.items() if one not in texts and not is_id(one) and holds in fitting]
    if lists := [one for one in left if columns[one] == "lists"]:
        left = lists
    if len(left) == 1:
        return left[0]
    hint = f"Say which: label_column = {_written(_likely(left, columns, texts))}. There are: {listed(list(columns))}."
    if not any(one.strip().casefold() in USUAL for one in columns):
        hint += " If these are cells of a row, and no names, write a line with names above it."
    problem = Problem(f"{name} does not tell which column is the label", "dataset.label_column", hint)
    raise ExperimentError(problem)


def header_doubts(settings: TableText, task: Task, name: str) -> list[str]:
    """A sentence where the label column that a person has named in CSV is called as one of its classes."""
    label = task.label_column
    if settings.label_named is None or label not in (task.class_names or ()):
        return []
    called = f'{name} has "{label}" for the name of its label column and for a class'
    return [f"{called}: if its first line is a row, write one with the names of the columns above it"]


def _likely(left: Sequence[str], columns: Mapping[str, Holds], texts: Sequence[str]) -> str:
    """The column that is named in an example: one that is called as labels are, in any case."""
    others = [one for one in columns if one not in texts and not is_id(one)] or ["label"]
    usual = {one.strip().casefold(): one for one in reversed(others)}
    return next((usual[name] for name in USUAL if name in usual), (left or others)[-1])


def _fitting(settings: TableText) -> Sequence[Holds]:
    """What a column of labels may hold: text only if the columns of text are named, or there is a doubt."""
    plain: list[Holds] = ["values", "text"] if settings.text_columns else ["values"]
    if settings.kind != "multi_label":
        return plain
    return ["lists", *plain] if settings.label_separator else ["lists"]


def _texts(columns: Mapping[str, Holds], labels: Sequence[str], name: str) -> Sequence[str]:
    left = [one for one, holds in columns.items() if holds == "text" and one not in labels and not is_id(one)]
    if len(left) == 1:
        return left
    if pair := next((pair for pair in PAIRS if sorted(pair) == sorted(left)), None):
        return pair
    shown = left[:2] or ["..."]
    hint = f"Say which: text_columns = [{_written(shown[0])}], or two of them for pairs."
    hint += f" There are: {listed(list(columns))}."
    why = f"{len(left)} columns hold text" if left else "no column holds text"
    problem = Problem(f"{name} does not tell which column is the text: {why}", "dataset.text_columns", hint)
    raise ExperimentError(problem)


def _written(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
