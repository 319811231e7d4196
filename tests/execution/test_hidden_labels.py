"""Which rows have labels: all of a split, some, or none, as where they are kept secret."""

from __future__ import annotations

from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Task
from ftrun.execution.hidden_labels import is_labelled, unlabelled_rows, without_labels
from helpers import rows_of

CLASSES = ("no", "yes")


@pytest.mark.parametrize(
    ("kind", "labels", "without"),
    [
        ("classification", [0, 1, 0], []),
        ("classification", [0, None, -1], [1, 2]),
        ("classification", [-1, -1], [0, 1]),
        ("regression", [0.5, -1.0, -2.0], []),
        ("regression", [-1.0, -1.0], [0, 1]),
        ("regression", [0.5, None, float("nan"), -1.0], [1, 2]),
        ("multi_label", [[0, 1], [0, 0]], []),
        ("multi_label", [[-1, -1], None], [0, 1]),
        ("token_classification", [[0, 1], []], []),
    ],
)
def test_rows_without_a_label_are_known(kind: str, labels: list[Any], without: list[int]) -> None:
    rows, task = rows_of(text=["a"] * len(labels), label=labels), Task(kind, ("text",), class_names=CLASSES)
    assert list(unlabelled_rows(rows, task)) == without and is_labelled(rows, task) == (not without)


def test_no_column_is_no_label_and_the_model_sees_none() -> None:
    task = Task("classification", ("text",), class_names=CLASSES)
    assert list(unlabelled_rows(rows_of(text=["a", "b"]), task)) == [0, 1]
    model: Any = None
    built = without_labels(BuiltModel(model, None, dict, "key", "nowhere"), task)
    assert built.encode({"text": ["a"], "label": [-1]}) == {"text": ["a"]} and built.encode_key != "key"
