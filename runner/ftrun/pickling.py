"""Whether a thing can be sent to other processes, told before they are begun."""

from __future__ import annotations

import io
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ftrun.errors import ExperimentError, Problem


def check_picklable(thing: Any, what: str, key: str, without: str) -> None:
    """Pickle a thing to nowhere.

    Args:
        thing: What is to be sent.
        what: What to call it.
        key: The setting that asks for the processes.
        without: How to do without them, as a sentence begins: "Set it to 0".

    Raises:
        ExperimentError: If it cannot be sent.
    """
    try:
        ForkingPickler(_Nowhere()).dump(thing)
    except Exception as error:  # pickle's own errors, AttributeError, TypeError, or what an object raises
        message = f"{what} cannot be sent to other processes: {error}"
        hint = f"{without}, or make it of functions and classes that a module holds, without locks or open files."
        raise ExperimentError(Problem(message, key, hint)) from error


class _Nowhere(io.RawIOBase):
    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return len(data)
