"""How a run ended, for whoever began it."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from ftrun.errors import FtrunError
from ftrun.runs.results import RunResult


@dataclass(frozen=True)
class Outcome:
    """A run's result, and what is left to say about it.

    Attributes:
        result: The run as it ended.
        problem: The error that a user can mend, if that is what ended it.
        signal: The signal that ended it, if one did.
    """

    result: RunResult
    problem: FtrunError | None = None
    signal: signal.Signals | None = None
