"""Files of one's own: every format gives the same rows, and what is wrong with both is told at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import (
    FilesSettings,
)
from ftrun_plugins.datasets.files import build as build_files


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def build(folder: Path, suffix: str = ".csv", **settings: Any) -> Splits:
    files = {split: str(folder / f"{split}{suffix}") for split in ("train", "validation")}
    return build_files(FilesSettings(text_columns=["text"], **files, **settings))


def test_files_of_every_format_give_the_same_rows(workdir: Path) -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"text": ["a", "b", "c"], "label": ["spam", "ham", "spam"]})
    rows.to_json(workdir / "rows.json")
    rows.to_parquet(workdir / "rows.parquet")
    rows.to_csv(workdir / "rows.csv", index=False)
    rows.to_csv(workdir / "rows.tsv", index=False, sep="\t")
    for train, validation in (("rows.json", "rows.parquet"), ("rows.csv", "rows.tsv")):
        splits = build_files(FilesSettings(text_columns=["text"], train=train, validation=validation))
        assert splits.task.class_names == ("ham", "spam")
        for part in (splits.train, splits.evaluation["validation"]):
            assert list(part["text"]) == ["a", "b", "c"] and list(part["label"]) == [1, 0, 1]


def test_what_is_wrong_with_both_files_is_told_at_once(workdir: Path) -> None:
    write_csv(workdir / "train.csv", [("a", "x,y")])
    write_csv(workdir / "validation.csv", [])
    with pytest.raises(ExperimentError) as refused:
        build(workdir)
    assert [problem.place for problem in refused.value.problems] == ["dataset.train", "dataset.validation"]


def test_the_file_for_a_test_is_whole_with_labels_or_without(workdir: Path) -> None:
    for split in ("train", "validation", "test"):
        write_csv(workdir / f"{split}.csv", [(split + "a", "x"), (split + "b", "y")])
    splits = build(workdir, test="test.csv", max_eval_samples=1)
    assert list(splits.evaluation) == ["validation"] and len(splits.evaluation["validation"]) == 1
    assert list(splits.test["test"]["label"]) == [0, 1] and splits.digest == build(workdir).digest
    assert splits.test_at_end == ["test"] and splits.digest_of("test") != splits.digest_of("train") == splits.digest
    (workdir / "test.csv").write_text("text\n001\n")
    assert list(build(workdir, test="test.csv").test["test"]["text"]) == ["001"]
    assert build(workdir).test == {} and build(workdir).test_at_end == []
    assert build(workdir, test="test.csv").notices == ['test.csv has no column "label"']
    write_csv(workdir / "test.csv", [("a", ""), ("b", " ")])
    assert build(workdir, test="test.csv").test["test"].column_names == ["text"]
    write_csv(workdir / "test.csv", [("a", "x"), ("b", "")])
    with pytest.raises(ExperimentError, match=r"test\.csv has no label .*: row 2\s+Give each row a label, or none"):
        build(workdir, test="test.csv")
    write_csv(workdir / "test.csv", [("a", "z")])
    with pytest.raises(ExperimentError, match=r"test\.csv has .z. in column .label., a class that training has not"):
        build(workdir, test="test.csv")
    with pytest.raises(ExperimentError, match=r"nothing\.csv cannot be read"):
        build(workdir, test="nothing.csv")


def test_the_digest_follows_the_content(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "x"), ("b", "y")])
    before = build(workdir).digest
    assert build(workdir).digest == before
    write_csv(workdir / "train.csv", [("a", "x"), ("c", "y")])
    assert build(workdir).digest != before


@pytest.mark.parametrize("content", ["", "text,label\n", "\n\n", "text,label\n\n"])
def test_a_file_without_rows_is_refused_by_its_name(workdir: Path, content: str) -> None:
    write_csv(workdir / "validation.csv", [("a", "x"), ("b", "y")])
    (workdir / "train.csv").write_text(content)
    with pytest.raises(ExperimentError, match=r"train\.csv"):
        build(workdir)


def test_names_and_texts_are_in_any_script(workdir: Path) -> None:
    folder = workdir / "数据 один"
    folder.mkdir()
    for split in ("train", "validation"):
        write_csv(folder / f"{split}.csv", [(f"好 {split}", "正"), (f"坏 {split}", "负")])
    splits = build(folder)
    assert splits.name == "数据 один" and set(splits.task.class_names or ()) == {"正", "负"}
    assert list(splits.train["text"]) == ["好 train", "坏 train"] and splits.source == str(folder / "train.csv")


def test_a_file_that_goes_before_it_is_read_is_told(workdir: Path) -> None:
    write_csv(workdir / "validation.csv", [("a", "x"), ("b", "y")])
    with pytest.raises(ExperimentError, match=r"dataset: .*train\.csv cannot be read: No such file"):
        build(workdir)
