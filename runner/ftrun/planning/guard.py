"""What code of others does to this process as it is imported: noticed, undone, and what it prints kept aside."""

from __future__ import annotations

import contextlib
import locale
import logging
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

PATCHED = ("builtins", "click", "ftrun", "json", "pluggy")
"""Packages whose functions and classes are watched for being replaced."""
LONGEST_OUTPUT = 200
"""Characters of what was printed that are told."""


@dataclass
class Watched:
    """What was noticed, once the block is over.

    Attributes:
        changed: What was changed and is as it was again, each in a word.
        kept: What was changed and could not be put back.
        output: What was written to standard output.
        seconds: What it took of the processor, in this thread: others that keep the machine busy do not count.
    """

    changed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    output: str = ""
    seconds: float = 0.0


@contextlib.contextmanager
def watched() -> Iterator[Watched]:
    """Notice what the block changes of the process and what it prints, and undo it, also where it raises."""
    seen = Watched()
    before = [(thing, thing.look()) for thing in _THINGS]
    with _output_aside(seen):
        began = time.thread_time()
        try:
            yield seen
        finally:
            seen.seconds = time.thread_time() - began
            _undo(before, seen)


@dataclass(frozen=True)
class _Thing:
    """Something of the process that is nobody's to change."""

    name: str
    look: Callable[[], Any]
    put_back: Callable[[Any], object]


def _undo(before: list[tuple[_Thing, Any]], seen: Watched) -> None:
    for thing, was in before:
        try:
            if thing.look() == was:
                continue
            thing.put_back(was)
            (seen.changed if thing.look() == was else seen.kept).append(thing.name)
        except Exception:
            seen.kept.append(thing.name)


