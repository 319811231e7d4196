"""The end of a run whose process is gone, written down by whoever sees it first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from ftrun.errors import RunError
from ftrun.runs.checkpoint_table import record_checkpoints
from ftrun.runs.description import description, resume_command
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import History, read_history
from ftrun.runs.journal import Journal
from ftrun.runs.records import ERROR_TAG, NOTE_TAG, EndRecord, TagsRecord


def _ended(path: Path) -> bool:
    """Whether the last record is that of an end; reads no more than the last lines."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            end = file.read()
    except OSError:  # it is gone, or not ours
        return True
    return end.endswith(b"\n") and end.splitlines()[-1].startswith(b'{"type": "end"')


def mark_if_killed(folder: RunFolder, patience: float = 0.0) -> bool:
    """Write down the end of a run whose process is gone; returns whether it was one.

    Args:
        folder: The run's.
        patience: Seconds to wait for a process that is just going.
    """
    if _ended(folder.journal):
        return False
    try:
        with folder.locked(patience):
            history = read_history(folder)
            if not history.recorded or history.status is not None:
                return False
            with contextlib.closing(Journal(folder.journal)) as journal:
                with contextlib.suppress(OSError):  # a table is no reason for a run to have no end
                    record_checkpoints(journal, folder)
                journal.append(TagsRecord(_killed_tags(folder, history)))
                journal.append(EndRecord("KILLED"))
            return True
    except RunError:  # it is still running, or its folder cannot be written, or a later version's
        return False


def _killed_tags(folder: RunFolder, history: History) -> Mapping[str, str]:
    error = f"killed outright, after step {history.last_step}"
    note = {} if NOTE_TAG in history.tags else {NOTE_TAG: description(error, "to go on", resume_command(folder))}
    return {ERROR_TAG: error, **note}
