"""The pictures of a run that has come to its end: begun, waited for and recorded; whatever fails is a notice."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ftrun.contracts import FitResult, Splits
from ftrun.errors import RunError
from ftrun.execution.recording import record_pictures
from ftrun.execution.watcher import Watcher
from ftrun.pictures.artist import Artist
from ftrun.pictures.subject import Subject
from ftrun.planning.measures import metric_directions
from ftrun.planning.plan import Plan
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal

log = logging.getLogger(__name__)

PATIENCE = 120.0
"""Seconds that the end of a run waits for its pictures."""


class Depiction:
    """The pictures of one run, drawn in a process of their own while the run writes down its model.

    Args:
        folder: The run's, with journal and predictions.
        subject: What is to be drawn.
        tables: The paths of the tables that MLflow shows already.
        watcher: Who is told what could not be drawn.
    """

    def __init__(self, folder: RunFolder, subject: Subject, tables: Sequence[str], watcher: Watcher) -> None:
        self._folder, self._tables, self._watcher = folder, tables, watcher
        self._artist: Artist | None = None
        try:
            self._artist = Artist(folder, subject)
        except OSError as error:
            log.warning("no pictures", exc_info=True)
            watcher.notice(f"no pictures are drawn: {error.strerror or error}")

    def record(self, journal: Journal) -> None:
        """Wait for the pictures, and write down that they are there."""
        if self._artist is None:
            return
        self._watcher.working("drawing pictures")
        drawn = self._artist.finish(PATIENCE)
        if drawn is None or drawn.failed:
            what = "the pictures" if drawn is None else ", ".join(drawn.failed)
            self._watcher.notice(f"{what} could not be drawn; {self._folder.log.name} says why")
        if drawn and drawn.published:
            try:
                record_pictures(journal, self._folder, [*self._tables, *drawn.tables])
            except RunError as error:
                self._watcher.notice(str(error))

    def abandon(self) -> None:
        """Do without them."""
        if self._artist:
            self._artist.abandon()


def subject_of(plan: Plan, splits: Splits, fit: FitResult, tested: Sequence[str] = ()) -> Subject:
    """What is to be drawn of a run.

    Args:
        plan: The run's.
        splits: The data set.
        fit: What the training came to.
        tested: The test splits that it was measured on.
    """
    task = splits.task
    return Subject(
        kind=task.kind,
        classes=task.class_names or (),
        text_columns=task.text_columns,
        splits=[split for split in splits.evaluation if split in fit.predictions],
        directions=metric_directions(plan.metrics, task),
        model_step=fit.model_step,
        tested=list(tested),
    )
