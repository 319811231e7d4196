"""What a run predicted, read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ftrun.contracts import Predictions
from ftrun.execution.recording import record_predictions
from ftrun.pictures import predicted
from ftrun.pictures.predicted import Table, read_classified, read_many, read_numbers, read_ranked
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from helpers import rows_of, splits_of

LOGITS = np.array([[2.0, 1.0], [0.0, 3.0], [np.nan, 0.0]], np.float32)


def recorded(kind: str, logits: np.ndarray, labels: list[Any]) -> RunFolder:  # type: ignore[type-arg]
    folder = RunFolder.create(Path("runs"), "tiny")
    journal = Journal(folder.journal)
    told = splits_of(rows_of(text=[f"row {place}" for place in range(len(labels))], label=labels), kind)
    record_predictions(journal, folder, told, {"validation": Predictions(logits, np.array(labels), 0.5, kind)})
    journal.close()
    return folder


@pytest.mark.usefixtures("workdir")
def test_classes_and_probabilities_are_those_that_were_recorded() -> None:
    folder = recorded("classification", LOGITS, [0, 0, 1])
    found = read_classified(folder, "validation", ("no", "yes"))
    assert found.labels.tolist() == [0, 0] and found.said.tolist() == [0, 1]
    assert found.probability == pytest.approx([1 / (1 + np.exp(-1)), 1 / (1 + np.exp(-3))])


@pytest.mark.usefixtures("workdir")
def test_rows_of_which_the_model_says_no_numbers_are_taken_for_no_class() -> None:
    folder = recorded("classification", LOGITS[[2, 0, 1]], [1, 0, 1])
    found = read_classified(folder, "validation", ("no", "yes"))
    assert found.places.tolist() == [1, 2] and found.table.column("text") == ["row 1", "row 2"]
    labels, probabilities = read_ranked(folder, "validation", found)
    assert labels.tolist() == [0, 1] and np.isfinite(probabilities).all()
    many = recorded("multi_label", np.array([[1, -1], [np.nan, 1], [-1, -1]], np.float32), [[1, 0], [0, 1], [0, 0]])
    labels, said = read_many(many, "validation", ("no", "yes"))
    assert labels.tolist() == [[1, 0], [0, 0]] and said.tolist() == [[1, 0], [0, 0]]


def test_a_column_of_the_data_that_has_the_name_of_ours_is_not_taken_for_it() -> None:
    table = Table(["label", "label", "prediction"], [["a text", "yes", "no"]])
    assert table.column("label") == ["yes"] and table.column("prediction") == ["no"]


@pytest.mark.usefixtures("workdir")
def test_of_a_large_split_every_so_many_th_row_is_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = recorded("classification", LOGITS[[0, 1, 0, 1, 0]], [0, 1, 0, 1, 1])
    found = read_classified(folder, "validation", ("no", "yes"))
    labels, probabilities = read_ranked(folder, "validation", found)
    assert labels.tolist() == [0, 1, 0, 1, 1] and probabilities.sum(axis=1) == pytest.approx([1] * 5)
    monkeypatch.setattr(predicted, "RANKED_NUMBERS", 5)
    labels, probabilities = read_ranked(folder, "validation", found)
    assert labels.tolist() == [0, 0, 1] and len(probabilities) == 3


@pytest.mark.usefixtures("workdir")
def test_of_numbers_those_that_are_finite_are_read() -> None:
    folder = recorded("regression", np.array([[1.0], [np.nan], [3.0]], np.float32), [1.5, 2.0, 2.5])
    labels, said = read_numbers(folder, "validation")
    assert labels.tolist() == [1.5, 2.5] and said.tolist() == [1.0, 3.0]
