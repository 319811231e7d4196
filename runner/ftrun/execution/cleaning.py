"""What of the runs here can be removed, what is kept and why, and to be rid of it; never a model, never a run that is
going on.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftrun.errors import RunError
from ftrun.execution.overview import Overview
from ftrun.runs.glance import size_of
from ftrun.runs.leftovers import leftovers, remove, whole_checkpoints


@dataclass(frozen=True)
class Cleaning:
    """What can go of one run.

    Attributes:
        run: The run.
        checkpoints: Those that nobody will resume from; leftovers: parts that a killed process left.
        size: Bytes of both.
        kept: Why its checkpoints stay, as a clause; None where they can go, or there are none.
    """

    run: Overview
    checkpoints: Sequence[Path] = ()
    leftovers: Sequence[Path] = ()
    size: int = 0
    kept: str | None = None

    @property
    def paths(self) -> list[Path]:
        """All that can go."""
        return [*self.checkpoints, *self.leftovers]


def plan_cleaning(runs: Sequence[Overview]) -> list[Cleaning]:
    """What can go of each run, and why the rest is kept; runs of which there is nothing to say are left out."""
    found = [_cleaning(run) for run in runs]
    return [one for one in found if one.paths or one.kept]


def _cleaning(run: Overview) -> Cleaning:
    if run.state == "running":
        return Cleaning(run, kept="it is going on")
    checkpoints = whole_checkpoints(run.folder)
    kept = _reason_to_keep(run) if checkpoints else None
    removable = [] if kept else checkpoints
    parts = leftovers(run.folder)
    return Cleaning(run, removable, parts, sum(map(size_of, [*removable, *parts])), kept)


def _reason_to_keep(run: Overview) -> str | None:
    name = shlex.quote(run.folder.name)
    if run.state != "finished":
        return f"it is not finished, and its checkpoints are what it goes on from: ftrun resume {name}"
    if run.pending:
        return f"MLflow has not got all of it: ftrun sync {name}"
    if not run.folder.model.is_dir():
        return "its model is not in its folder any more, and its checkpoints hold the only weights"
    return None


def clean(cleaning: Cleaning) -> list[str]:
    """Remove what can go of a run, if nobody has taken it up meanwhile; returns a sentence about what stays."""
    try:
        with cleaning.run.folder.locked(patience=0.0):
            return [f"{path} cannot be removed" for path in remove(cleaning.paths)]
    except RunError as error:
        return [str(error)]
