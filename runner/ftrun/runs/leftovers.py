"""What a run's folder can do without: checkpoints once it is finished, and parts that killed processes left."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ftrun.runs.checkpoints import PREFIX
from ftrun.runs.folder import RunFolder

SMALL_FILE_SECONDS = 60.0
"""Age at which a small file under the name that it has while it is written counts as left behind."""


def whole_checkpoints(folder: RunFolder) -> list[Path]:
    """The published checkpoints of a run."""
    return sorted(path for path in folder.checkpoints.glob(f"{PREFIX}*") if path.is_dir())


def leftovers(folder: RunFolder) -> list[Path]:
    """What a killed process was writing or removing; of a run that is going on it may be on its way."""
    small = [path for path in folder.path.glob(".*.*") if path.suffix[1:].isdecimal() and _is_old(path)]
    parts = (*folder.checkpoints.glob(f".{PREFIX}*"), *folder.uploads.glob(f".{PREFIX}*"))
    return sorted([*parts, *small])


def _is_old(path: Path) -> bool:
    """Whether nobody can be writing a small file any more: one that tells MLflow may be, though the run has ended."""
    try:
        return path.is_file() and time.time() - path.stat().st_mtime > SMALL_FILE_SECONDS
    except OSError:
        return False


def remove(paths: Sequence[Path]) -> list[Path]:
    """Remove files and folders, none of them by halves under its own name; returns what could not be removed."""
    return [path for path in paths if not _removed(path)]


def _removed(path: Path) -> bool:
    try:
        if path.is_dir() and not path.is_symlink():
            if not path.name.startswith("."):
                path = path.rename(path.with_name(f".{path.name}.removed"))
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
