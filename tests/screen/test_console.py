"""A run goes on whatever becomes of where it is shown."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from ftrun.screen.console import make_console
from ftrun.screen.tables import rows_table


def test_what_is_shown_goes_to_standard_output_or_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    make_console().print("result")
    make_console(stderr=True).print("progress")
    assert capsys.readouterr() == ("result\n", "progress\n")


def test_where_nobody_reads_any_more_nothing_is_raised_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        console = make_console()
        console.print("somebody reads")
        os.close(reader)
        for _ in range(3):
            console.print("nobody does")


def test_a_disk_that_is_full_under_the_output_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        make_console().print("to a disk that is full")


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", "\\u8d1f"), ("latin-1", "\\u8d1f"), ("utf-8", "负")])
def test_a_class_that_the_terminals_encoding_has_not_is_shown_by_its_code(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    shown_to = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", shown_to)
    make_console().print("the class 负")
    shown_to.seek(0)
    assert shown_to.read() == f"the class {shown}\n"


def test_a_pipe_is_no_terminal_and_gets_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    console = make_console()
    console.print("[bold red]failed[/]")
    assert not console.is_terminal and capsys.readouterr().out == "failed\n"


@pytest.mark.parametrize("columns", [None, "40"])
def test_a_pipe_gets_lines_whole(
    columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    rows = rows_table({"text": ["word " * 20 + "end", "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 100], "n": [1, 2]})
    console = make_console()
    console.print(rows)
    console.print("a sentence " * 30)
    blank, header, rule, first, second, *_, sentence = capsys.readouterr().out.splitlines()
    assert not blank and header.split() == ["text", "n"] and len(rule) == 79
    assert first.split() == ["word"] * 20 + ["end", "1"]
    assert second.split() == ["\N{BOX DRAWINGS LIGHT HORIZONTAL}" * 100, "2"]
    assert sentence == ("a sentence " * 30).rstrip()


def test_a_terminal_has_lines_of_its_width(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "40")
    make_console().print("a sentence " * 30)
    assert len(capsys.readouterr().out.splitlines()[0]) <= 40


def test_a_command_that_a_cell_begins_moves_no_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-color")
    assert make_console().is_terminal
    monkeypatch.setenv("JPY_PARENT_PID", "1")
    assert not make_console().is_terminal
