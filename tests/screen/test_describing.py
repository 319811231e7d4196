"""A description as a person sees it."""

from __future__ import annotations

import io

from ftrun.planning.described import Description
from ftrun.planning.keys import Key
from ftrun.screen.describing import description_of
from rich.console import Console


def shown(description: Description) -> str:
    console = Console(file=io.StringIO(), width=100)
    console.print(description_of(description))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_keys_stand_in_a_table_as_they_are_written() -> None:
    keys = [
        Key("train", "text", True, None, "File [red] to :key: train on.", '"a"'),
        Key("rows", "whole number", False, "8", "", "8"),
    ]
    text = shown(Description("dataset", "files", "their-package", "1.0", "Files [bold]", keys, ""))
    assert "dataset files, from their-package 1.0" in text and "Files [bold]" in text
    row = next(line for line in text.splitlines() if "train on" in line)
    assert row.split() == ["train", "text", "required", "File", "[red]", "to", ":key:", "train", "on."]
    assert any(line.split() == ["rows", "whole", "number", "8"] for line in text.splitlines())


def test_what_has_no_keys_says_so() -> None:
    assert "no keys of its own" in shown(Description("backend", "loop", "ftrun", "1", "A loop", [], ""))
    assert "the table [push]" in shown(Description("push", None, "ftrun", "1", "", [], ""))
