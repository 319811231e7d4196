"""The embedded sample keeps its promises."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from ftrun_plugins.datasets import (
    SAMPLE_TASK,
    SampleSettings,
    sample_folder,
)
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


def test_it_opens_with_a_checksum_and_without_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    first, second = (build_sample(SampleSettings(), SAMPLE_TASK) for _ in range(2))
    assert first.digest == second.digest and len(first.digest) == 64 and first.name == "ftrun-sample"
    assert list(first.evaluation) == ["validation"] and list(first.test) == ["test"] and first.notices == []


@pytest.mark.parametrize(("limit", "rows"), [(1, 1), (44, 44), (10**12, None)])
def test_it_can_be_cut(limit: int, rows: int | None) -> None:
    whole = build_sample(SampleSettings(), SAMPLE_TASK)
    cut = build_sample(SampleSettings(max_train_samples=limit, max_eval_samples=limit), SAMPLE_TASK)
    assert len(cut.train) == (rows or len(whole.train)) and cut.train[0] == whole.train[0]
    assert len(cut.evaluation["validation"]) == (rows or len(whole.evaluation["validation"]))


def test_a_random_choice_is_the_same_every_time() -> None:
    chosen = [
        build_sample(SampleSettings(max_train_samples=9, shuffle_seed=3), SAMPLE_TASK).train["idx"][:] for _ in "ab"
    ]
    assert chosen[0] == chosen[1] and chosen[0] != list(range(9))
