"""The process that feeds MLflow from a run's journal, as the run sees it, and how far MLflow has a run.

What is delivered is remembered in the run folder, in `mlflow.json`: so a later feeder, or `ftrun sync`, goes on there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from filelock import FileLock

from ftrun.errors import RunError
from ftrun.planning.experiment import absolute_store
from ftrun.redaction import HIDDEN, address, is_redacted, redacted_uri, redacted_values
from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.journal import read_journal

TELL_SECONDS = 0.5
DEFAULT_STORE = "sqlite:///mlflow.db"
"""MLflow's own, in the working folder."""
TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the user says otherwise: the feeder itself tries again, after a look at what has arrived. The client's own
retries would create a run anew whose first creation was only answered too late."""


_STATE = {"delivered": int}
"""Types of what is remembered of a delivery; all else is text."""


class MissingCredentialsError(RunError):
    """The credentials of a tracking URI are not on record, and not in the environment."""


@dataclass(frozen=True)
class Delivery:
    """How far MLflow has a run.

    Attributes:
        uri: Where, without credentials; None until that is known.
        run_id: MLflow's id of the run.
        pending: Records of the journal that MLflow has not got.
        error: Why the last attempt failed.
        doing: What is being sent that may take a while, such as "model".
    """

    uri: str | None = None
    run_id: str | None = None
    pending: int = 0
    error: str | None = None
    doing: str | None = None


class Feeder:
    """The process that feeds MLflow while a run goes on."""

    def __init__(self, folder: RunFolder, uri: str | None) -> None:
        self.folder = folder
        self._process = _start(folder, uri, subprocess.PIPE)

    def abandon(self) -> None:
        """End it before the run has begun to be recorded: there is nothing to deliver."""
        self._process.kill()
        self._process.communicate()

    def let_go(self) -> None:
        """Leave it to itself: it goes on for a while, and ends by itself."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def finish(self, patience: float, tell: Callable[[Delivery], None]) -> Delivery:
        """Wait until MLflow has everything, at most `patience` seconds, and say how far it has it.

        Args:
            patience: What is not delivered then stays pending.
            tell: Called again and again with what is left.
        """
        self.let_go()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TELL_SECONDS)
                return delivery(self.folder)
            tell(delivery(self.folder))
        self._process.terminate()
        self._process.wait()
        return delivery(self.folder)


def deliver_later(folder: RunFolder, uri: str | None) -> None:
    """Deliver what is pending of a run that has ended, in a process of its own that nobody waits for."""
    _start(folder, uri, subprocess.DEVNULL)


def _start(folder: RunFolder, uri: str | None, stdin: int) -> subprocess.Popen[bytes]:
    with folder.log.open("ab") as log:
        # a session of its own: Ctrl-C is for the run, which ends the feeder itself; the pipe tells it of our death
        return subprocess.Popen(
            [sys.executable, "-m", "ftrun.tracking.sender", str(folder.path)],
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**HTTP, **os.environ, **TELEMETRY_OFF, **({"MLFLOW_TRACKING_URI": _meant(uri)} if uri else {})},
        )


def missing_credentials(folder: RunFolder, uri: str | None) -> str | None:
    """What to do about credentials that a run needs to be delivered, as far as that is known without asking MLflow.

    Args:
        folder: The run's.
        uri: Where its file says it is to go.
    """
    try:
        target_uri(read_state(folder), uri, _meant(uri) if uri else _around())
    except MissingCredentialsError as error:
        return str(error)
    return None


def target_uri(state: Mapping[str, Any], uri: str | None, around: str) -> str | None:
    """The whole URI that a run goes to: where it is already; else where its file says; else where the environment says.

    Args:
        state: What is remembered of its delivery.
        uri: Where its file says it is to go.
        around: Where the environment says.

    Returns:
        The URI; None for MLflow's own default.

    Raises:
        MissingCredentialsError: If its credentials are not on record, and the environment does not have them.
    """
    known = state.get("uri")
    if known is None:
        wanted = uri or around
    else:
        may_move = "run_id" not in state
        wanted = around if around and (may_move or _is_same_store(around, known)) else known
    return _completed(wanted, around) if wanted else None


def _around() -> str:
    return absolute_store(os.environ.get("MLFLOW_TRACKING_URI", ""))


def _meant(uri: str) -> str:
    """The URI of the file; with the environment's credentials, if it is the environment's but for them."""
    try:
        return _completed(uri, _around())
    except MissingCredentialsError:
        return uri


def _is_same_store(uri: str, other: str) -> bool:
    """Whether two URIs differ in their credentials alone."""
    return address(redacted_uri(uri)) == address(redacted_uri(other))


def _completed(uri: str, around: str) -> str:
    """A URI, perhaps from a record, with the environment's credentials."""
    if around and not is_redacted(around) and address(redacted_uri(around)) == address(uri):
        return around
    if not is_redacted(uri):
        return uri
    ways = "MLFLOW_TRACKING_URI to the whole URI"
    if uri.startswith("http") and not is_redacted(plain := address(uri)):
        if os.environ.get("MLFLOW_TRACKING_TOKEN") or os.environ.get("MLFLOW_TRACKING_USERNAME"):
            return plain
        ways += f", or to {plain} with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD beside it"
    message = f"what {HIDDEN} stands for in {uri} is not on record; to have the run delivered, set {ways}"
    raise MissingCredentialsError(message)


def delivery(folder: RunFolder) -> Delivery:
    """How far MLflow has a run, from what the run folder says; MLflow is not asked.

    Raises:
        RunError: If a later version of ftrun has written its journal, in a format that this one does not read.
    """
    state = read_state(folder)
    pending = sum(1 for _ in read_journal(folder.journal, delivered_offset(folder, state)))
    uri = state.get("uri")
    return Delivery(uri and address(uri), state.get("run_id"), pending, state.get("error"), state.get("doing"))


def read_state(folder: RunFolder) -> dict[str, Any]:
    """What is remembered of the delivery of a run; nothing where that cannot be read, so that it is delivered again,
    which does no harm.
    """
    try:
        state = json.loads(folder.delivery.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(state, dict):
        return {}
    return {key: value for key, value in state.items() if value is None or isinstance(value, _STATE.get(key, str))}


def delivered_offset(folder: RunFolder, state: Mapping[str, Any]) -> int:
    """Up to where the journal is delivered; 0 if that is no place between two records.

    After a loss of power the journal may be shorter than it was. To send all of it again does no harm.
    """
    offset = state.get("delivered", 0)
    if offset is None or not 0 < offset <= folder.journal.stat().st_size:
        return 0
    with folder.journal.open("rb") as journal:
        journal.seek(offset - 1)
        return offset if journal.read(1) == b"\n" else 0


def write_state(folder: RunFolder, **changes: Any) -> None:
    """Remember changes, without secrets; for whoever holds `delivery_lock`."""
    state = redacted_values({**read_state(folder), **changes})
    write_whole(folder.delivery, json.dumps(state, indent=2) + "\n")


def delivery_lock(folder: RunFolder, timeout: float) -> FileLock:
    """Held by whoever delivers a run, and writes down how far."""
    return FileLock(folder.path / ".mlflow.lock", timeout=timeout)
