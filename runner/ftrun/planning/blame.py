"""Whose fault an exception is: the plugin that its traceback came through last."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType

from ftrun.planning.choice import BUILT_IN
from ftrun.planning.parts import Part


def blamed(fault: BaseException, parts: Iterable[Part]) -> str:
    """Where in a plugin an exception was raised or passed through, to go on a sentence with; empty if in none.

    The component is named where the line is in its own module, or where it is the only one of its package here.

    Args:
        fault: The exception.
        parts: Those that were at work. Built-in ones are never blamed: a fault that came through them is ftrun's.
    """
    found = _last_line(fault, parts)
    if found is None:
        return ""
    frame, line, near = found
    who = near[0].offer.who if len({part.offer.who for part in near}) == 1 else near[0].offer.provider
    return f" in {who} ({Path(frame.f_code.co_filename).name}, line {line})"


def line_in(fault: BaseException, part: Part) -> str:
    """The same for a sentence that has named the component already: the file and the line alone."""
    found = _last_line(fault, [part])
    return f" ({Path(found[0].f_code.co_filename).name}, line {found[1]})" if found else ""


def _last_line(fault: BaseException, parts: Iterable[Part]) -> tuple[FrameType, int, Sequence[Part]] | None:
    """The last line of a plugin that an exception came through, and whose it may be."""
    theirs = [part for part in parts if part.offer.distribution != BUILT_IN]
    for frame, line in reversed(list(traceback.walk_tb(fault.__traceback__))):
        if found := [part for part in theirs if _is_of(frame, part)]:
            return frame, line, [part for part in found if part.module == frame.f_globals.get("__name__")] or found
    return None


def _is_of(frame: FrameType, part: Part) -> bool:
    """Whether a line is of the package that a component comes from, whichever of its modules."""
    home = part.home
    return home is not None and Path(frame.f_code.co_filename).resolve().is_relative_to(home)
