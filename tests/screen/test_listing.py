"""The list of runs, and what a cleaning says."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from ftrun.execution.cleaning import Cleaning
from ftrun.execution.overview import Overview
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import Glance
from ftrun.screen.listing import age, cleaning_lines, run_cells, runs_table
from rich.console import Console

NAME = "tiny[red]-20260102T030405Z-abcdef"
RUN = Overview(
    RunFolder(Path("runs") / NAME),
    "finished",
    "loop",
    Glance(steps=1200, evaluations={12: {"eval/loss": 0.5, "eval/f1": 0.75}}),
    3 * 1024**2,
    time.time() - 7200,
    17,
)


def test_a_table_for_a_person() -> None:
    screen = io.StringIO()
    Console(file=screen, width=150).print(runs_table([RUN]))
    heading, _, row = [line.split() for line in screen.getvalue().splitlines() if line.strip()][-3:]
    assert heading[:4] == ["run", "state", "backend", "metric"]
    assert row == [NAME, "finished", "loop", "f1", "0.7500", "1,200", "3", "MiB", "2", "h", "17"]


def test_cells_for_a_program() -> None:
    cells = run_cells(RUN)
    assert cells == [NAME, "finished", "loop", "f1 0.7500", "1200", str(3 * 1024**2), str(int(RUN.began)), "17"]


@pytest.mark.parametrize(("seconds", "told"), [(5, "5 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d"), (-9, "0 s")])
def test_an_age_is_in_the_largest_unit(seconds: float, told: str) -> None:
    assert age(time.time() - seconds - 0.1) == told


def test_what_goes_and_what_stays_is_said() -> None:
    cleaning = Cleaning(RUN, [Path("a"), Path("b")], [Path("c")], 2048, "it is dear to us")
    assert cleaning_lines(cleaning) == [
        f"{NAME}: 2 checkpoints and 1 partial leftover, 2 KiB",
        f"{NAME}: kept, since it is dear to us",
    ]