class _Aside:
    """A stream that keeps what is written for a while, and passes it on from then on: its writer may hold it longer."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.said: list[str] | None = []

    def write(self, text: str) -> int:
        if self.said is None:
            written: int = self._stream.write(text)
            return written
        self.said.append(str(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _output_aside(seen: Watched) -> Iterator[None]:
    """Keep standard output for what this process has to say: that of Python, of C and of child processes."""
    ours = sys.stdout
    with tempfile.TemporaryFile() as file, contextlib.ExitStack() as undo:
        undo.callback(_read_back, file, seen)
        if _goes_to_descriptor(ours):
            undo.callback(_flush, ours)  # into the file, before what was there is back
        elif ours is not None:
            aside = _Aside(ours)
            sys.stdout = aside
            undo.callback(_pass_on, aside, seen)
        undo.callback(setattr, sys, "stdout", ours)
        _flush(ours)
        with contextlib.suppress(OSError):  # of a standard output that is closed there is nothing to keep
            kept = os.dup(1)
            undo.callback(_descriptor_back, kept, ours)
            os.dup2(file.fileno(), 1)
        yield


def _goes_to_descriptor(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 1)
    except Exception:  # there is none, or it is closed, or of somebody's own making
        return False


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):
        stream.flush()


def _descriptor_back(kept: int, stream: Any) -> None:
    _flush(stream)
    os.dup2(kept, 1)
    os.close(kept)


def _pass_on(aside: _Aside, seen: Watched) -> None:
    seen.output = _shortened("".join(aside.said or []))
    aside.said = None


def _read_back(file: Any, seen: Watched) -> None:
    file.seek(0)
    text = file.read(16 * LONGEST_OUTPUT).decode("utf-8", "backslashreplace")
    seen.output = _shortened(f"{seen.output} {text}")


def _shortened(text: str) -> str:
    return " ".join(text.split())[:LONGEST_OUTPUT]


def _environ_back(was: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(was):
        del os.environ[name]
    for name, value in was.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _path_back(was: list[str]) -> None:
    sys.path[:] = was


def _arguments_back(was: list[str]) -> None:
    sys.argv[:] = was


def _logging_now() -> tuple[Any, ...]:
    root = logging.getLogger()
    state = (root.level, tuple(root.handlers), tuple(root.filters), root.disabled, root.manager.disable)
    return (*state, logging.getLoggerClass(), logging.getLogRecordFactory(), logging.raiseExceptions)


def _logging_back(was: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    level, handlers, filters, root.disabled, disabled, kind, factory, logging.raiseExceptions = was
    root.setLevel(level)
    root.handlers[:], root.filters[:] = handlers, filters
    logging.disable(disabled)
    logging.setLoggerClass(kind)
    logging.setLogRecordFactory(factory)


def _signals_now() -> Mapping[int, Any]:
    if threading.current_thread() is not threading.main_thread():  # which alone may set them
        return {}
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def _signals_back(was: Mapping[int, Any]) -> None:
    for number, handler in was.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _warnings_now() -> tuple[Any, ...]:
    return (list(warnings.filters), warnings.showwarning, warnings.formatwarning)


def _warnings_back(was: tuple[Any, ...]) -> None:
    warnings.resetwarnings()  # by which the interpreter knows that they are others now
    filters, warnings.showwarning, warnings.formatwarning = was
    warnings.filters[:] = filters  # type: ignore[index]


def _streams_now() -> tuple[Any, ...]:
    return (sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, sys.stderr, sys.stdin)


def _streams_back(was: tuple[Any, ...]) -> None:
    sys.excepthook, sys.displayhook, sys.unraisablehook, threading.excepthook, sys.stderr, sys.stdin = was


def _folder_now() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - of a folder that is gone there is none
    except OSError:
        return None


class _Named(dict[Any, Any]):
    """What bears a name; equal to earlier ones that all are as they were, whatever has come to them."""

    def __eq__(self, earlier: object) -> bool:
        assert isinstance(earlier, dict)
        return all(self.get(key) is value for key, value in earlier.items())

    __hash__ = None


def _modules_now() -> _Named:
    return _Named({name: module for name, module in list(sys.modules.items()) if name.partition(".")[0] in PATCHED})


def _functions_now() -> _Named:
    """Functions and classes by module and name, and methods by class and name."""
    found = _Named()
    for module_name, module in _modules_now().items():
        if module is None:
            continue
        for name, value in list(vars(module).items()):
            if not callable(value) or name == "_":
                continue
            found[module, name] = value
            if isinstance(value, type) and value.__module__ == module_name != "builtins":
                methods = {key: method for key, method in list(vars(value).items()) if callable(method)}
                found.update(((value, key), method) for key, method in methods.items())
    return found


def _functions_back(was: _Named) -> None:
    now = _functions_now()
    for (owner, name), value in was.items():
        if now.get((owner, name)) is not value:
            setattr(owner, name, value)


def _start_method_now() -> str | None:
    module = sys.modules.get("multiprocessing")
    return module.get_start_method(allow_none=True) if module else None


def _start_method_back(was: str | None) -> None:
    sys.modules["multiprocessing"].set_start_method(was, force=True)


_THINGS = (
    _Thing("the modules of click, ftrun or Python", _modules_now, sys.modules.update),
    _Thing("functions of click, ftrun or Python", _functions_now, _functions_back),
    _Thing("sys.path", lambda: list(sys.path), _path_back),
    _Thing("sys.argv", lambda: list(sys.argv), _arguments_back),
    _Thing("environment variables", lambda: dict(os.environ), _environ_back),
    _Thing("the set-up of logging", _logging_now, _logging_back),
    _Thing("the filters of warnings", _warnings_now, _warnings_back),
    _Thing("signal handlers", _signals_now, _signals_back),
    _Thing("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda was: locale.setlocale(locale.LC_ALL, was)),
    _Thing("Python's hooks or streams", _streams_now, _streams_back),
    _Thing("the working folder", _folder_now, os.chdir),
    _Thing("how processes are started", _start_method_now, _start_method_back),
    _Thing("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
)
