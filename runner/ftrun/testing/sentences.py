"""What a suite says where a component breaks a promise: sentences for its author, and no traceback through ftrun."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pluggy
import pytest

from ftrun.errors import FtrunError

NOT_THEIRS = (str(Path(__file__).parent.parent), str(Path(pluggy.__file__).parent))
"""Folders whose frames help no author."""
SHOWN = 3
"""Frames of a traceback that are shown, from where the author's code begins and from where it ends."""


def fail(message: str, hint: str | None = None) -> NoReturn:
    """Fail the test, in words alone.

    Args:
        message: What the component does, and what was expected.
        hint: What its author can do about it.
    """
    raise pytest.fail.Exception(f"{message}\n  {hint}" if hint else message, pytrace=False) from None


def expect(holds: bool, message: str, hint: str | None = None) -> None:
    """Fail the test unless something holds; see `fail`."""
    if not holds:
        fail(message, hint)


@contextlib.contextmanager
def answering(what: str) -> Iterator[None]:
    """Fail the test in words where the author's code raises, with the lines of it that the fault came through.

    Args:
        what: What is called, such as 'build of the metric "kappa"'.
    """
    try:
        yield
    except FtrunError as error:
        fail(f"{what} refuses what should be fine:\n{error}")
    except Exception as fault:
        fail(f"{what} raised {type(fault).__name__}: {fault}\n{_lines(fault)}")


def _lines(fault: BaseException) -> str:
    whole = traceback.extract_tb(fault.__traceback__)
    frames = [frame for frame in whole if not frame.filename.startswith(NOT_THEIRS)] or whole
    first, last = frames[:SHOWN], frames[SHOWN:][-SHOWN:]
    left_out = ["  ...\n"] if len(frames) > len(first) + len(last) else []
    return "".join([*traceback.format_list(first), *left_out, *traceback.format_list(last)]).rstrip()
