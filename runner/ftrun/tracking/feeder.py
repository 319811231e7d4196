"""The process that feeds MLflow from a run's journal, as the run sees it, and what it does.

    python -m ftrun.tracking.feeder RUN_FOLDER

It follows the journal while the run trains: an MLflow that is slow, away or importing never holds training up, and
nothing that mlflow does to a process (telemetry, logging, environment) is done to the user's.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ftrun.redaction import RedactedStream
from ftrun.runs.folder import RunFolder
from ftrun.runs.killed import mark_if_killed
from ftrun.tracking.deleted import DeletedError
from ftrun.tracking.patience import Patience, progress_of
from ftrun.tracking.sender import Sender
from ftrun.tracking.state import Delivery, delivery, remember_failure
from ftrun.tracking.stores import client_environment
from ftrun.tracking.target import MissingCredentialsError, with_credentials

TELL_SECONDS = 0.5
POLL_SECONDS = 3.0
"""How far MLflow is behind a training: to send few points costs the same as to send many."""
RETRY_SECONDS, LONGEST_RETRY = 2.0, 30.0
PATIENCE_ALONE = 120.0
"""Seconds that it goes on trying though nothing moves once the run's process has let it go, or is gone."""
NICENESS = 10
"""The feeder yields to the training: torch's threads wait for each other, so one that is held up holds up all."""


class Feeder:
    """The process that feeds MLflow while a run goes on, as the run sees it.

    Args:
        folder: The run's.
        uri: Where its file says it is to go.
        on_given_up: Called, from a thread, if the process ends while the run still goes on.
    """

    def __init__(
        self, folder: RunFolder, uri: str | None, on_given_up: Callable[[Delivery], None] = lambda _: None
    ) -> None:
        self.folder = folder
        self._is_needed = True
        self._on_given_up = on_given_up
        self._process = _start(folder, uri, subprocess.PIPE)
        threading.Thread(target=self._watch, name="ftrun-feeder", daemon=True).start()

    def _watch(self) -> None:
        self._process.wait()
        if self._is_needed:
            self._on_given_up(delivery(self.folder))

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def abandon(self) -> None:
        """End it before the run has begun to be recorded: there is nothing for MLflow."""
        self._is_needed = False
        self._process.kill()
        self._process.communicate()

    def let_go(self) -> None:
        """Leave it to itself: it goes on for a while, and ends by itself."""
        self._is_needed = False
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def finish(self, patience: float, tell: Callable[[Delivery], None]) -> Delivery:
        """Wait until MLflow has everything, as long as something moves, and say how far it has it.

        Args:
            patience: Seconds for which nothing may move; what MLflow has not got then stays pending.
            tell: Called again and again with what is left.
        """
        self.let_go()
        waiting = Patience(patience)
        while not waiting.is_over:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TELL_SECONDS)
                return delivery(self.folder)
            left = delivery(self.folder)
            waiting.sees(progress_of(left, self._process.pid))
            tell(left)
        self._process.terminate()
        self._process.wait()
        return delivery(self.folder)


def deliver_later(folder: RunFolder, uri: str | None) -> None:
    """Deliver what is pending of a run that has ended, in a process of its own that nobody waits for."""
    _start(folder, uri, subprocess.DEVNULL)


def _start(folder: RunFolder, uri: str | None, stdin: int) -> subprocess.Popen[bytes]:
    where = {"MLFLOW_TRACKING_URI": with_credentials(uri)} if uri else {}
    with folder.log.open("ab") as log:
        # a session of its own: Ctrl-C is for the run, which ends the feeder itself; the pipe tells it of our death
        return subprocess.Popen(
            [sys.executable, "-m", "ftrun.tracking.feeder", str(folder.path)],
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**client_environment(), **where},
        )


def follow(folder: RunFolder) -> None:
    """Feed MLflow until the run has ended, or the process that runs it is gone, and MLflow has everything."""
    os.nice(NICENESS)
    sender = Sender(folder)
    sender.prepare()  # while the run imports and opens its own
    wait, retry = POLL_SECONDS, RETRY_SECONDS
    alone: Patience | None = None
    while folder.journal.exists() and not (alone and alone.is_over):
        if alone:
            time.sleep(wait)
        elif select.select([sys.stdin], [], [], wait)[0]:  # end of file: the run's process let go, or is gone
            alone = Patience(PATIENCE_ALONE)
            mark_if_killed(folder, patience=1.0)
        try:
            sender.send()
            wait, retry = POLL_SECONDS, RETRY_SECONDS
            if alone:
                return
        except Exception as error:
            if not folder.journal.exists():  # the run folder was removed
                return
            remember_failure(folder, error)
            if isinstance(error, DeletedError) or (alone and isinstance(error, MissingCredentialsError)):
                return  # no waiting mends that
            if alone:
                alone.sees(progress_of(delivery(folder)))
            sender = Sender(folder)
            wait, retry = retry, min(retry * 2, LONGEST_RETRY)


if __name__ == "__main__":
    sys.stdout = sys.stderr = output = RedactedStream(sys.stderr)
    atexit.register(output.finish)
    follow(RunFolder(Path(sys.argv[1])))
