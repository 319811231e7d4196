"""Where a problem is, in the words of whoever asked: an option of the command, or an argument in Python."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ftrun.errors import FtrunError, Problem

DEVICE = "training.device"
IN_PYTHON = {
    "--data": "data",
    "--text-column": "text_columns",
    '--text "..." "..."': '[("...", "...")]',
    '--text "..."': '["..."]',
    "--text": "data",
    "--delimiter": "delimiter",
    "--encoding": "encoding",
    "--name": "name",
}
"""The command's options as `ftrun.predict` and `ftrun.evaluate` call them."""


def option_places(device: str | None) -> Mapping[str, str]:
    """What the command's options stand for, where they are given."""
    return {DEVICE: "--device"} if device else {}


def argument_places(device: str | None) -> Mapping[str, str]:
    """What the arguments of a function stand for."""
    return IN_PYTHON | ({DEVICE: "device"} if device else {})


@contextlib.contextmanager
def places_called(names: Mapping[str, str]) -> Iterator[None]:
    """Problems in the block are told with their places called so."""
    try:
        yield
    except FtrunError as error:
        error.problems = tuple(_called(problem, names) for problem in error.problems)
        error.args = ("\n".join(map(str, error.problems)),)
        raise


def _called(problem: Problem, names: Mapping[str, str]) -> Problem:
    hint = problem.hint
    for name, called in names.items():
        hint = hint and hint.replace(name, called)
    return replace(problem, place=names.get(problem.place or "", problem.place), hint=hint)
