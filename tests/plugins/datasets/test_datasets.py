"""Every data set passes the suite that anybody's does; and what is wrong with files is told before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ftrun.testing import DatasetSuite
from ftrun_plugins.datasets import (
    FilesSettings,
    _check_files,
)
from helpers import make_glue


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def test_missing_files_and_unknown_formats_are_told_before_any_work(workdir: Path) -> None:
    write_csv(workdir / "trian.csv", [])
    (workdir / "notes.docx").write_text("")
    problems = _check_files(FilesSettings(text_columns=["a"], train="train.csv", validation="notes.docx"))
    assert [problem.place for problem in problems] == ["train", "validation"]
    assert problems[0].hint == "Did you mean trian.csv?"
    assert "there is no file" in problems[0].message and "must end in" in problems[1].message


class TestSample(DatasetSuite):
    component = "sample"
    more_settings = [{"max_train_samples": 9, "shuffle_seed": 3}]
    bad_settings = [{"max_train_samples": 0}, {"shuffle_seed": -1}]


class TestFiles(DatasetSuite):
    component = "files"
    bad_settings = [
        *(
            {"train": "nothing.csv"},
            {"text_columns": ["body"]},
            {"text_columns": ["text", "text"]},
            {"delimiter": "ab"},
        ),
        *({"label_column": "class"}, {"class_names": ["x"]}, {"label_ids": True}, {"validation_size": 0.1}),
    ]

    def make_settings(self, folder: Path) -> dict[str, Any]:
        files = {split: folder / f"{split}.csv" for split in ("train", "validation")}
        for split, file in files.items():
            write_csv(file, [(f"{split} {row}", "ab"[row % 2]) for row in range(10)])
        return {**{split: str(file) for split, file in files.items()}, "text_columns": ["text"]}


class TestNumbersInFiles(TestFiles):
    bad_settings = ()

    def make_settings(self, folder: Path) -> dict[str, Any]:
        settings = super().make_settings(folder)
        for split in ("train", "validation"):
            write_csv(Path(settings[split]), [(f"{split} {row}", row / 2) for row in range(10)])
        return {**settings, "kind": "regression"}


class TestGlue(DatasetSuite):
    component = "glue"
    bad_settings = [{"task": "mrcp"}, {"task": None}]

    def make_settings(self, folder: Path) -> dict[str, Any]:
        make_glue(folder / "glue")
        return {"task": "mrpc", "path": str(folder / "glue")}


class TestHub(DatasetSuite):
    component = "hub"
    bad_settings = [{"text_columns": []}, {"text_columns": ["body"]}, {"evaluation_splits": ["dev"]}, {"name": "cola"}]

    def make_settings(self, folder: Path) -> dict[str, Any]:
        make_glue(folder / "glue")
        return {"path": str(folder / "glue"), "name": "mrpc", "text_columns": ["sentence1", "sentence2"]}
