"""Figures and tables of predicted classes: few and many, all right, and never a row of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ftrun.pictures.classes import (
    draw_confusion,
    draw_precision_recall,
    draw_reliability,
    per_class_table,
    wrong_table,
)
from ftrun.pictures.predicted import Classified, Table


def classified(names: list[str], labels: list[int], said: list[int], sure: list[float]) -> Classified:
    rows = [
        [f"row {place}", names[label], names[other], label == other, None if np.isnan(probability) else probability]
        for place, (label, other, probability) in enumerate(zip(labels, said, sure, strict=True))
    ]
    table = Table(["text", "label", "prediction", "correct", "probability"], rows)
    return Classified(names, np.arange(len(labels)), np.array(labels), np.array(said), np.array(sure), table)


FEW = classified(["no", "yes"], [0, 0, 1, 1], [0, 1, 0, 0], [0.9, 0.6, np.nan, 0.8])


def test_what_is_most_confidently_wrong_comes_first() -> None:
    assert wrong_table(FEW, ["text"]) == {
        "columns": ["text", "label", "prediction", "probability"],
        "data": [["row 3", "yes", "no", 0.8], ["row 1", "no", "yes", 0.6]],
    }


def test_every_class_has_its_scores() -> None:
    table = per_class_table(FEW)
    assert table["columns"] == ["class", "precision", "recall", "f1", "support"]
    assert table["data"] == [["no", pytest.approx(1 / 3), 0.5, pytest.approx(0.4), 2], ["yes", 0.0, 0.0, 0.0, 2]]


@pytest.mark.parametrize("classes", [1, 2, 20, 21, 300])
@pytest.mark.parametrize("is_right", [True, False])
def test_any_number_of_classes_is_drawn(tmp_path: Path, classes: int, is_right: bool) -> None:
    names = [f"${place} {'long ' * 20}" for place in range(classes)]
    labels = [place % max(classes - 1, 1) for place in range(40)]  # none of the last class
    said = labels if is_right else [(label + 1) % classes for label in labels]
    found = classified(names, labels, said, [0.5] * 40)
    draw_confusion(tmp_path / "confusion.png", "validation", found)
    draw_reliability(tmp_path / "reliability.png", "validation", found)
    logits = np.random.default_rng(0).random((40, classes))
    draw_precision_recall(tmp_path / "pr.png", "validation", names, found.labels, logits)
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())


def test_a_split_of_one_class_is_drawn(tmp_path: Path) -> None:
    draw_precision_recall(tmp_path / "pr.png", "validation", ["no", "yes"], np.array([0, 0]), np.full((2, 2), 0.5))
    assert (tmp_path / "pr.png").exists()
