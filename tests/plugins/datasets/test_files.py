"""Files of one's own: every format gives the same rows, and what is wrong with both is told at once."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError
from ftrun.execution.row_tables import read_rows
from ftrun.rowfiles import Dialect
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


ROWS = [(f"{word} {number}", word) for number in range(20) for word in ("good", "bad")]


def test_several_files_are_one_split_however_they_are_written(workdir: Path) -> None:
    write_csv(workdir / "all.csv", list(ROWS))
    write_csv(workdir / "1.csv", list(ROWS[:10]))
    turned = "\n".join(["label,text", *(f"{label},{text}" for text, label in ROWS[10:20])])
    (workdir / "2.csv").write_text(turned, encoding="utf-8-sig")
    (workdir / "3.jsonl.gz").write_bytes(
        gzip.compress("\n".join(json.dumps({"text": text, "label": label}) for text, label in ROWS[20:]).encode())
    )
    for train in (["1.csv", "2.csv", "3.jsonl.gz"], "[123].*"):
        splits = build_files(FilesSettings(train=train, validation="all.csv"))
        whole = build_files(FilesSettings(train="all.csv", validation="all.csv"))
        assert splits.train[:] == whole.train[:] and splits.digest != whole.digest
    assert splits.source == str(workdir / "[123].*")


def test_the_digest_tells_where_each_split_ends(workdir: Path) -> None:
    for name in "abc":
        write_csv(workdir / f"{name}.csv", [(name, "x"), (name, "y")])
    splits = [
        {"train": ["a.csv", "b.csv"], "validation": "c.csv"},
        {"train": "a.csv", "validation": ["b.csv", "c.csv"]},
        {"train": "a.csv", "validation": {"b": "b.csv", "c": "c.csv"}},
        {"train": "a.csv", "validation": {"c": "b.csv", "b": "c.csv"}},
    ]
    assert len({build_files(FilesSettings(**some)).digest for some in splits}) == 4


def test_a_row_of_several_files_is_told_by_file_and_number(workdir: Path) -> None:
    write_csv(workdir / "a.csv", [("a", "x"), ("b", "y")])
    write_csv(workdir / "b.csv", [("a", "x"), ("", "y"), ("c", "")])
    with pytest.raises(ExperimentError, match=r"a\.csv and 1 more has no label .*: row 3 of b\.csv\s.*drop_unlabelled"):
        build_files(FilesSettings(train=["a.csv", "b.csv"], validation="a.csv"))
    write_csv(workdir / "b.csv", [("a", "x"), ("b", "y"), ("c", "1")])
    with pytest.raises(ExperimentError, match=r"row 1 of a\.csv"):
        build_files(FilesSettings(train=["a.csv", "b.csv"], validation="a.csv", kind="regression"))
    with pytest.raises(ExperimentError, match=r'other\.csv has no column "text"'):
        (workdir / "other.csv").write_text("words,label\na,x\n")
        build_files(FilesSettings(text_columns=["text"], train=["a.csv", "other.csv"], validation="a.csv"))


def test_without_a_file_to_evaluate_on_rows_are_cut_off_whatever_the_runs_seed(workdir: Path) -> None:
    write_csv(workdir / "train.csv", list(ROWS))
    splits = build_files(FilesSettings(train="train.csv"))
    assert list(splits.evaluation["validation"]["text"]) == CUT
    assert set(splits.train["text"]).isdisjoint(CUT) and len(splits.train) == 36
    assert splits.digest_of("train") != splits.digest_of("validation") != splits.digest
    assert [notice for notice in splits.notices if "4 of the 40 rows of train are cut off" in notice]
    fewer = build_files(FilesSettings(train="train.csv", max_train_samples=10, max_eval_samples=2))
    assert list(fewer.evaluation["validation"]["text"]) == CUT[:2] and len(fewer.train) == 10
    write_csv(workdir / "train.csv", [*ROWS, *ROWS])
    assert any("stand in train, too" in notice for notice in build_files(FilesSettings(train="train.csv")).notices)


CUT = ["good 2", "bad 3", "good 12", "bad 13"]


def test_several_files_to_evaluate_on_have_numbers_of_their_own(tiny: Path) -> None:
    for name in ("train", "one", "two", "hard", "easy"):
        write_csv(tiny.parent / f"{name}.csv", list(ROWS[:8]))
    dataset: dict[str, Any] = {
        "use": "files",
        "train": "train.csv",
        "validation": {"matched": "one.csv", "mis": "two.csv"},
    }
    dataset["test"] = {"hard": "hard.csv", "easy": "easy.csv"}
    settings = {"dataset": dataset, "metrics": [{"use": "accuracy"}], "training.max_steps": 1}
    result = ftrun.run(tiny, overrides=settings, progress=False)
    assert result.status == "FINISHED", result.error
    names = ["eval/matched", "eval/mis", "test/hard", "test/easy"]
    assert set(result.metrics) == {f"{name}/{number}" for name in names for number in ("loss", "accuracy")}
    again = ftrun.run(result.run_folder / "experiment.toml", progress=False)
    assert again.metrics == result.metrics, "the record runs as it stands"


def test_a_run_with_rows_cut_off_is_evaluated_on_them_and_one_without_evaluations_trains_on_all(tiny: Path) -> None:
    write_csv(tiny.parent / "train.csv", list(ROWS))
    settings = {"dataset": {"use": "files", "train": "train.csv"}, "metrics": [{"use": "accuracy"}]}
    steps = {"training.max_steps": 2, "training.eval_strategy": "epoch"}
    runs = [ftrun.run(tiny, overrides={**settings, **steps, "seed": seed}, progress=False) for seed in (1, 2)]
    for result in runs:
        assert result.status == "FINISHED" and "eval/accuracy" in result.metrics, result.error
        table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
        assert [row[table["columns"].index("text")] for row in table["data"]] == CUT
        task = json.loads((result.run_folder / "task.json").read_text())
        assert task["text_columns"] == ["text"] and task["label_column"] == "label"
    whole = {**settings, "metrics": [], "training.max_steps": 2, "training.eval_strategy": "no"}
    result = ftrun.run(tiny, overrides=whole, progress=False)
    assert result.status == "FINISHED" and not result.metrics, result.error
    refused = ftrun.run(tiny, overrides={**whole, "metrics": [{"use": "accuracy"}]}, progress=False)
    assert refused.status == "FAILED"
    assert 'eval_strategy = "no" leaves out rows to evaluate on' in (refused.error or "")
    assert 'set training.eval_strategy to "epoch"' in (refused.error or "")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_asked_about_where_the_columns_are_not_named_either(workdir: Path, mark: str) -> None:
    write_csv(workdir / "train.csv", [("a", 0), ("b", 1)], mark)
    told = 'train.csv has no column "label"'
    with pytest.raises(ExperimentError, match=told + r"[\s\S]*\[dataset\] delimiter = ") as refused:
        build_files(FilesSettings(train="train.csv"), evaluated=False)
    assert refused.value.problems[0].place == "dataset.train"


def test_blank_texts_are_counted_of_every_split(workdir: Path) -> None:
    write_csv(workdir / "train.csv", [("", "x"), ("a", "y"), ("b", ""), ("  ", "x")])
    write_csv(workdir / "validation.csv", [("a b", "x"), ("\u00a0", "y")])
    (workdir / "test.csv").write_text('text\n""\nc\n')
    notices = build(workdir, test="test.csv", drop_unlabelled=True).notices
    assert [notice for notice in notices if "blank" in notice] == [
        '2 of the 3 rows of train.csv have a blank text in column "text", the first of them row 1: '
        "they are taken as they are",
        '1 of the 2 rows of validation.csv has a blank text in column "text", row 2: it is taken as it is',
        '1 of the 2 rows of test.csv has a blank text in column "text", row 1: it is taken as it is',
    ]


@pytest.mark.parametrize(
    ("content", "settings"),
    [("good one,1\nbad one,0\nso so,1\n", {}), ("a day,0.5\na night,1.5\nb,2\n", {"kind": "regression"})],
)
def test_a_file_without_a_header_is_told_and_no_row_lost(workdir: Path, content: str, settings: dict[str, Any]) -> None:
    (workdir / "train.csv").write_text(content)
    with pytest.raises(
        ExperimentError,
        match=r"train.csv seems to have no header: its first line has .*\n.*write a line.*names: label_column = ",
    ):
        build_files(FilesSettings(train="train.csv", **settings))


def test_a_file_that_a_pattern_finds_twice_is_told(workdir: Path) -> None:
    write_csv(workdir / "train.csv", [("a good", "x"), ("b", "y"), ("c", "x")])
    (workdir / "train-latest.csv").symlink_to("train.csv")
    (workdir / "train.csv.gz").write_bytes(gzip.compress((workdir / "train.csv").read_bytes()))
    notices = build_files(FilesSettings(train="train*"), evaluated=False).notices
    assert [notice for notice in notices if "same rows" in notice] == [
        "train.csv holds the same rows as train-latest.csv",
        "train.csv.gz holds the same rows as train-latest.csv",
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_header_in_the_midst_of_a_file_is_no_row(workdir: Path, mark: str) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "x"), ("label", "text"), ("b", "y")])
    content = (workdir / "train.csv").read_text()
    (workdir / "train.csv").write_text(mark + content + mark + content)
    with pytest.raises(ExperimentError, match=r"train.csv has its header again in line 5\n.*the first alone keeps"):
        build(workdir)


def test_a_test_whose_labels_are_only_called_otherwise_has_labels(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "x"), ("b", "y")])
    (workdir / "test.csv").write_text("text,Label\na,x\n")
    with pytest.raises(ExperimentError, match=r'test.csv has no column "label"\n.*Did you mean "Label"'):
        build(workdir, test="test.csv")


def test_a_file_that_is_utf8_where_another_is_not_is_told(workdir: Path) -> None:
    content = "text,label\nschön,x\nb,y\n"
    (workdir / "train.csv").write_bytes(content.encode("cp1252"))
    (workdir / "validation.csv").write_bytes(content.encode())
    (workdir / "test.csv").write_text("text,label\na,x\n")
    notices = build(workdir, encoding="cp1252", test="test.csv").notices
    told = "validation.csv seems to be UTF-8, and is read as cp1252"
    assert [notice for notice in notices if "UTF-8" in notice] == [f'{told}: [dataset] encoding = "utf-8"']
    assert read_rows(workdir / "validation.csv", Dialect(encoding="cp1252")).notices == [notices[0]]
