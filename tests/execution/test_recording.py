"""What a run writes down of itself."""

from __future__ import annotations

import json
from pathlib import Path

import ftrun
import pytest


def test_predictions_are_a_table_of_the_validation_rows(tiny: Path) -> None:
    result = ftrun.run(tiny, progress=False)
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert table["columns"] == ["idx", "sentence1", "sentence2", "label", "prediction", "correct"]
    assert len(table["data"]) == 20
    assert sum(row[-1] for row in table["data"]) / 20 == pytest.approx(result.metrics["eval/accuracy"])


def test_predictions_are_json_whatever_the_cells_are(workdir: Path) -> None:
    from datetime import date

    import numpy as np
    from datasets import Dataset
    from ftrun.contracts import Predictions, Splits, Task
    from ftrun.execution.recording import record_predictions
    from ftrun.runs.folder import RunFolder
    from ftrun.runs.journal import Journal

    rows = Dataset.from_dict({"idx": [date(2026, 1, 2), None], "text": ["a", "b"], "label": [1.0, float("nan")]})
    splits = Splits(Task("regression", ("text",)), rows, {"validation": rows}, "mine", "here", "1")
    predicted = Predictions(np.array([[0.5], [np.nan]], np.float32), np.array([1.0, np.nan], np.float32), 0.0)
    folder = RunFolder.create(workdir / "runs", "odd")
    journal = Journal(folder.journal)
    record_predictions(journal, folder, splits, {"validation": predicted})
    journal.close()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    table = json.loads(folder.predictions("validation").read_text(), parse_constant=refuse)
    assert table["data"] == [["2026-01-02", "a", 1.0, 0.5], [None, "b", None, None]]
