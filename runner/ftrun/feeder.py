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

from ftrun.experiment import without_credentials
from ftrun.journal import RunFolder, read_journal, write_whole

TELL_SECONDS = 0.5
TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the user says otherwise: the feeder itself tries again, after a look at what has arrived. The client's own
retries would create a run anew whose first creation was only answered too late."""


@dataclass(frozen=True)
class Delivery:
    """How far MLflow has a run.

    Attributes:
        uri: Where, without credentials; None until MLflow was reached.
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
            [sys.executable, "-m", "ftrun.tracking", str(folder.path)],
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**HTTP, **os.environ, **TELEMETRY_OFF, **({"MLFLOW_TRACKING_URI": meant_uri(uri)} if uri else {})},
        )


def meant_uri(uri: str) -> str:
    """The URI of the file; with the environment's credentials, if it is the environment's but for them."""
    around = os.environ.get("MLFLOW_TRACKING_URI", "")
    return around if without_credentials(around) == uri else uri


def delivery(folder: RunFolder) -> Delivery:
    """How far MLflow has a run, from what the run folder says; MLflow is not asked."""
    state = read_state(folder)
    pending = sum(1 for _ in read_journal(folder.journal, delivered_offset(folder, state)))
    return Delivery(state.get("uri"), state.get("run_id"), pending, state.get("error"), state.get("doing"))


def read_state(folder: RunFolder) -> dict[str, Any]:
    """What is remembered of the delivery of a run."""
    try:
        state: dict[str, Any] = json.loads(folder.delivery.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return state


def delivered_offset(folder: RunFolder, state: Mapping[str, Any]) -> int:
    """Up to where the journal is delivered; 0 if that is no place between two records.

    After a loss of power the journal may be shorter than it was. To send all of it again does no harm.
    """
    offset = int(state.get("delivered", 0))
    if offset == 0:
        return 0
    with folder.journal.open("rb") as journal:
        journal.seek(offset - 1)
        return offset if journal.read(1) == b"\n" else 0


def write_state(folder: RunFolder, **changes: Any) -> None:
    """Remember changes; for whoever holds `delivery_lock`."""
    write_whole(folder.delivery, json.dumps({**read_state(folder), **changes}, indent=2) + "\n")


def delivery_lock(folder: RunFolder, timeout: float) -> FileLock:
    """Held by whoever delivers a run, and writes down how far."""
    return FileLock(folder.path / ".mlflow.lock", timeout=timeout)
