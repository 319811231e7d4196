"""What a run does to its process and undoes: signals, logging, warnings, environment; and what it can tell of it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TextIO

from ftrun.errors import RunError
from ftrun.redaction import redacted

STACK = ("ftrun", "torch", "transformers", "datasets", "accelerate", "evaluate", "mlflow", "tokenizers", "numpy")
"""The packages whose versions a run records, beside those of its plugins."""

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


class RedactedStream(io.TextIOBase):
    """Passes text on without the secrets in it, line by line; `finish` passes on what is left of a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._line = ""

    def write(self, text: str) -> int:
        """Pass on the lines that are whole."""
        lines, end, self._line = (self._line + text).rpartition("\n")
        if end:
            self._stream.write(redacted(lines) + end)
        return len(text)

    def flush(self) -> None:
        """Have what was passed on written."""
        self._stream.flush()

    def finish(self) -> None:
        """Pass on the last line, that has no end."""
        line, self._line = self._line, ""
        self._stream.write(redacted(line))
        self._stream.flush()


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


@dataclass
class Interruption:
    """Whether a signal asked the run to stop, and which."""

    signal: signal.Signals | None = None

    @property
    def exit_status(self) -> int | None:
        """What a shell gives a process that such a signal ended."""
        return 128 + self.signal if self.signal else None


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


def versions(extra: frozenset[str] = frozenset()) -> Mapping[str, str]:
    """The installed versions of the stack and of `extra` distributions, and Python's."""
    found = {"python": platform.python_version()}
    for name in (*STACK, *sorted(extra - set(STACK))):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def machine() -> Mapping[str, str]:
    """What tells this machine from others: its name, its system and its processor."""
    return {"host": platform.node(), "platform": platform.platform(), "processor": _processor()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def git_state(folder: Path) -> Mapping[str, str]:
    """The commit that `folder` is at and whether anything in it differs from that; empty outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": str(dirty).lower()}
