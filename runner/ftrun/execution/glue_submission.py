"""Predictions of GLUE's hidden test splits in the files that https://gluebenchmark.com takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.decoding import PREDICTED
from ftrun.execution.prediction import Predictor, table_of_split
from ftrun.runs.folder import write_whole

FILES = {
    "cola": {"test": "CoLA"},
    "mnli": {"test_matched": "MNLI-m", "test_mismatched": "MNLI-mm"},
    "mrpc": {"test": "MRPC"},
    "qnli": {"test": "QNLI"},
    "qqp": {"test": "QQP"},
    "rte": {"test": "RTE"},
    "sst2": {"test": "SST-2"},
    "stsb": {"test": "STS-B"},
    "wnli": {"test": "WNLI"},
}
"""What GLUE calls the file of each split."""
BY_NAME = ("mnli", "qnli", "rte")
"""Tasks whose classes GLUE wants by name; it takes ids for the others, and numbers from 0 to 5 for STS-B."""
PLACE = "--glue-submission"


def write_submission(predictor: Predictor, folder: Path) -> Sequence[Path]:
    """Predict the test splits of a run's GLUE task, and write GLUE's file for each into a folder, which is made.

    Raises:
        ExperimentError: If the run is of no GLUE task, the data has no test split, or nothing can be written.
    """
    task = predictor.task
    files = _files(task)
    predictions = {split: predictor.predict(table_of_split(predictor.splits, split)) for split in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for split, name in files.items():
            write_whole(folder / f"{name}.tsv", _lines(task, predictions[split][PREDICTED]))
    except OSError as error:
        message = f"{folder} cannot be written: {error.strerror or error}"
        raise ExperimentError(Problem(message, PLACE)) from error
    return [folder / f"{name}.tsv" for name in files.values()]


def check_submission(task: Task | None) -> None:
    """Whether a model is one of a GLUE task, where its task is known.

    Raises:
        ExperimentError: If it is not.
    """
    if task is not None:
        _files(task)


def _files(task: Task) -> dict[str, str]:
    name = (task.benchmark or "").removeprefix("glue/")
    if name not in FILES:
        hint = 'Name a run whose [dataset] is use = "glue".'
        raise ExperimentError(Problem("the model was trained on no task of GLUE", PLACE, hint))
    return FILES[name]


def _lines(task: Task, predictions: Sequence[Any]) -> str:
    """GLUE's table: a header, and a row for each of the split in its order."""
    rows = (f"{index}\t{_written(task, value)}" for index, value in enumerate(predictions))
    return "\n".join(["index\tprediction", *rows]) + "\n"


def _written(task: Task, value: Any) -> str:
    if task.class_names is None:
        return f"{min(max(value, 0.0), 5.0):.3f}"
    by_name = (task.benchmark or "").removeprefix("glue/") in BY_NAME
    return value if by_name else str(task.class_names.index(value))
