"""Which files a split is of: one, several, or those of a pattern, in the order of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets.sources import absolute_files, absolute_splits, files_of, shown_files, splits_of


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("text,label\n")


def test_a_pattern_is_all_that_it_matches_in_the_order_of_their_names(workdir: Path) -> None:
    touch("data/train-2.csv", "data/train-10.csv", "data/train-1.csv.gz", "data/.train-0.csv", "data/more/train-3.csv")
    named = absolute_files("data/train-*.csv*")
    assert named == str(workdir / "data/train-*.csv*")
    assert [file.name for file in files_of(named, "train")] == ["train-1.csv.gz", "train-10.csv", "train-2.csv"]
    assert len(files_of(absolute_files("data/**/train-?.csv"), "train")) == 2
    assert shown_files(named, files_of(named, "train")) == "data/train-*.csv*"


def test_a_file_that_is_there_is_meant_whatever_its_name(workdir: Path) -> None:
    touch("x[1].csv", "x1.csv", "in [2]/a*b.csv", "in [2]/acb.csv")
    for name in ("x[1].csv", "in [2]/a*b.csv"):
        assert files_of(absolute_files(name), "train") == [workdir / name]
    assert files_of(absolute_files("in [2]/a?b.csv"), "train") == [
        workdir / "in [2]/a*b.csv",
        workdir / "in [2]/acb.csv",
    ]


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("no-*.csv", r"no file that no-\*\.csv matches\s+In \. there is: a\.csv, b\.docx, folder\.csv\."),
        ("nowhere/*.csv", "there is no file that"),
        ("fold*", "is a folder"),
        ("folder.csv", "is a folder"),
        (["a.csv", "*.csv"], "is a folder"),
        (["a.csv", "a*"], "a.csv is there twice"),
        ("*.docx", "must end in one of"),
        ("rows.txt", r"must end in one of .*\s+.*between tabs, \.tsv"),
        ("a.cvs", r"no file .*a\.cvs\s+Did you mean a\.csv"),
        ("**a", "is no pattern|no file that"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(workdir: Path, named: Any, told: str) -> None:
    touch("a.csv", "b.docx")
    if named == "rows.txt":
        touch(named)
    Path("folder.csv").mkdir()
    with pytest.raises(ExperimentError, match=told) as refused:
        files_of(absolute_files(named), "train")
    assert refused.value.problems[0].place == "train"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "an empty list"),
        (["a", 3], "must be a file"),
        (5, "not 5"),
        (["a", "./a"], "twice"),
        ("", "must name a file"),
        ({}, "names no split"),
        ({"train": "a"}, "train is taken"),
        ({"a/b": "a"}, '"a/b" is no name'),
        ({"a": {"b": "c"}}, "must be a file"),
    ],
)
def test_what_names_no_files_is_refused(workdir: Path, value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        absolute_splits(value)


def test_a_table_names_several_splits(workdir: Path) -> None:
    named = absolute_splits({"matched": "m.csv", "mismatched": ["a.csv", "b.csv"]})
    assert splits_of("validation", named) == named
    assert named["mismatched"] == [str(workdir / "a.csv"), str(workdir / "b.csv")]
    assert splits_of("validation", "m.csv") == {"validation": "m.csv"} and splits_of("test", None) == {}
    assert absolute_splits(None) is None
    assert shown_files(["a.csv", "b.csv"], [Path("a.csv"), Path("b.csv")]) == "a.csv and 1 more"
