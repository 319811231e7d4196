"""Data sets: the embedded sample keeps its promises, and files and folders are read as they are meant."""

from __future__ import annotations

from pathlib import Path

from ftrun_plugins.datasets import (
    FilesSettings,
    _check_files,
)


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def test_missing_files_and_unknown_formats_are_told_before_any_work(workdir: Path) -> None:
    write_csv(workdir / "trian.csv", [])
    (workdir / "notes.docx").write_text("")
    problems = _check_files(FilesSettings(text_columns=["a"], train="train.csv", validation="notes.docx"))
    assert [problem.place for problem in problems] == ["train", "validation"]
    assert problems[0].hint == "Did you mean trian.csv?"
    assert "there is no file" in problems[0].message and "must end in" in problems[1].message
