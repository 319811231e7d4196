"""Names in figures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ftrun.pictures.canvas import short, short_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [("yes", "yes"), (" two\n lines\x00", "two lines"), ("x" * 30, "x" * 23 + "…"), ("", "")],
)
def test_a_name_is_one_line_and_not_too_long(name: str, expected: str) -> None:
    assert short(name) == expected


def test_names_that_are_alike_once_cut_are_told_apart() -> None:
    assert short_names(["a" * 30, "a" * 31, "b"]) == ["a" * 23 + "… [0]", "a" * 23 + "… [1]", "b"]


PROGRAM = """
import sys
from pathlib import Path
from ftrun.pictures.canvas import paper, prepare, save
prepare()
figure = paper(3, 2)
figure.subplots().set_title("负 $\\\\frac{ \\U0001f600 \\u0627")
save(figure, Path(sys.argv[1]))
"""


def test_any_letter_is_drawn_and_nothing_is_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
