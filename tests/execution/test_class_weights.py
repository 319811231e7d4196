"""What a file says of the classes' weights, and what a backend gets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError
from ftrun.execution.class_weights import are_classes, class_weights, weights_by_class
from ftrun.settings import TrainingSettings
from hypothesis import given
from hypothesis import strategies as st

TASK = Task("classification", ("text",), class_names=("no", "maybe", "yes"))


def weights(task: Task = TASK, labels: Any = (0, 0, 1, 2, 2, 2), outputs: Any = None, **training: Any) -> Any:
    built: Any = dataclasses.replace(BuiltModel(None, None, lambda batch: batch, "", ""), class_names=outputs)  # type: ignore[arg-type]
    rows: Any = {task.label_column: list(labels)}
    return class_weights(TrainingSettings(**training), Splits(task, rows, {}, "", "", ""), built)


def test_nobody_asks() -> None:
    assert weights() is None


def test_a_list_is_in_the_order_of_the_tasks_classes_and_comes_in_that_of_the_models_outputs() -> None:
    assert weights(class_weights=[1, 2, 3]) == [1.0, 2.0, 3.0]
    assert weights(class_weights=[1, 2, 3], outputs=("yes", "no", "maybe")) == [3.0, 1.0, 2.0]
    assert weights(class_weights="balanced", outputs=("yes", "no", "maybe")) == [6 / 9, 6 / 6, 6 / 3]


@given(st.lists(st.integers(0, 2), min_size=1).map(lambda labels: [*labels, 0, 1, 2]))
def test_balanced_is_what_it_is_in_scikit_learn(labels: list[int]) -> None:
    import numpy
    from sklearn.utils.class_weight import compute_class_weight

    theirs = compute_class_weight("balanced", classes=numpy.arange(3), y=labels)
    assert weights_by_class("balanced", TASK, labels) == pytest.approx(list(theirs))


def test_labels_of_places_are_balanced_too() -> None:
    import numpy

    places = [[0, -100, 1], [2, 2], [], numpy.array([2, 0, -100])]
    tagging = dataclasses.replace(TASK, kind="token_classification", cross_entropy=True)
    assert weights(tagging, places, class_weights="balanced") == [6 / 6, 6 / 3, 6 / 9]


@pytest.mark.parametrize(
    ("task", "training", "told"),
    [
        (
            Task("spans", ("text",), cross_entropy=True),
            {"class_weights": [1, 2]},
            "class_weights: the task has no classes to weigh",
        ),
        (TASK, {"class_weights": [1, 2]}, r"class_weights: there are 2 weights for 3 classes\n  .*: no, maybe, yes"),
        (
            TASK,
            {"class_weights": "balanced"},
            "no row to train on is of maybe, yes: what is not there cannot be balanced",
        ),
        (Task("regression", ("text",)), {"class_weights": "balanced"}, "class_weights: .* here a label is numbers"),
        (Task("regression", ("text",)), {"label_smoothing_factor": 0.1}, "label_smoothing_factor: .* one class"),
        (dataclasses.replace(TASK, kind="multi_label"), {"class_weights": [1, 2, 3]}, "any number of classes"),
    ],
)
def test_what_means_nothing_is_told(task: Task, training: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        weights(task, [0, 0], **training)


@pytest.mark.parametrize("label", ["b", [0, 3], [-1], 1.0, None, True, [[0]], ["0"], {"answer": 0}])
def test_what_is_no_class_is_never_counted(label: Any) -> None:
    assert are_classes([0, [1, -100], 2], 3) and not are_classes([0, label], 3)
    tagging = dataclasses.replace(TASK, kind="token_classification", cross_entropy=True)
    with pytest.raises(ExperimentError, match="are no class ids, nor lists of them: they cannot be counted"):
        weights(tagging, [0, 1, 2, label], class_weights="balanced")
