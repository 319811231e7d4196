"""What is remembered of a run's way to MLflow, in `mlflow.json` in its folder, and how far MLflow has the run.

A later feeder, or `ftrun sync`, goes on where it says.
"""

from __future__ import annotations

import contextlib
import json
import traceback
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from filelock import FileLock, Timeout

from ftrun.errors import FtrunError
from ftrun.redaction import address, redacted, redacted_values
from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.journal import read_journal


@dataclass(frozen=True)
class State:
    """What is remembered.

    Attributes:
        uri: Where the run goes, without secrets; None until that is known.
        working_folder: Where it was begun: MLflow puts the artifacts of a new SQLite store below it.
        experiment_id: MLflow's id of its experiment; run_id: of the run; None until MLflow has them.
        delivered: The byte offset up to which MLflow has the journal; to be asked for by `delivered_offset`.
        error: Why the last attempt failed; None if it did not.
        doing: The file that is being sent, such as "model/config.json", or that the last attempt came to.
    """

    uri: str | None = None
    working_folder: str | None = None
    experiment_id: str | None = None
    run_id: str | None = None
    delivered: int = 0
    error: str | None = None
    doing: str | None = None


@dataclass(frozen=True)
class Delivery:
    """How far MLflow has a run.

    Attributes:
        uri: Where, without credentials; None until that is known.
        run_id: MLflow's id of the run.
        pending: Records of the journal that MLflow has not got.
        error: Why the last attempt failed.
        doing: The file that is being sent, such as "model/config.json", or that the last attempt came to.
    """

    uri: str | None = None
    run_id: str | None = None
    pending: int = 0
    error: str | None = None
    doing: str | None = None


def delivery(folder: RunFolder) -> Delivery:
    """How far MLflow has a run, from what the run folder says; MLflow is not asked.

    Raises:
        RunError: If a later version of ftrun has written its journal, in a format that this one does not read.
    """
    state = read_state(folder)
    pending = sum(1 for _ in read_journal(folder.journal, delivered_offset(folder, state)))
    return Delivery(state.uri and address(state.uri), state.run_id, pending, state.error, state.doing)


def read_state(folder: RunFolder) -> State:
    """What is remembered of a run; nothing where that cannot be read, so that all of it is sent again, which does no
    harm.
    """
    found = _remembered(folder) or {}
    types = {field.name: int if field.name == "delivered" else str for field in fields(State)}
    return State(**{key: found[key] for key, known in types.items() if isinstance(found.get(key), known)})


def is_state_damaged(folder: RunFolder) -> bool:
    """Whether something is remembered of a run, and it cannot be read."""
    return folder.tracking_state.exists() and _remembered(folder) is None


def _remembered(folder: RunFolder) -> dict[str, Any] | None:
    try:
        found = json.loads(folder.tracking_state.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def write_state(folder: RunFolder, state: State) -> None:
    """Remember it, without secrets; for whoever holds `tracking_lock`."""
    ever_null = ("error", "doing")
    facts = {key: value for key, value in asdict(state).items() if value is not None or key in ever_null}
    write_whole(folder.tracking_state, json.dumps(redacted_values(facts), indent=2) + "\n")


def tracking_lock(folder: RunFolder, timeout: float) -> FileLock:
    """Held by whoever sends a run to MLflow, and writes down how far.

    Args:
        folder: The run's.
        timeout: Seconds to wait for another who holds it.
    """
    return FileLock(folder.path / ".mlflow.lock", timeout=timeout)


def delivered_offset(folder: RunFolder, state: State) -> int:
    """The byte offset up to which MLflow has the journal; 0 if that is no place between two records.

    After a loss of power the journal may be shorter than it was. To send all of it again does no harm.
    """
    offset = state.delivered
    if not 0 < offset <= folder.journal.stat().st_size:
        return 0
    with folder.journal.open("rb") as journal:
        journal.seek(offset - 1)
        return offset if journal.read(1) == b"\n" else 0


def remember_failure(folder: RunFolder, error: Exception) -> None:
    """Write down why an attempt failed: in the log with its traceback, and in the state in a line."""
    expected = isinstance(error, FtrunError)
    with folder.log.open("a", encoding="utf-8") as log:
        log.write(f"{error}\n" if expected else redacted("".join(traceback.format_exception(error))))
    told = str(error) if expected else f"{type(error).__name__}: {error}"
    with contextlib.suppress(Timeout), tracking_lock(folder, timeout=1.0):
        write_state(folder, replace(read_state(folder), error=told))
