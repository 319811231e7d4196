"""What a run does to its process and undoes: signals, logging, warnings, environment."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ftrun.errors import FtrunError, RunError
from ftrun.planning.blame import blamed
from ftrun.planning.parts import Part
from ftrun.redaction import RedactedStream, redacted

log = logging.getLogger(__name__)

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal, `timeout` or a scheduler sends to all processes of a run to stop it."""

PROCESS_COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Where launchers say how many processes there are; Accelerate reads all of them."""


@contextlib.contextmanager
def environment_restored() -> Iterator[None]:
    """Put the environment variables back at the end."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextlib.contextmanager
def output_redacted() -> Iterator[None]:
    """Take the secrets out of what libraries print."""
    out, err = RedactedStream(sys.stdout), RedactedStream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield
        finally:
            out.finish()
            err.finish()


class _QuietHandler(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        pass  # a disk that is full is told once, where it ends the run

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a folder that is gone: the file is opened outside of what is handled
            super().emit(record)


class _RedactedFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))


@contextlib.contextmanager
def output_logged(path: Path) -> Iterator[None]:
    """Send what libraries log and warn of to a file, not to the terminal."""
    handler = _QuietHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(_RedactedFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root, ours = logging.getLogger(), logging.getLogger("ftrun")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            logging.captureWarnings(True)
            try:
                yield
            finally:
                logging.captureWarnings(False)
    finally:
        ours.setLevel(level)
        root.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def faults_logged(what: str, parts: Iterable[Part] = ()) -> Iterator[None]:
    """What libraries say goes to a file that is kept only where it holds the traceback of a fault.

    Args:
        what: What is done, in a word.
        parts: Those at work, one of which may be to blame.

    Raises:
        RunError: For what a library raises, with where its traceback is.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"ftrun-{what}-"))
    path = folder / "log.txt"
    keep = False
    try:
        with output_logged(path):
            try:
                yield
            except FtrunError:
                raise
            except Exception as fault:
                log.exception("the %s failed", what)
                keep = True
                raised = f"{type(fault).__name__}: {fault}{blamed(fault, parts)}"
                raise RunError(f"{raised} (the traceback is in {path})") from fault
    finally:
        if not keep:
            path.unlink(missing_ok=True)
            folder.rmdir()


@dataclass
class Interruption:
    """Whether a signal asked the run to stop, and which."""

    signal: signal.Signals | None = None


@contextlib.contextmanager
def signals_caught(on_signal: Callable[[], None]) -> Iterator[Interruption]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into a request to stop; a second one ends the work at once.

    But SIGHUP counts for less: a terminal that is closed may send it twice, and a system that goes down sends it with
    SIGTERM. Where it is ignored, as under `nohup`, or the program has a use of its own for it, it is not caught.

    Outside the main thread, where Python has no signals, nothing is caught.
    """
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return

    def handle(number: int, _frame: object) -> None:
        first = interruption.signal
        if first in (signal.SIGINT, signal.SIGTERM):
            if number == signal.SIGHUP:
                return
            raise KeyboardInterrupt
        interruption.signal = signal.Signals(number)
        if first is None:
            on_signal()

    caught = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        caught.append(signal.SIGHUP)
    before = {number: signal.signal(number, handle) for number in caught}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Put off what stops a run until the block ends; processes that begin in it begin with it blocked."""
    came: list[int] = []

    def pass_on() -> None:
        for number in came:
            signal.raise_signal(number)

    with contextlib.ExitStack() as undo:  # goes on undoing though a handler raises in the midst of it
        undo.callback(pass_on)
        undo.callback(signal.pthread_sigmask, signal.SIG_SETMASK, signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING))
        if threading.current_thread() is threading.main_thread():  # which is told, too, what another thread receives
            for number in STOPPING:
                if (before := signal.getsignal(number)) is not None:
                    undo.callback(signal.signal, number, before)
                    signal.signal(number, lambda number, _: came.append(number))
        yield


def refuse_several_processes() -> None:
    """Refuse to run as one of several processes, which this version cannot do.

    Raises:
        RunError: If a launcher such as torchrun or mpirun started more than one process.
    """
    for name in PROCESS_COUNTS:
        count = os.environ.get(name, "").strip()
        if count not in ("", "1"):
            raise RunError(
                f"this version of ftrun trains in one process, and {name} is {count}; "
                "start it without torchrun, mpirun or several processes of accelerate launch"
            )
