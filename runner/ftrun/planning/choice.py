"""Which distributions may load their plugins: all, those of FTRUN_PLUGINS, all but those of --no-plugin."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ftrun.errors import ExperimentError, Problem, nearest

VARIABLE = "FTRUN_PLUGINS"
OPTION = "--no-plugin"
BUILT_IN = "ftrun"
"""The distribution whose plugins always load."""


def normalized(name: str) -> str:
    """A distribution's name as PyPI compares it.

    >>> normalized("Their_Package")
    'their-package'
    """
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@dataclass(frozen=True)
class Choice:
    """Which plugins may load.

    Attributes:
        only: The distributions that may load beside the built-in one; None for all.
        without: The distributions that were left out one by one.
    """

    only: frozenset[str] | None = None
    without: frozenset[str] = frozenset()

    @classmethod
    def of(cls, environ: Mapping[str, str], without: Iterable[str] = ()) -> Choice:
        """What the environment says, and which distributions the command leaves out."""
        told = environ.get(VARIABLE)
        only = None if told is None else frozenset(normalized(name) for name in told.split(",") if name.strip())
        return cls(only, frozenset(map(normalized, without)))

    def reason_against(self, distribution: str) -> str | None:
        """What left a distribution out, `--no-plugin` or `FTRUN_PLUGINS`; None where it may load."""
        name = normalized(distribution)
        if name == BUILT_IN:
            return None
        if name in self.without:
            return OPTION
        return VARIABLE if self.only is not None and name not in self.only else None

    def refuse_unknown(self, installed: Collection[str]) -> None:
        """Refuse to leave out what is not there: what was meant would load.

        Raises:
            ExperimentError: Naming each such distribution.
        """
        names = sorted(set(map(normalized, installed)) - {BUILT_IN})
        problems = [_unknown(name, names) for name in sorted(self.without - set(names))]
        if problems:
            raise ExperimentError(*problems)

    def unknown(self, installed: Collection[str]) -> list[str]:
        """A sentence for each distribution that the environment lets load and that is not there."""
        names = sorted(set(map(normalized, installed)))
        return [
            f"{VARIABLE} names {name}, which is no installed plugin{_hint(name, names)}"
            for name in sorted((self.only or frozenset()) - {*names, BUILT_IN})
        ]

    def as_variable(self, installed: Collection[str]) -> str | None:
        """The value of `FTRUN_PLUGINS` by which another process makes the same choice; None for none."""
        if self == Choice():
            return None
        names = sorted(set(map(normalized, installed)) - {BUILT_IN})
        return ",".join(name for name in names if not self.reason_against(name))


def _unknown(name: str, installed: Collection[str]) -> Problem:
    if name == BUILT_IN:
        return Problem("ftrun's own parts always load", OPTION, "Name the distribution of a plugin.")
    hint = _hint(name, installed).removeprefix("; ") or f"Installed: {', '.join(installed) or 'none'}."
    return Problem(f'there is no plugin of a distribution "{name}"', OPTION, hint[:1].upper() + hint[1:])


def _hint(name: str, installed: Collection[str]) -> str:
    close = nearest(name, installed)
    return f"; did you mean {close}?" if close else ""
