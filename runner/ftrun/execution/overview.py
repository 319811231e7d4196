"""The runs in a folder at a glance: state, numbers, size, and what MLflow has not got of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ftrun.errors import FtrunError
from ftrun.execution.finding import is_run, tracking_of
from ftrun.planning.experiment import load_experiment
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import Glance, glance_at, size_of
from ftrun.tracking.state import delivered_offset, read_state

State = Literal["running", "finished", "failed", "killed"]


@dataclass(frozen=True)
class Overview:
    """One run.

    Attributes:
        folder: Where it is; state: how it is with it.
        backend: The one that trained last, or was to; None where that cannot be read.
        glance: What its journal tells.
        size: Bytes on disk.
        began: When, in seconds since 1970.
        pending: Records that MLflow has not got, and is to have.
    """

    folder: RunFolder
    state: State
    backend: str | None
    glance: Glance
    size: int
    began: float
    pending: int

    def as_json(self) -> dict[str, Any]:
        """As plain JSON values; a number that is not finite, which JSON has not, is null."""
        numbers = self.glance.metrics.items()
        return {
            "run": self.folder.name,
            "run_folder": str(self.folder.path),
            "state": self.state,
            "backend": self.backend,
            "metrics": {key: value if math.isfinite(value) else None for key, value in numbers},
            "metrics_step": self.glance.metrics_step,
            "steps": self.glance.steps,
            "bytes": self.size,
            "began": self.began,
            "pending": self.pending,
            "pushed": self.glance.pushed,
        }


def overview(runs_folder: Path) -> tuple[list[Overview], list[str]]:
    """All runs in a folder, the newest first, and a sentence about each folder there that cannot be read as one."""
    found: list[Overview] = []
    unreadable: list[str] = []
    for path in sorted(path for path in runs_folder.glob("[!.]*") if path.is_dir()):
        if not is_run(path):
            unreadable.append(f"{path}: it is no run's folder, which has a journal.jsonl and an experiment.toml")
            continue
        try:
            found.append(_look(RunFolder(path.absolute())))
        except (FtrunError, OSError) as error:
            unreadable.append(f"{path}: {error}")
    return sorted(found, key=lambda run: (run.began, run.folder.name), reverse=True), unreadable


def _look(folder: RunFolder) -> Overview:
    glance = glance_at(folder)
    began = glance.began / 1000 if glance.began else folder.experiment.stat().st_mtime
    return Overview(
        folder=folder,
        state=_state(folder, glance),
        backend=glance.backend or _chosen_backend(folder),
        glance=glance,
        size=size_of(folder.path),
        began=began,
        pending=_pending(folder, glance),
    )


def _chosen_backend(folder: RunFolder) -> str | None:
    """The backend of a run that did not come to be recorded."""
    try:
        return str(load_experiment(folder.experiment).tables["backend"]["use"])
    except (FtrunError, LookupError, TypeError):
        return None


def _state(folder: RunFolder, glance: Glance) -> State:
    match glance.status:
        case "FINISHED":
            return "finished"
        case "FAILED":
            return "failed"
        case "KILLED":
            return "killed"
    return "running" if folder.is_held() else "killed"


def _pending(folder: RunFolder, glance: Glance) -> int:
    """Records that MLflow has not got; of a run that came to nothing, or that it is not to have, none."""
    if glance.backend is None:
        return 0
    offset = delivered_offset(folder, read_state(folder))
    with folder.journal.open("rb") as journal:
        journal.seek(offset)
        pending = sum(1 for line in journal if line.endswith(b"\n"))
    return pending if pending and _is_tracked(folder) else 0


def _is_tracked(folder: RunFolder) -> bool:
    try:
        return bool(tracking_of(folder).get("enabled", True))
    except FtrunError:  # nobody knows; then nothing is to be lost
        return True
