"""Where a run is shown."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console

WIDE = 100_000
"""Columns where no screen ends a line: what reads a pipe or a file gets lines whole, and cuts them itself."""


class _LastingFile:
    """Standard output or error, that nobody may be reading any more: `| head`, a terminal that has gone."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with self._given_up_if_broken():
            try:
                self._file.write(text)
            except UnicodeEncodeError as error:  # a class in Chinese, where the locale is Latin-1
                self._file.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        with self._given_up_if_broken():
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    @contextlib.contextmanager
    def _given_up_if_broken(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), self._file.fileno())


class _PipedFile(_LastingFile):
    """The same where no screen ends a line: nothing fills lines up, and the rule below a heading need not span them."""

    def write(self, text: str) -> int:
        super().write(_RULE.sub(r"\1", _FILLING.sub("", text)))
        return len(text)


_FILLING = re.compile(r"[ \t]+(?=\n)")
_RULE = re.compile(r"^( \N{BOX DRAWINGS LIGHT HORIZONTAL}{78})\N{BOX DRAWINGS LIGHT HORIZONTAL}+$", re.MULTILINE)


def make_console(stderr: bool = False) -> Console:
    """Where a run is shown; a run goes on where nobody is left to see it.

    In a notebook rich shows HTML, and beside it the same as text, which must not hold a terminal's codes. Into a pipe
    or a file lines go whole, whatever COLUMNS says.
    """
    file = sys.stderr if stderr else sys.stdout
    console = Console(file=cast(TextIO, _LastingFile(file)))
    if console.is_jupyter:
        return Console(color_system=None)
    if "JPY_PARENT_PID" in os.environ:  # begun by a cell's `!`, which says it is a terminal and moves no cursor
        return Console(file=console.file, force_terminal=False)
    return console if file.isatty() else Console(file=cast(TextIO, _PipedFile(file)), width=WIDE)
