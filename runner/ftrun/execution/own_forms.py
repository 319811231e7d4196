"""Further files and folders in a form that the run's data set alone knows: it reads them, to rows as its splits are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ftrun.contracts import Dataset, Rows, Task
from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.execution.checks import check_read
from ftrun.execution.prediction import Predictor, table_of_rows
from ftrun.execution.process import faults_logged
from ftrun.execution.row_tables import DATA, RowTable
from ftrun.execution.trained import Trained
from ftrun.planning.parts import Part
from ftrun.rowfiles import FORMATS, ending_of, shown


@dataclass(frozen=True)
class OwnRows:
    """What a data set has read of a file or folder.

    Attributes:
        rows: As the splits are: a label is what `Splits` says, by the classes that the model has learnt.
        table: The same for people, labels by name.
    """

    rows: Rows
    table: RowTable


def reads_files(trained: Trained) -> bool:
    """Whether the data set that a model was trained on may read files by itself."""
    return trained.run is not None and trained.plan.dataset.component(Dataset).read is not None


def own_rows(predictor: Predictor, file: Path, renamed: bool = False) -> OwnRows | None:
    """What the data set reads of a file; None where it reads none, or not this one.

    Args:
        predictor: The model.
        file: The file, or a folder.
        renamed: Whether a person has said which columns hold the text, so that those of the task may lack.

    Raises:
        ExperimentError: If it says that something is wrong with the file, or reads something else than rows.
        RunError: If it fails in a way that it does not explain.
    """
    if not reads_files(predictor.trained):
        return None
    part, task, name = predictor.trained.plan.dataset, predictor.task, shown(file)
    predictor.watcher.working(f"reading {name}")
    rows = _read(part, file, task)
    if rows is None:
        return None
    check_read(part, name, rows, task, () if renamed else task.text_columns)
    if ending_of(file) in FORMATS:
        predictor.watcher.notice(f"{name} is read by {part.who}, to {len(rows):,} rows")
    return OwnRows(rows, table_of_rows(name, rows, task))


def _read(part: Part, file: Path, task: Task) -> Rows | None:
    if not os.access(file, os.R_OK):
        raise ExperimentError(Problem(f"{shown(file)} cannot be read: Permission denied", DATA))
    read = part.component(Dataset).read
    assert read
    with _told_of(file), faults_logged("read", [part]), contextlib.redirect_stdout(sys.stderr):
        try:
            return read(part.settings, file, task)
        except IsADirectoryError:
            if file.is_dir():  # it knows files alone, and has tried to open it as one
                return None
            raise


@contextlib.contextmanager
def _told_of(file: Path) -> Iterator[None]:
    """What is raised is told of a file that a person has named."""
    try:
        yield
    except ExperimentError as error:
        raise ExperimentError(*(replace(problem, place=DATA) for problem in error.problems)) from error
    except RunError as error:
        told = [replace(one, message=f"{shown(file)} cannot be read: {one.message}") for one in error.problems]
        raise RunError(*told) from error
