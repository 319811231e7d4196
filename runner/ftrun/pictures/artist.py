"""The process that draws a run's pictures, as the run sees it. Light: what draws is in `drawing`, which it begins."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys

from ftrun.pictures.subject import Drawn, Subject, as_line, drawn_from
from ftrun.runs.folder import RunFolder

ASIDE = ".pictures."
"""What the names of folders begin with that hold pictures while they are drawn."""


class Artist:
    """Draws the pictures of a run while that writes down the rest.

    Args:
        folder: The run's, with its predictions and a journal that has every point.
        subject: What is to be drawn.

    Raises:
        OSError: If the process cannot be begun.
    """

    def __init__(self, folder: RunFolder, subject: Subject) -> None:
        self.folder = folder
        with folder.log.open("ab") as log:
            # a session of its own: Ctrl-C is for the run, which ends the drawing itself
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ftrun.pictures.drawing", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "MPLBACKEND": "Agg"},  # matplotlib does not import where that names none of its own
            )
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(as_line(subject))
        self._process.stdin = None

    def finish(self, patience: float) -> Drawn | None:
        """Wait for the pictures; None if there are none after all.

        Args:
            patience: Seconds; what is not drawn then is not waited for.
        """
        try:
            out, _ = self._process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            self.abandon()
            return None
        return drawn_from(out)

    def abandon(self) -> None:
        """End it, and leave no half picture behind."""
        self._process.kill()
        self._process.communicate()
        remove_leftovers(self.folder)


def remove_leftovers(folder: RunFolder) -> None:
    """Remove what a process was drawing that is gone."""
    for path in folder.path.glob(f"{ASIDE}*"):
        shutil.rmtree(path, ignore_errors=True)
