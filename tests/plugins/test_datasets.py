"""Data sets: the embedded sample keeps its promises, and files and folders are read as they are meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import (
    SAMPLE_TASK,
    FilesSettings,
    HubSettings,
    SampleSettings,
    _check_files,
    sample_folder,
)
from ftrun_plugins.datasets.files import build as build_files
from ftrun_plugins.datasets.hub import build as build_hub
from ftrun_plugins.datasets.sample import build as build_sample

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def sample() -> dict[str, list[dict[str, Any]]]:
    return {
        split: [json.loads(line) for line in (sample_folder() / f"{split}.jsonl").read_text().splitlines()]
        for split in SPLITS
    }


def test_the_sample_has_mrpcs_schema_and_at_least_600_pairs(sample: dict[str, list[dict[str, Any]]]) -> None:
    rows = [row for split in SPLITS for row in sample[split]]
    assert len(rows) >= 600
    assert all(list(row) == ["sentence1", "sentence2", "label", "idx"] for row in rows)
    assert sorted(row["idx"] for row in rows) == list(range(len(rows)))
    splits = build_sample(SampleSettings(), SAMPLE_TASK)
    assert splits.train.features["label"].names == ["not_equivalent", "equivalent"]


def test_the_sample_is_balanced(sample: dict[str, list[dict[str, Any]]]) -> None:
    for split in SPLITS:
        assert sum(row["label"] for row in sample[split]) * 2 == len(sample[split])


def test_no_sentence_of_the_sample_is_in_two_splits_and_no_pair_twice(sample: dict[str, list[dict[str, Any]]]) -> None:
    sentences = {split: {row[key] for row in sample[split] for key in ("sentence1", "sentence2")} for split in SPLITS}
    for one in SPLITS:
        for other in SPLITS:
            assert one == other or not sentences[one] & sentences[other]
    pairs = [frozenset((row["sentence1"], row["sentence2"])) for split in SPLITS for row in sample[split]]
    assert len(set(pairs)) == len(pairs) and all(len(pair) == 2 for pair in pairs)


def overlap(row: dict[str, Any]) -> float:
    first, second = (set(re.findall(r"[a-z0-9']+", row[key].lower())) for key in ("sentence1", "sentence2"))
    return len(first & second) / len(first | second)


def test_word_overlap_alone_tells_next_to_nothing_of_the_sample(sample: dict[str, list[dict[str, Any]]]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    features = {split: np.array([[overlap(row)] for row in sample[split]]) for split in SPLITS}
    labels = {split: np.array([row["label"] for row in sample[split]]) for split in SPLITS}
    classifiers = [LogisticRegression(), *(DecisionTreeClassifier(max_depth=d, min_samples_leaf=10) for d in (1, 2, 3))]
    for classifier in classifiers:
        classifier.fit(features["train"], labels["train"])
        assert classifier.score(features["validation"], labels["validation"]) <= 0.55
        assert classifier.score(features["test"], labels["test"]) <= 0.55


def test_the_sample_has_equivalents_in_other_words_and_differences_in_the_same_words(
    sample: dict[str, list[dict[str, Any]]],
) -> None:
    rows = [row for split in SPLITS for row in sample[split]]
    assert sum(row["label"] == 1 and overlap(row) < 0.33 for row in rows) > 100
    assert sum(row["label"] == 0 and overlap(row) > 0.6 for row in rows) > 150


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def build(folder: Path, suffix: str = ".csv", **settings: Any) -> Splits:
    files = {split: str(folder / f"{split}{suffix}") for split in ("train", "validation")}
    return build_files(FilesSettings(text_columns=["text"], **files, **settings))


def test_classes_are_found_in_the_data_and_labels_become_ids(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "spam"), ("b", "ham"), ("c", "spam")])
    splits = build(workdir)
    assert splits.task.class_names == ("ham", "spam")
    assert list(splits.train["label"]) == [1, 0, 1]


def test_numbers_that_are_ids_already_stay(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.tsv", [("a", 2), ("b", 0), ("c", 1)], "\t")
    splits = build(workdir, ".tsv", class_names=["x", "y", "z"])
    assert splits.task.class_names == ("x", "y", "z") and list(splits.train["label"]) == [2, 0, 1]


def test_json_and_parquet_are_read_too(workdir: Path) -> None:
    from datasets import Dataset

    rows = Dataset.from_dict({"text": ["a", "b"], "label": [0.5, 1.5]})
    rows.to_json(workdir / "train.json")
    rows.to_parquet(workdir / "validation.parquet")
    settings = {"train": str(workdir / "train.json"), "validation": str(workdir / "validation.parquet")}
    splits = build_files(FilesSettings(text_columns=["text"], kind="regression", **settings))
    assert splits.task.kind == "regression" and splits.task.num_labels == 1
    assert list(splits.evaluation["validation"]["label"]) == [0.5, 1.5]


def test_the_digest_follows_the_content(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "x"), ("b", "y")])
    before = build(workdir).digest
    assert build(workdir).digest == before
    write_csv(workdir / "train.csv", [("a", "x"), ("c", "y")])
    assert build(workdir).digest != before


@pytest.mark.parametrize(
    ("rows", "settings", "message"),
    [
        ([("a", "x"), ("b", "x")], {}, "are the same"),
        ([("a", "x"), ("b", "z")], {"class_names": ["x", "y"]}, "none of the classes: z"),
        ([("a", "x"), ("b", "y")], {"label_column": "lable"}, 'no column "lable"'),
    ],
)
def test_labels_that_make_no_sense_are_told(
    workdir: Path, rows: list[tuple[str, object]], settings: dict[str, Any], message: str
) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", rows)
    with pytest.raises(ExperimentError, match=message):
        build(workdir, **settings)


def test_missing_files_and_unknown_formats_are_told_before_any_work(workdir: Path) -> None:
    problems = _check_files(FilesSettings(text_columns=["a"], train="no.csv", validation="notes.docx"))
    assert [problem.place for problem in problems] == ["train", "validation"]
    assert "there is no file" in problems[0].message and "must end in" in problems[1].message


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
