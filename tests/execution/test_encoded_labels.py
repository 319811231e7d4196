"""A task of one's own: labels that are none of its classes, or of another form, are told before any training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import marks
import numpy as np
import pytest
import their_parts
from ftrun.contracts import Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.execution.encoded_labels import check_kept
from helpers import journal_of

WRONG: dict[str, tuple[Any, Any, str]] = {
    "positions": (
        lambda numbers: [0, len(numbers) - 1],
        marks.Ends,
        "encodes labels of shape (4, 2) for numbers of shape (4, 4, 2)",
    ),
    "one class a row": (
        lambda numbers: [[1]],
        lambda: Unheeding(),
        "encodes labels of shape (4, 1, 1) for numbers of shape (4",
    ),
    "no class": (
        lambda numbers: [2 if number == 9 else 0 for number in numbers],
        lambda: Unheeding(),
        "encodes the label 2 in row 3 of the training split: it must be a whole number from 0 to 1, a class's place",
    ),
    "below 0": (
        lambda numbers: [-1 if number == 6 else 0 for number in numbers],
        lambda: Unheeding(),
        "encodes the label -1 in row 6 of the training split",
    ),
}


class Unheeding(marks.Marks):
    """Has a loss of any labels."""

    def loss(self, logits: Any, labels: Any) -> Any:
        return logits.square().mean()


def parts_of(name: str) -> Any:
    label, model, _ = WRONG[name]
    return {"dataset": lambda s: marks.splits(label=label), "model": lambda s, d: marks.built(model())}


@pytest.mark.parametrize("name", WRONG)
def test_they_are_told_before_any_training(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = marks.run(parts_of(name), workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and outcome.problem, outcome.result.error
    assert f'the model "parity" of their-package 3 {WRONG[name][-1]}' in str(outcome.problem)
    assert not [record for record in journal_of(outcome.result.run_folder) if record["type"] == "metrics"]


@pytest.mark.parametrize("name", WRONG)
def test_a_look_tells_them_too(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExperimentError) as told:
        marks.look(parts_of(name), workdir, monkeypatch)
    assert WRONG[name][-1].partition(" in row ")[0].partition("(4")[0] in str(told.value)


@pytest.mark.parametrize("outputs", [2, 5])
def test_a_task_without_classes_has_labels_and_numbers_as_its_parts_agree(
    outputs: int, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: Any = {
        "dataset": lambda s: marks.splits(marks.WITHOUT_CLASSES, lambda numbers: [0] * outputs),
        "model": lambda s, d: marks.built(marks.Ends(outputs)),
    }
    outcome = marks.run(parts, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED", outcome.result.error
    assert marks.look(parts, workdir, monkeypatch).splits[0].labels is None


def test_places_without_a_label_are_sound(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only_largest = lambda numbers: [1 if number == max(numbers) else -100 for number in numbers]  # noqa: E731
    outcome = marks.run({"dataset": lambda s: marks.splits(label=only_largest)}, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED", outcome.result.error


def test_what_cannot_be_written_down_ends_no_run_that_has_learnt(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def share(numbers: Any) -> list[float]:
        return [float(number) for number in numbers]

    heard = marks.Heard()
    parts: Any = {"dataset": lambda s: marks.splits(label=share), "model": lambda s, d: marks.built(Unheeding())}
    outcome = marks.run(parts, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED" and outcome.result.steps == 2, outcome.result.error
    assert (outcome.result.run_folder / "model" / "marks.pt").is_file()
    assert [told for told in heard.notices if "the predictions cannot be written down: " in told]


def test_no_predictions_of_a_known_kind_are_touched() -> None:
    from ftrun.execution.encoded_labels import check_places
    from numpy import zeros

    odd = Predictions(zeros((3, 2)), zeros((3, 7), dtype="int64"), 0.5)
    check_places(None, odd, replace(marks.TASK, kind="classification"))  # type: ignore[arg-type]


CLASSES = Task("classification", ("text",), "label", ("no", "maybe", "yes"))
MULTI = replace(CLASSES, kind="multi_label")
NUMBER = replace(CLASSES, kind="regression", class_names=None)
OTHER_ORDER = ("yes", "no", "maybe")
FOUR = [0.1, 2.5, None, 4.0]


@pytest.mark.parametrize(
    ("task", "order", "labels", "encoded"),
    [
        (CLASSES, None, [0, 1, 2, -1, None], [0, 1, 2, -1, -100]),
        (CLASSES, ("no", "maybe", "yes"), [0, 1, 2], (0, 1, 2)),
        (CLASSES, OTHER_ORDER, [0, 1, 2], [1, 2, 0]),
        (CLASSES, None, [0, 2], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]),
        (CLASSES, None, [1, 2], np.array([1, 2])),
        (CLASSES, None, [1, 2], [1.0, 2.0]),
        (MULTI, None, [[1, 0, 1], [0, 0, 0]], [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
        (MULTI, OTHER_ORDER, [[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]),
        (NUMBER, None, FOUR, np.array([0.1, 2.5, np.nan, 4.0], dtype=np.float16)),
        (replace(NUMBER, kind="ranking"), None, [1.0], [7.0]),
    ],
)
def test_labels_that_are_those_of_the_rows_are_let_through(task: Task, order: Any, labels: Any, encoded: Any) -> None:
    check_kept(labels, encoded, task, order, "the model", "train")


@pytest.mark.parametrize(
    ("task", "order", "labels", "encoded", "told"),
    [
        (CLASSES, None, [0, 1, 2], [0, 2, 1], r"label 1 \(maybe\) of a row of train as 2\n.*hands on .*class_names"),
        (CLASSES, OTHER_ORDER, [0, 1], [0, 1], r"label 0 \(no\) of a row of train as 0\n.*ask for 1"),
        (CLASSES, ("a", "b", "c"), [0, 1], [1, 1], r"label 0 \(no\) of a row of train as 1"),
        (MULTI, None, [[1, 0, 0]], [[0, 0, 1]], r"label \[1, 0, 0\] of a row of train as \[0, 0, 1\]"),
        (NUMBER, None, FOUR, [-1.2, 0.1, 0.2, 0.9], r"label 0.1 of a row of train as -1.2\n.*measured"),
    ],
)
def test_labels_that_are_others_are_refused(task: Task, order: Any, labels: Any, encoded: Any, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        check_kept(labels, encoded, task, order, "the model", "train")


def test_a_model_that_counts_classes_otherwise_is_refused(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(batch: Any) -> Any:
        return {**their_parts.encode(batch), "labels": [(label + 1) % 2 for label in batch["label"]]}

    parts: Any = {"model": lambda settings, data: their_parts.built(encode=encode)}
    outcome = their_parts.run(parts, workdir, monkeypatch)
    told = 'the model "parity" of their-package 3 encodes the label 0 (even) of a row of train as 1'
    assert outcome.result.status == "FAILED" and told in str(outcome.problem)
