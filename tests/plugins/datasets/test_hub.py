"""Any data set of text and labels, from the Hub or a folder that is laid out like one."""

from __future__ import annotations

import json
from pathlib import Path

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import (
    HubSettings,
)
from ftrun_plugins.datasets.hub import build as build_hub


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def test_a_folder_laid_out_like_a_repository_is_opened_without_the_hub(workdir: Path) -> None:
    folder = workdir / "repository"
    folder.mkdir()
    for split in ("train", "validation"):
        write_csv(folder / f"{split}.csv", [("a", 0), ("b", 1)])
    splits = build_hub(HubSettings(path=str(folder), text_columns=["text"]))
    assert len(splits.train) == 2 and splits.task.class_names == ("0", "1")
    with pytest.raises(ExperimentError, match=r'no split "dev"[\s\S]*train, validation'):
        build_hub(HubSettings(path=str(folder), text_columns=["text"], evaluation_splits=["dev"]))


def test_several_evaluation_splits_have_metrics_of_their_own(tiny: Path) -> None:
    folder = tiny.parent / "repository"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        write_csv(folder / f"{split}.csv", [("a", 0), ("b", 1)] * 4)
    dataset = {
        "use": "hub",
        "path": str(folder),
        "text_columns": ["text"],
        "evaluation_splits": ["validation", "test"],
    }
    metrics = [{"use": "accuracy"}]
    result = ftrun.run(tiny, overrides={"dataset": dataset, "metrics": metrics}, progress=False)
    assert result.status == "FINISHED", result.error
    assert set(result.metrics) == {
        *("eval/validation/loss", "eval/validation/accuracy", "eval/test/loss", "eval/test/accuracy"),
    }


def test_a_repository_of_csv_has_its_cells_as_they_are_written(workdir: Path) -> None:
    for suffix, mark in ((".csv", ","), (".tsv", "\t")):
        folder = workdir / f"repository{suffix}"
        folder.mkdir()
        rows = [("001", "None"), ("", "NA"), ("null", "007"), ("1.0", "None")]
        for split in ("train", "validation"):
            write_csv(folder / f"{split}{suffix}", list(rows), mark)
        splits = build_hub(HubSettings(path=str(folder), text_columns=["text"]))
        assert list(splits.train["text"]) == ["001", "", "null", "1.0"]
        assert splits.task.class_names is not None
        assert [splits.task.class_names[label] for label in splits.train["label"]] == ["None", "NA", "007", "None"]


def test_several_test_splits_have_numbers_of_their_own(tiny: Path) -> None:
    path = repository(tiny.parent / "mine", "train", "validation", "test", "hard")
    dataset = {"use": "hub", "path": path, "text_columns": ["text"], "test_splits": ["test", "hard"]}
    settings = {"dataset": dataset, "metrics": [{"use": "accuracy"}], "training.max_steps": 1}
    result = ftrun.run(tiny, overrides=settings, progress=False)
    assert result.status == "FINISHED", result.error
    tested = {f"test/{split}/{name}" for split in ("test", "hard") for name in ("loss", "accuracy")}
    assert set(result.metrics) == {"eval/loss", "eval/accuracy", *tested}


def repository(folder: Path, *splits: str) -> str:
    folder.mkdir()
    for split in splits:
        write_csv(folder / f"{split}.csv", [(f"{split} a", 0), (f"{split} b", 1), (f"{split} c", 1)])
    files = [{"split": split, "path": f"{split}.csv"} for split in splits]
    configs = {"configs": [{"config_name": "default", "data_files": files}]}
    (folder / "README.md").write_text(f"---\n{json.dumps(configs)}\n---\n")
    return str(folder)


def test_the_splits_are_those_that_are_named(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "validation", "test")
    opened = build_hub(
        HubSettings(path=path, text_columns=["text"], train_split="test", evaluation_splits=["train", "validation"])
    )
    assert opened.train_split == "test" and list(opened.evaluation) == ["train", "validation"]
    assert list(opened.used) == [("training", "test"), ("evaluation", "train"), ("evaluation", "validation")]
    assert opened.name == path == opened.source and len(opened.digest) == 64


