"""Where a run is shown."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, cast

from rich.console import Console


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


def make_console(stderr: bool = False) -> Console:
    """Where a run is shown; a run goes on where nobody is left to see it.

    In a notebook rich shows HTML, and beside it the same as text, which must not hold a terminal's codes.
    """
    console = Console(file=cast(TextIO, _LastingFile(sys.stderr if stderr else sys.stdout)))
    if console.is_jupyter:
        return Console(color_system=None)
    if "JPY_PARENT_PID" in os.environ:  # begun by a cell's `!`, which says it is a terminal and moves no cursor
        return Console(file=console.file, force_terminal=False)
    return console
