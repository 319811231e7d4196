"""What the journal of a run tells of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import read_current
from ftrun.runs.records import (
    NAME_TAG,
    DatasetRecord,
    EndRecord,
    MetricsRecord,
    ResumedRecord,
    RunRecord,
    Status,
)


@dataclass(frozen=True)
class History:
    """What the journal tells of a run.

    Attributes:
        tags: What it runs on, by MLflow's names; empty if it never came to be recorded.
        datasets: The records of its data, the latest of each split.
        experiment: The file in the run folder that says what it runs.
        status: How it ended; None if it goes on, or its process is gone.
        last_step: The last optimizer step that was reported.
        resumed: How often it was gone on with.
        best_counts_after: The step up to which checkpoints tell of a best evaluation that no longer counts.
    """

    tags: Mapping[str, str]
    datasets: Sequence[DatasetRecord]
    experiment: str
    status: Status | None
    last_step: int
    resumed: int
    best_counts_after: int = 0

    @property
    def recorded(self) -> bool:
        """Whether there was anything for MLflow."""
        return bool(self.tags)

    @property
    def display_name(self) -> str | None:
        """What MLflow's pages call the run; None if it was begun before there were such names."""
        return self.tags.get(NAME_TAG)


def read_history(folder: RunFolder) -> History:
    """What the journal of a run tells.

    Raises:
        RunError: If a later version of ftrun has written it, in a format that this one does not read.
    """
    tags: dict[str, str] = {}
    datasets: dict[tuple[str, str], DatasetRecord] = {}
    status: Status | None = None
    experiment, last_step, resumed, best_counts_after = folder.experiment.name, 0, 0, 0
    for entry, _ in read_current(folder.journal):
        match entry.record:
            case MetricsRecord(step):
                last_step = max(last_step, step)
            case RunRecord() as begun:
                tags = dict(begun.tags)
            case DatasetRecord() as dataset:
                datasets[dataset.context, dataset.split] = dataset
            case ResumedRecord() as record:
                status, experiment, resumed = None, record.experiment, resumed + 1
                tags.update(record.tags)
                best_counts_after = min(best_counts_after, record.step) if record.best_counts else record.step
            case EndRecord() as end:
                status = end.status
    return History(tags, list(datasets.values()), experiment, status, last_step, resumed, best_counts_after)


class Point(NamedTuple):
    """One number of an evaluation.

    Attributes:
        key: Its name, as in MLflow; value: the number.
        time: When it was reported, in milliseconds since 1970.
    """

    key: str
    value: float
    time: int


def read_evaluations(folder: RunFolder, begins: tuple[str, ...] = ("eval/",)) -> dict[int, list[Point]]:
    """The numbers of every evaluation, by the optimizer steps before it.

    Args:
        folder: The run's.
        begins: How their names begin; those of the test at the end begin with "test/".

    Raises:
        RunError: If a later version of ftrun has written the journal, in a format that this one does not read.
    """
    found: dict[int, dict[str, Point]] = {}
    for entry, _ in read_current(folder.journal):
        match entry.record:
            case MetricsRecord(step, values):
                points = {key: Point(key, value, entry.time) for key, value in values.items() if key.startswith(begins)}
                if points:
                    found.setdefault(step, {}).update(points)
    return {step: list(points.values()) for step, points in found.items()}