def test_splits_for_the_end_are_those_that_are_named(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "validation", "test", "hard")
    settings = {"path": path, "text_columns": ["text"]}
    assert build_hub(HubSettings(**settings)).test == {}
    opened = build_hub(HubSettings(**settings, test_splits=["test", "hard"], max_eval_samples=1))
    assert list(opened.used)[2:] == [("test", "test"), ("test", "hard")]
    assert [len(opened.test[split]) for split in opened.test_at_end] == [3, 3], "a test is of all rows"
    with pytest.raises(ExperimentError, match='no split "tests"'):
        build_hub(HubSettings(**settings, test_splits=["tests"]))
    for wrong in (["validation"], ["train"], ["test", "test"], []):
        with pytest.raises(ValueError, match="test_splits"):
            HubSettings(**settings, test_splits=wrong)


@pytest.mark.parametrize("missing", ["", "dev", "Train", "x" * 300])
def test_all_splits_that_are_missing_are_told_at_once_each_once(workdir: Path, missing: str) -> None:
    path = repository(workdir / "mine", "train", "validation")
    with pytest.raises(ExperimentError) as refused:
        build_hub(
            HubSettings(path=path, text_columns=["text"], train_split=missing, evaluation_splits=[missing, "other"])
        )
    told = [problem.message for problem in refused.value.problems]
    assert told == [f'the data set has no split "{missing}"', 'the data set has no split "other"']


def test_a_column_that_is_not_there_is_told(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "validation")
    with pytest.raises(ExperimentError, match="sentence"):
        build_hub(HubSettings(path=path, text_columns=["sentence"]))


def test_rows_can_be_limited(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "validation")
    opened = build_hub(HubSettings(path=path, text_columns=["text"], max_train_samples=2, max_eval_samples=10**9))
    assert (len(opened.train), len(opened.evaluation["validation"])) == (2, 3)


def test_parts_of_splits_are_used_by_names_without_brackets(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "validation", "test")
    settings = {"path": path, "train_split": "train[:2]", "evaluation_splits": ["train[2:]", "validation[-34%:]"]}
    opened = build_hub(HubSettings(**settings, test_splits=["test[:67%]"]))
    assert list(opened.used) == [
        ("training", "train_0_2"), ("evaluation", "train_2_end"), ("evaluation", "validation_minus34pct_end"),
        ("test", "test_0_67pct"),
    ]  # fmt: skip
    assert [len(rows) for rows in opened.used.values()] == [2, 1, 1, 2]
    for told, why in {"train[5:]": "has no rows: train has 3", "dev[:1]": 'no split "dev"'}.items():
        with pytest.raises(ExperimentError, match=why):
            build_hub(HubSettings(path=path, train_split=told))
    for told, why in {
        "train[:101%]": "more than 100 %",
        "train+test": "not joined",
        "train[0:2]": "called train_0_2",
    }.items():
        with pytest.raises(ValueError, match=why):
            HubSettings(**{**settings, "evaluation_splits": [told]})


def test_a_part_of_a_split_has_numbers_of_its_own(tiny: Path) -> None:
    path = repository(tiny.parent / "mine", "train", "validation")
    dataset = {"use": "hub", "path": path, "evaluation_splits": ["validation[:50%]", "validation[50%:]"]}
    settings = {"dataset": dataset, "metrics": [{"use": "accuracy"}], "training.max_steps": 1}
    result = ftrun.run(tiny, overrides=settings, progress=False)
    assert result.status == "FINISHED", result.error
    assert {key.split("/")[1] for key in result.metrics} == {"validation_0_50pct", "validation_50pct_end"}


def test_without_a_split_to_evaluate_on_rows_are_cut_off_and_never_where_one_is_named(workdir: Path) -> None:
    path = repository(workdir / "mine", "train", "dev")
    (workdir / "mine" / "dev.csv").write_text("id,text,label\n1,a,0\n")
    lines = ["id,text,label", *(f"{number},row {number} x,{number % 2}" for number in range(40))]
    (workdir / "mine" / "train.csv").write_text("\n".join(lines))
    opened = build_hub(HubSettings(path=path))
    assert len(opened.train) == 36 and len(opened.evaluation["validation"]) == 4
    assert len(build_hub(HubSettings(path=path, validation_size=10)).train) == 30
    assert len(build_hub(HubSettings(path=path), evaluated=False).train) == 40
    with pytest.raises(ExperimentError, match='no split "validation"'):
        build_hub(HubSettings(path=path, evaluation_splits=["validation"]))
    with pytest.raises(ExperimentError, match="would cut off another one"):
        build_hub(HubSettings(path=repository(workdir / "other", "train", "validation"), validation_size=0.5))
    with pytest.raises(ValueError, match="evaluation_splits names one"):
        HubSettings(path=path, evaluation_splits=["dev"], validation_size=0.5)


