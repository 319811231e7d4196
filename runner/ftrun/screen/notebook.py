"""Bars in a notebook: one output of a cell that is written anew, with what every notebook has and nothing more.

rich's own live display needs ipywidgets there, which many a notebook has not.
"""

from __future__ import annotations

import importlib
import io
import time
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

SECONDS = 0.25
"""The least time between two looks."""
COLUMNS = 110
PRE = '<pre style="white-space:pre;overflow-x:auto;line-height:normal;font-family:monospace">{code}</pre>'


class NotebookProgress(Progress):
    """rich's bars, shown below the cell; gone when they are stopped."""

    _handle: Any = None
    _shown: float = 0.0

    def start(self) -> None:
        """Take a place below the cell."""
        display = importlib.import_module("IPython.display").display
        self._handle = display(_bundle("", ""), raw=True, display_id=True)

    def stop(self) -> None:
        """Leave the place empty."""
        if self._handle is not None:
            self._handle.update(_bundle("", ""), raw=True)
            self._handle = None

    def refresh(self) -> None:
        """Show how far things are."""
        if self._handle is None:
            return
        self._shown = time.monotonic()
        paper: dict[str, Any] = {"file": io.StringIO(), "record": True, "width": COLUMNS}
        console = Console(**paper, force_jupyter=False, force_terminal=True)
        console.print(self.get_renderable())
        html = console.export_html(inline_styles=True, code_format=PRE, clear=False)
        self._handle.update(_bundle(html, console.export_text()), raw=True)

    def update(self, task_id: TaskID, **changes: Any) -> None:
        """Change a bar, and show it unless that was done a moment ago."""
        super().update(task_id, **changes)
        if time.monotonic() - self._shown >= SECONDS:
            self.refresh()


def _bundle(html: str, text: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": text}
