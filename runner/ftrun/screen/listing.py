"""The list of runs: a table for a person, a line of cells for a program; and what a cleaning removes and keeps."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ftrun.execution.cleaning import Cleaning
from ftrun.execution.overview import Overview
from ftrun.screen.wording import figure

STYLES = {"running": "cyan", "finished": "green", "failed": "red", "killed": "yellow"}
HEADERS = ("run", "state", "backend", "metric", "steps", "size", "age", "not in\nMLflow")
_AGES = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (0.0, "s"))


def runs_table(runs: Sequence[Overview]) -> Table:
    """A row a run, in their order."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, header in enumerate(HEADERS):
        table.add_column(Text(header), justify="left" if number < 4 else "right", overflow="fold")
    for run in runs:
        name, state, backend, metric, *_ = run_cells(run)
        numbers = [f"{run.glance.steps:,}", readable(run.size), age(run.began), f"{run.pending:,}"]
        numbers[-1] = "" if not run.pending else numbers[-1]
        table.add_row(*map(Text, (name,)), Text(state, STYLES[state]), *map(Text, (backend, metric, *numbers)))
    return table


def run_cells(run: Overview) -> list[str]:
    """A run for a program: name, state, backend, main metric, steps, bytes, seconds since 1970, records pending."""
    metric = run.glance.main_metric
    shown = f"{metric[0].removeprefix('eval/')} {figure(metric[1])}" if metric else ""
    numbers = [run.glance.steps, run.size, int(run.began), run.pending]
    return [run.folder.name, run.state, run.backend or "", shown, *map(str, numbers)]


def age(began: float) -> str:
    """How long ago something was, in the largest unit of which there is one: "3 h".

    Args:
        began: In seconds since 1970; what is to come counts as now.
    """
    seconds = max(time.time() - began, 0.0)
    size, unit = next((size, unit) for size, unit in _AGES if seconds >= size)
    return f"{seconds // (size or 1):.0f} {unit}"


def cleaning_lines(cleaning: Cleaning) -> list[str]:
    """What goes of a run and what stays, in sentences."""
    name = cleaning.run.folder.name
    parts = [_counted(len(cleaning.checkpoints), "checkpoint"), _counted(len(cleaning.leftovers), "partial leftover")]
    lines = []
    if cleaning.paths:
        lines.append(f"{name}: {' and '.join(filter(None, parts))}, {readable(cleaning.size)}")
    if cleaning.kept:
        lines.append(f"{name}: kept, since {cleaning.kept}")
    return lines


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}" if number else ""


def readable(size: float) -> str:
    """A number of bytes as a person reads it: "312 MiB"."""
    for unit in ("bytes", "KiB", "MiB"):
        if round(size) < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB" if size % 1 else f"{size:.0f} GiB"
