"""A stray `"` that encloses rows is told of; texts over several lines are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun_plugins.datasets import FilesSettings, HubSettings
from ftrun_plugins.datasets.files import build as build_files
from ftrun_plugins.datasets.hub import build as build_hub

ROWS = [(f"row {number}", "yes" if number % 2 else "no") for number in range(12)]
STRAY = {3: '"row 3', 5: 'row 5"'}
TOLD = '3 lines between two " are read as one row, and each looks like a row with a label'


def write(file: Path, cells: dict[int, str], header: str = "text,label", labels: Any = None) -> None:
    rows = [
        f"{cells.get(number, text)},{labels[number] if labels else label}" for number, (text, label) in enumerate(ROWS)
    ]
    file.write_text("\n".join([header, *rows]) + "\n")


def told(notices: Any) -> list[str]:
    return [notice for notice in notices if "between two" in notice]


def test_rows_between_two_stray_quotes_are_told_of_with_their_lines(workdir: Path) -> None:
    write(workdir / "train.csv", STRAY)
    splits = build_files(FilesSettings(train="train.csv"), evaluated=False)
    hint = 'If " is a character like any other there: [dataset] quoting = false'
    assert told(splits.notices) == [f"lines 5 to 7 of train.csv: {TOLD}. {hint}"] and len(splits.train) == 10
    splits = build_files(FilesSettings(train="train.csv", quoting=False), evaluated=False)
    assert told(splits.notices) == [] and list(splits.train["text"])[3:6] == ['"row 3', "row 4", 'row 5"']


def test_so_are_those_of_a_regression_and_of_a_folder_like_one_of_the_hub(workdir: Path) -> None:
    write(workdir / "train.csv", STRAY, labels=[number / 7 for number in range(12)])
    splits = build_files(FilesSettings(train="train.csv", kind="regression"), evaluated=False)
    assert told(splits.notices) and len(splits.train) == 10
    write(workdir / "train.csv", {**STRAY, 8: '"row 8', 9: 'row 9"'})
    splits = build_hub(HubSettings(path=str(workdir)), evaluated=False)
    (notice,) = told(splits.notices)
    assert notice.startswith(f"row 4 of train: {TOLD}; so are 1 more. ") and "quoting = false" in notice


@pytest.mark.parametrize("text", ['"a poem,\nof two lines"', '"no\ncomma"', '"a ""word""\nand more"'])
def test_a_text_over_several_lines_is_a_text(workdir: Path, text: str) -> None:
    write(workdir / "train.csv", {4: text})
    for splits in (
        build_files(FilesSettings(train="train.csv"), evaluated=False),
        build_hub(HubSettings(path=str(workdir)), evaluated=False),
    ):
        assert told(splits.notices) == [] and len(splits.train) == 12 and "\n" in list(splits.train["text"])[4]


def test_quotation_that_never_ends_is_named_by_the_line_where_it_began(workdir: Path) -> None:
    write(workdir / "train.csv", {3: '"row 3'})
    with pytest.raises(Exception, match=r"not well formed in line 5: .*\n.*quoting = false"):
        build_files(FilesSettings(train="train.csv"))
