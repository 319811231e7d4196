"""Further files in a form that the run's data set alone knows: it reads them, to rows as those of its splits are."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from ftrun.contracts import Dataset, Rows, Task
from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.execution.checks import check_form, check_read
from ftrun.execution.hidden_labels import unlabelled_rows
from ftrun.execution.prediction import Predictor, table_of_rows
from ftrun.execution.process import faults_logged
from ftrun.execution.row_tables import DATA, RowTable
from ftrun.execution.trained import Trained
from ftrun.planning.answers import task_of
from ftrun.planning.parts import Part
from ftrun.rowfiles import shown


@dataclass(frozen=True)
class OwnRows:
    """What a data set has read of a file.

    Attributes:
        rows: As the splits are: a label is what `Splits` says.
        task: What the data set asks for now, by whose classes the labels are.
        table: The same for people, labels by name.
    """

    rows: Rows
    task: Task
    table: RowTable


def reads_files(trained: Trained) -> bool:
    """Whether the data set that a model was trained on may read files by itself."""
    return trained.run is not None and trained.plan.dataset.component(Dataset).read is not None


def own_rows(predictor: Predictor, file: Path, renamed: bool = False) -> OwnRows | None:
    """What the data set reads of a file; None where it reads none, or not this one.

    Args:
        predictor: The model.
        file: The file.
        renamed: Whether a person has said which columns hold the text, so that those of the task may lack.

    Raises:
        ExperimentError: If it says that something is wrong with the file, or reads something else than rows.
        RunError: If it fails in a way that it does not explain.
    """
    if not reads_files(predictor.trained):
        return None
    part, name = predictor.trained.plan.dataset, shown(file)
    predictor.watcher.working(f"reading {name}")
    rows = _read(part, file)
    if rows is None:
        return None
    check_form(part, name, rows)
    task = _task_now(predictor, rows)
    check_read(part, name, rows, task, () if renamed else task.text_columns)
    return OwnRows(rows, task, table_of_rows(name, rows, task))


def _read(part: Part, file: Path) -> Rows | None:
    if not os.access(file, os.R_OK):
        raise ExperimentError(Problem(f"{shown(file)} cannot be read: Permission denied", DATA))
    read = part.component(Dataset).read
    assert read
    with _told_of(file), faults_logged("read", [part]), contextlib.redirect_stdout(sys.stderr):
        return read(part.settings, file)


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


def _task_now(predictor: Predictor, rows: Rows) -> Task:
    """What the data set asks for now; it is opened only where there are labels whose classes nothing else tells."""
    told = task_of(predictor.trained.plan.dataset, "dataset")
    if told and told.class_names:
        return told
    known = predictor.task
    if known.class_names is None or len(unlabelled_rows(rows, known)) == len(rows):
        return told or known
    return predictor.splits.task
