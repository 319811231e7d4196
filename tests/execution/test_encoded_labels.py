"""A task of one's own: labels that are none of its classes, or of another form, are told before any training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import marks
import pytest
from ftrun.contracts import Predictions
from ftrun.errors import ExperimentError
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
