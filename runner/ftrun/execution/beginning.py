"""Where a run begins: anew, or where it stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from ftrun.contracts import Splits
from ftrun.errors import RunError
from ftrun.execution.recording import is_sampled, record_data, record_experiment, record_start
from ftrun.planning.plan import Plan
from ftrun.runs.folder import RUNS_FOLDER, RunFolder
from ftrun.runs.journal import Journal


class Beginning(Protocol):
    """What differs between a run that begins and one that goes on."""

    @property
    def folder(self) -> RunFolder:
        """The run's folder."""
        ...

    @property
    def is_new(self) -> bool:
        """Whether what comes of it is the run's in any case; else what ends before it has gone on leaves the run as it
        was.
        """
        ...

    @property
    def step(self) -> int:
        """The optimizer steps that are behind."""
        ...

    @property
    def checkpoint_folder(self) -> Path | None:
        """The checkpoint to go on from."""
        ...

    @property
    def best_counts(self) -> bool:
        """Whether the best evaluation that the checkpoint knows of is the best by the settings of now, too."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """What a person should know of it."""
        ...

    def take(self, plan: Plan) -> None:
        """Called first of all, once nobody else has the run's folder.

        Raises:
            RunError: If there is nothing to begin, or the folder cannot be written.
        """
        ...

    def compare_environment(self, tags: Mapping[str, str]) -> None:
        """Refuse an environment in which the run would be another.

        Raises:
            ExperimentError: Naming all that differs.
        """
        ...

    def compare_data(self, splits: Splits) -> None:
        """Refuse data with which the run would be another; raises as `compare_environment`."""
        ...

    def compare_model(self, tags: Mapping[str, str]) -> None:
        """Refuse a model with which the run would be another; raises as `compare_environment`."""
        ...

    def record(self, journal: Journal, plan: Plan, tags: Mapping[str, str], splits: Splits) -> None:
        """Write down that it begins, and on what."""
        ...


class FreshStart:
    """A run that begins anew, in a folder of its own."""

    is_new = True
    step = 0
    checkpoint_folder: Path | None = None
    best_counts = True
    notices: Sequence[str] = ()

    def __init__(self, plan: Plan, runs_folder: Path = RUNS_FOLDER) -> None:
        self._name = plan.name
        self._runs_folder = runs_folder

    @cached_property
    def folder(self) -> RunFolder:
        """Made when it is first asked for.

        Raises:
            RunError: If it cannot be made.
        """
        return RunFolder.create(self._runs_folder, self._name)

    def take(self, plan: Plan) -> None:
        """Write the resolved experiment: the first thing that a run folder holds."""
        try:
            record_experiment(self.folder, plan)
        except OSError as error:
            reason = error.strerror or error
            raise RunError(f"the run folder {self.folder.path} cannot be written: {reason}") from error

    def compare_environment(self, tags: Mapping[str, str]) -> None:
        """There is nothing to compare with."""

    def compare_data(self, splits: Splits) -> None:
        """There is nothing to compare with."""

    def compare_model(self, tags: Mapping[str, str]) -> None:
        """There is nothing to compare with."""

    def record(self, journal: Journal, plan: Plan, tags: Mapping[str, str], splits: Splits) -> None:
        """The run, and its data."""
        record_start(journal, self.folder, plan, tags)
        record_data(journal, splits, sampled=is_sampled(plan))