def test_rows_of_minus_one_are_left_out_on_request(workdir: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    (workdir / "snli").mkdir()
    features = Features({name: Value("string") for name in ("premise", "hypothesis")} | {"label": ClassLabel(3)})
    for split in ("train", "validation"):
        texts = [f"{split} {number}" for number in range(6)]
        columns = {"premise": texts, "hypothesis": texts, "label": [0, -1, 1, 2, -1, 0]}
        Dataset.from_dict(columns, features).to_parquet(workdir / "snli" / f"{split}.parquet")
    with pytest.raises(ExperimentError, match=r"2 rows, the first of them row 2\s.*drop_unlabelled = true"):
        build_hub(HubSettings(path=str(workdir / "snli")))
    opened = build_hub(HubSettings(path=str(workdir / "snli"), drop_unlabelled=True))
    assert list(opened.train["label"]) == [0, 1, 2, 0] and opened.task.text_columns == ("premise", "hypothesis")
    told = [notice for notice in opened.notices if "left out" in notice]
    assert told == [f"2 of the 6 rows of {split} have no label and are left out" for split in ("train", "validation")]


@pytest.mark.parametrize(
    ("declared", "classes"),
    [("{dtype: string}", ("EU", "NA")), ("{dtype: {class_label: {names: {'0': NA, '1': EU}}}}", ("NA", "EU"))],
)
def test_cells_of_csv_are_words_like_any_other_where_a_card_declares_them_to_be(
    workdir: Path, declared: str, classes: tuple[str, ...]
) -> None:
    folder = workdir / "repository"
    folder.mkdir()
    kind = declared.removeprefix("{").removesuffix("}")
    features = f"[{{name: text, dtype: string}}, {{name: label, {kind}}}, {{name: score, dtype: float64}}]"
    (folder / "README.md").write_text(f"---\ndataset_info: {{features: {features}}}\n---\n")
    (folder / "train.csv").write_text("text,label,score\nnull,NA,NA\n001,EU,1.5\nx,,\n")
    splits = build_hub(HubSettings(path=str(folder), drop_unlabelled=True), evaluated=False)
    assert list(splits.train["text"]) == ["null", "001"] and splits.task.class_names == classes
    assert [classes[label] for label in splits.train["label"]] == ["NA", "EU"]
    assert list(splits.train["score"]) == [None, 1.5]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (
            "text;label\na;x\nb;y\n",
            r'the header of train is one cell, .text;label.\n.*";" between its cells\?.*"files"',
        ),
        (
            "text;label\na, so;x\nb, too;y\n",
            r'2 cells in its first row, and 1 in its header\n.*";" between its cells\?',
        ),
        ('"text","label"\n"1","a","x"\n', r"3 cells in its first row, and 2 in its header\n.*row.names = FALSE"),
        ('text,label\n"a,x\nb,y\n', r'EOF inside string starting at row 1\n.*"files".*quoting'),
        ("text,label\nä,x\n".encode("cp1252"), r'has no header: .*\n.*"files".*encoding'),
        ("text,label\na,x\ntext,label\nb,y\n", r"row 2 of train is the header again\n.*the first alone keeps"),
        ("good one,1\nbad one,0\nso so,1\n", r'train seems to have no header: its first line has "1"'),
        ("text,label\na,x\nb,c,y\n", r'Expected 2 fields in line 3, saw 3\n.*"files"'),
    ],
)
def test_csv_that_is_read_otherwise_says_what_to_do(workdir: Path, content: str | bytes, told: str) -> None:
    Path("train.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ExperimentError, match=told):
        build_hub(HubSettings(path=str(workdir)))


def test_files_of_another_form_are_said_to_be_left_out(workdir: Path) -> None:
    for name in ("train.csv", "train-more.csv"):
        Path(name).write_text("text,label\na,x\nb,y\n")
    Path("train.jsonl").write_text(json.dumps({"text": "c", "label": "y"}) + "\n")
    splits = build_hub(HubSettings(path=str(workdir)), evaluated=False)
    assert len(splits.train) == 4
    assert "left out of the data set, as of another form than train-more.csv: train.jsonl" in splits.notices
