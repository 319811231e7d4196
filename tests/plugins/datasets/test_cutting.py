"""A validation split that is cut off: by seed and rows alone, each class with its share, and none left without rows."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.cutting import cut_where_none, places_of_validation
from ftrun_plugins.datasets.labels import Labelled
from hypothesis import given
from hypothesis import strategies as st

CLASSES = [0] * 20 + [1] * 8 + [2] * 2 + [3]


@pytest.mark.parametrize(
    ("size", "seed", "places"),
    [
        (0.1, 0, [4, 7, 27]),
        (0.1, 1, [1, 10, 24]),
        (6, 0, [1, 2, 4, 7, 24, 27]),
        (0.5, 2**32 - 1, [4, 5, 6, 7, 8, 9, 10, 12, 16, 18, 19, 20, 23, 24, 25, 29]),
    ],
)
def test_the_rows_are_those_of_every_machine_and_version(size: float, seed: int, places: list[int]) -> None:
    assert places_of_validation(np.array(CLASSES), size, seed).tolist() == places


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=80).filter(lambda classes: max(Counter(classes).values()) > 1),
    st.floats(0.01, 0.99),
    st.integers(0, 2**32 - 1),
)
def test_each_class_has_its_share_and_keeps_a_row(classes: list[int], size: float, seed: int) -> None:
    places = places_of_validation(np.array(classes), size, seed).tolist()
    assert places == sorted(set(places)) and places
    counts, taken = Counter(classes), Counter(classes[place] for place in places)
    most = sum(count - 1 for count in counts.values())
    assert len(places) == min(max(1, int(len(classes) * size + 0.5)), most)
    eligible = sum(count for count in counts.values() if count > 1)
    for name, count in counts.items():
        assert taken[name] < count
        if len(places) < most and all(taken[other] < counts[other] - 1 for other in counts if counts[other] > 1):
            assert count == 1 or abs(taken[name] - len(places) * count / eligible) < 1


@given(st.integers(2, 200), st.integers(0, 2**32 - 1))
def test_numbers_are_cut_at_random_and_another_seed_takes_other_rows(count: int, seed: int) -> None:
    classes = np.zeros(count, np.int64)
    places = places_of_validation(classes, 0.3, seed).tolist()
    assert places == places_of_validation(classes, 0.3, seed).tolist()
    if count > 60:
        assert places != places_of_validation(classes, 0.3, (seed + 1) % 2**32).tolist()


@pytest.mark.parametrize(
    ("classes", "size", "told"),
    [
        ([0, 1, 2], 0.1, r"1 of 3 rows cannot be cut off.*\s+Every row is of another class: .*regression"),
        ([0, 0, 1], 2, r"2 of 3 rows cannot be cut off.*\s+1 can"),
        ([0, 0, 0], 10**9, r"1,000,000,000 of 3 rows"),
        ([0], 1, r"1 of 1 rows.*\s+Name a split"),
    ],
)
def test_too_few_rows_are_refused(classes: list[int], size: float, told: str) -> None:
    with pytest.raises(ExperimentError, match=told) as refused:
        places_of_validation(np.array(classes), size, 0)
    assert refused.value.problems[0].place == "dataset.validation_size"


TASK = Task("classification", ("text",), "label", ("neg", "pos"))


def rows(count: int, evaluation: bool = False) -> Labelled:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    some = Dataset.from_dict({"text": list(map(str, range(count))), "label": [n % 2 for n in range(count)]}, features)
    return Labelled(TASK, some, {"dev": some} if evaluation else {}, ["before"])


def settings(**more: object) -> FilesSettings:
    return FilesSettings.model_validate({"train": "train.csv", **more})


def test_what_is_cut_off_is_said_and_has_a_digest_of_its_own() -> None:
    cut = cut_where_none(rows(40), settings(), "train", "abc", True)
    assert len(cut.rows.train) == 36 and list(cut.rows.evaluation["validation"]["label"]) == [0, 1] * 2
    told = "there is no validation split: 4 of the 40 rows of train are cut off for it, of each class its share, and 36"
    assert cut.rows.notices == ["before", f"{told} are left (split_seed = 0)"]
    others = [cut_where_none(rows(40), settings(split_seed=1), "train", "abc", True)]
    others += [cut_where_none(rows(40), settings(validation_size=4), "train", "abc", True)]
    others += [cut_where_none(rows(40), settings(), "train", "abd", True)]
    digests = [digest for one in (cut, *others) for digest in one.digests.values()]
    assert len(set(digests)) == 8 and set(cut.digests) == {"train", "validation"}


def test_nothing_is_cut_where_a_split_is_named_or_nothing_is_evaluated() -> None:
    named = rows(40, evaluation=True)
    assert cut_where_none(named, settings(), "train", "abc", True).rows is named
    whole = cut_where_none(rows(40), settings(), "train", "abc", False)
    assert len(whole.rows.train) == 40 and not whole.rows.evaluation and not whole.digests
    assert "all rows of train are trained on" in whole.rows.notices[-1]
    asked = cut_where_none(rows(40), settings(validation_size=10), "train", "abc", False)
    assert len(asked.rows.train) == 30
