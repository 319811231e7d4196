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


def test_a_file_to_predict_is_said_to_be_unused(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [(split + "a", "x"), (split + "b", "y")])
    assert "is not used yet" in "".join(build(workdir, test="test.csv").notices)
    assert build(workdir).notices == []


def test_the_digest_follows_the_content(workdir: Path) -> None:
    for split in ("train", "validation"):
        write_csv(workdir / f"{split}.csv", [("a", "x"), ("b", "y")])
    before = build(workdir).digest
    assert build(workdir).digest == before
    write_csv(workdir / "train.csv", [("a", "x"), ("c", "y")])
    assert build(workdir).digest != before


def test_missing_files_and_unknown_formats_are_told_before_any_work(workdir: Path) -> None:
    write_csv(workdir / "trian.csv", [])
    (workdir / "notes.docx").write_text("")
    problems = _check_files(FilesSettings(text_columns=["a"], train="train.csv", validation="notes.docx"))
    assert [problem.place for problem in problems] == ["train", "validation"]
    assert problems[0].hint == "Did you mean trian.csv?"
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


@pytest.mark.parametrize("labels", [("0", "1"), ("not_equivalent", "equivalent")])
def test_glue_in_files_of_csv_has_ids_or_names(workdir: Path, labels: tuple[str, str]) -> None:
    from ftrun_plugins.datasets import GlueSettings
    from ftrun_plugins.datasets.glue import build as build_glue

    folder = workdir / "glue" / "mrpc"
    folder.mkdir(parents=True)
    card = "configs:\n- config_name: mrpc\n  data_files:\n"
    for split in ("train", "validation"):
        lines = ["sentence1,sentence2,label", *(f"a {split},b,{label}" for label in labels)]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
        card += f"  - split: {split}\n    path: mrpc/{split}.csv\n"
    (workdir / "glue" / "README.md").write_text(f"---\n{card}---\n")
    splits = build_glue(GlueSettings(task="mrpc", path=str(workdir / "glue")))
    assert list(splits.train["label"]) == [0, 1] and splits.train.features["label"].names[1] == "equivalent"
