"""What a user can be told: what is wrong, where, what was expected, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftrun.redaction import redacted

__all__ = ["ExperimentError", "FtrunError", "Problem", "RunError", "RunFinishedError", "nearest"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, in the words of the person who can mend it.

    Attributes:
        message: What is wrong, and what was expected.
        place: Where: a dotted key (`training.learning_rate`), or a file with a line for syntax.
        hint: What to do about it, such as the nearest right name.
        origin: The file, profile or option that the faulty value came from.
    """

    message: str
    place: str | None = None
    hint: str | None = None
    origin: str | None = None

    def inside(self, place: str) -> Problem:
        """The same problem of something that is a part of `place`."""
        return replace(self, place=f"{place}.{self.place}" if self.place else place)

    def __str__(self) -> str:
        where = f"{self.place}: " if self.place else ""
        source = f" (in {self.origin})" if self.origin else ""
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{where}{self.message}{source}{hint}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name among `names` that was probably meant by `name`, or None."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)), None)


class FtrunError(Exception):
    """Base of everything that ftrun raises for a person to read; it never needs a traceback, and tells no secret."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems: Sequence[Problem] = tuple(
            _without_secrets(problem if isinstance(problem, Problem) else Problem(problem)) for problem in problems
        )
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[Any, ...]:
        """With its problems, for other processes: an exception alone keeps no more than its text."""
        return type(self), tuple(self.problems), self.__dict__


def _without_secrets(problem: Problem) -> Problem:
    return replace(problem, message=redacted(problem.message), hint=problem.hint and redacted(problem.hint))


class ExperimentError(FtrunError):
    """The experiment file, an option or a part of the experiment is wrong (exit status 2)."""


class RunError(FtrunError):
    """A sound experiment could not be run to its end, for a reason outside it (exit status 1)."""


class RunFinishedError(RunError):
    """The run that is to be gone on with is finished."""
