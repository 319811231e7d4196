"""A list of 0 and 1 for every class: taken where the file says so, and asked about where it may be one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, List, Value
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import FilesSettings, HubSettings, LabelledText
from ftrun_plugins.datasets.files import build
from ftrun_plugins.datasets.hub import build as build_hub
from ftrun_plugins.datasets.labels import Labelled, labelled
from helpers import points_of, run, weights_of


def rows_of(labels: Any, feature: Any = None) -> Dataset:
    rows = Dataset(pa.table({"text": [f"text {number}" for number in range(len(labels))], "label": labels}))
    return rows.cast_column("label", feature) if feature else rows


def label(train: Any, evaluation: Any, test: Any = None, feature: Any = None, **given: Any) -> Labelled:
    wanted = LabelledText(**{"text_columns": ["text"], "kind": "multi_label", "label_vectors": True, **given})
    tests = {} if test is None else {"test": rows_of(test, feature)}
    names = {"": "train", "validation": "validation", "test": "test"}
    return labelled(rows_of(train, feature), {"validation": rows_of(evaluation, feature)}, wanted, names, tests)


VECTORS = [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
NAMES = ["rude", "late", "odd"]


@pytest.mark.parametrize(
    "labels",
    [
        VECTORS,
        [[float(one) for one in row] for row in VECTORS],
        [[bool(one) for one in row] for row in VECTORS],
        [[str(one) for one in row] for row in VECTORS],
        pa.array(VECTORS, pa.list_(pa.int8(), 3)),
        pa.array(VECTORS, pa.large_list(pa.uint8())),
        pa.array(VECTORS, pa.list_(pa.float32())),
    ],
)
def test_a_list_for_every_class_is_taken_of_whatever_type(labels: Any) -> None:
    done = label(labels, labels, class_names=NAMES)
    assert done.task.class_names == tuple(NAMES) and done.task.kind == "multi_label"
    assert list(done.train["label"]) == list(done.evaluation["validation"]["label"]) == VECTORS


def test_it_says_what_names_say() -> None:
    names = label([["late"], ["odd", "rude"], []], [["late"]], class_names=NAMES, label_vectors=None)
    assert list(names.train["label"]) == list(label(VECTORS, VECTORS, class_names=NAMES).train["label"])


def test_classes_that_nobody_names_are_called_by_their_places() -> None:
    wide = [[int(place == row) for place in range(12)] for row in range(12)]
    assert label(wide, wide).task.class_names == tuple(map(str, range(12)))
    assert list(label(wide, wide).train["label"]) == wide


def test_a_class_label_in_the_list_names_the_classes_or_0_and_1() -> None:
    feature = List(ClassLabel(names=["sad", "glad", "mad"]))
    assert label(VECTORS, VECTORS, feature=feature).task.class_names == ("sad", "glad", "mad")
    assert label(VECTORS, VECTORS, feature=List(ClassLabel(names=["no", "yes"]))).task.class_names == ("0", "1", "2")
    with pytest.raises(
        ExperimentError, match=r"class_names: train declares sad, glad, mad .*class_names has glad, sad"
    ):
        label(VECTORS, VECTORS, feature=feature, class_names=["glad", "sad", "mad"])
    two = label([[0, 1], [1, 1]], [[0, 0]], feature=List(ClassLabel(names=["no", "yes"])))
    assert two.task.class_names == ("0", "1") and list(two.train["label"]) == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    "labels", [[[0, 1], [1, 0]], VECTORS, [[True, False], [False, False]], [["0", "1"], ["1", "0"]]]
)
@pytest.mark.parametrize("given", [{}, {"class_names": ["0", "1"]}])
def test_lists_that_may_be_either_are_asked_about(labels: Any, given: dict[str, Any]) -> None:
    with pytest.raises(ExperimentError, match=r"dataset\.label_vectors: train has lists of \d .* nothing but 0 and 1"):
        label(labels, labels, label_vectors=None, **given)


def test_rows_with_an_empty_list_beside_them_make_it_no_clearer() -> None:
    with pytest.raises(ExperimentError, match=r"dataset\.label_vectors: train has lists of 2"):
        label([[], [0, 1], [1, 0]], [[0, 1]], label_vectors=None)


def test_what_the_file_says_decides_and_so_does_what_can_be_one_thing_alone() -> None:
    both = [[0, 1], [1, 0]]
    assert list(label(both, both, label_vectors=True).train["label"]) == both
    assert list(label(both, both, label_vectors=False).train["label"]) == [[1, 1], [1, 1]]
    by_id = label(both, both, label_vectors=None, label_ids=True, class_names=NAMES)
    assert list(by_id.train["label"]) == [[1, 1, 0]] * 2
    ids = label([[0], [1]], [[0, 1]], label_vectors=None)
    assert ids.task.class_names == ("0", "1") and list(ids.evaluation["validation"]["label"]) == [[1, 1]]
    assert label([[0, 1], [1]], [[0]], label_vectors=None).task.class_names == ("0", "1")
    three = List(ClassLabel(names=["sad", "glad", "mad"]))
    assert list(label(both, [[2]], feature=three, label_vectors=None).train["label"]) == [[1, 1, 0]] * 2


@pytest.mark.parametrize(
    ("train", "evaluation", "given", "words"),
    [
        ([[0, 1], [1, 0, 1]], [[0, 1]], {}, 'train has a list of 3 .* the first row to train on has 2 classes: row 2'),
        ([[0, 1], [1, 0]], [[0, 1], [0, 1, 1]], {}, "validation has a list of 3 .* 2 classes: row 2"),
        ([[0, 1], [1, 0]], [[0, 1]], {"class_names": NAMES}, "train has a list of 2 .* class_names has 3 classes: 2 rows"),
        ([[0, 1], [1, 2]], [[0, 1]], {}, 'train has "2" in a list in column "label", which is neither 0 nor 1: row 2'),
        ([[0.0, 1.0], [0.5, 1.0]], [[0.0, 1.0]], {}, r'has "0\.5" in a list .* row 2'),
        ([[0.0, 1.0], [float("nan"), 1.0]], [[0.0, 1.0]], {}, "has nothing in a list .* row 2"),
        ([[0, 1], [None, 1]], [[0, 1]], {}, "has nothing in a list .* row 2"),
        ([[0, 1], [-1, 1]], [[0, 1]], {}, 'has "-1" in a list .* row 2'),
        ([[0, 1], None], [[0, 1]], {}, 'train has no label in column "label": row 2'),
        ([[0, 1], []], [[0, 1]], {}, 'train has no label in column "label": row 2'),
        ([[0, 1], [-1, -1]], [[0, 1]], {}, 'train has no label in column "label": row 2'),
        ([[], []], [[]], {}, 'train has no label in column "label": 2 rows'),
        ([[0], [1]], [[1]], {}, "a list of 1 .* with one class there is nothing to tell apart"),
        ([["a"], ["b"]], [["a"]], {}, 'has "a" in a list'),
        ([1, 0], [1], {}, r'int64 in column "label"[\s\S]*0 or 1 for every class'),
        (["0,1"], ["0,1"], {}, r'string in column "label"[\s\S]*0 or 1 for every class'),
        ([[[0, 1]], [[1, 0]]], [[[0, 1]]], {}, r'in column "label"[\s\S]*0 or 1 for every class'),
    ],
)  # fmt: skip
def test_what_is_no_such_list_is_told_with_its_row(
    train: Any, evaluation: Any, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExperimentError, match=words):
        label(train, evaluation, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "classification"}, 'label_vectors is for kind = "multi_label"'),
        ({"label_separator": "|"}, "without label_separator or columns"),
        ({"label_columns": ["a", "b"]}, "without label_separator or columns"),
        ({"label_ids": True, "class_names": NAMES}, "only one"),
        ({"label_vectors": 1}, "valid boolean"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LabelledText(**{"text_columns": ["text"], "kind": "multi_label", "label_vectors": True, **given})


def test_rows_without_a_label_are_left_out_and_those_of_no_class_are_not() -> None:
    told = label([[0, 1], None, [0, 0], [], [-1, -1], [1, 1]], [[0, 1]], drop_unlabelled=True)
    assert list(told.train["label"]) == [[0, 1], [0, 0], [1, 1]]
    assert "3 of the 6 rows of train have no label and are left out" in told.notices


@pytest.mark.parametrize(
    ("test", "is_labelled"),
    [([[0, 0], [1, 0]], True), ([[0, 0]], True), ([None, None], False), ([[-1, -1]], False), ([[], []], False)],
)
def test_a_test_has_labels_or_has_none(test: Any, is_labelled: bool) -> None:
    done = label([[0, 1], [1, 1]], [[0, 1]], test)
    assert ("label" in done.test["test"].column_names) == is_labelled
    if not is_labelled:
        with pytest.raises(ExperimentError, match="Give each row a label, or none at all"):
            label([[0, 1], [1, 1]], [[0, 1]], [*test, [0, 1]])


def test_files_and_folders_of_the_hub_are_read(workdir: Path) -> None:
    rows = [{"text": f"word {number}", "labels": [number % 2, number % 3 % 2, 1]} for number in range(9)]
    Path("a.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wanted: dict[str, Any] = {"kind": "multi_label", "label_vectors": True, "class_names": NAMES}
    told = build(FilesSettings(train="a.json", validation="a.json", **wanted))
    assert told.task.label_column == "labels" and list(told.train["labels"]) == [row["labels"] for row in rows]
    Path("repo").mkdir()
    floats = [[float(one) for one in row["labels"]] for row in rows]
    table = Dataset.from_dict({"text": [row["text"] for row in rows], "labels": floats})
    for split in ("train", "validation"):
        table.cast_column("labels", List(Value("float32"), length=3)).to_parquet(f"repo/{split}.parquet")
    told = build_hub(HubSettings(path="repo", **wanted))
    assert list(told.train["labels"]) == [row["labels"] for row in rows]


@pytest.mark.slow
def test_a_run_on_them_is_that_on_names(tiny: Path) -> None:
    words = ["red", "green", "blue"]
    shown = [[number >> place & 1 for place in range(3)] for number in range(8)] * 3
    named = [list(np.compress(row, words)) for row in shown]
    given: dict[str, Any] = {"use": "files", "kind": "multi_label", "class_names": words}
    given |= dict.fromkeys(("train", "validation", "test"), "rows.json")
    runs = []
    for labels, more in ((shown, {"label_vectors": True}), (named, {})):
        rows = [{"text": " ".join(there) or "none", "label": one} for there, one in zip(named, labels, strict=True)]
        Path("rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        asked = {"dataset": {**given, **more}, "metrics": [{"use": "f1"}], "training.learning_rate": 1e-2}
        runs.append(run(tiny, asked))
        assert runs[-1].metrics["test/f1"] == runs[-1].metrics["eval/f1"] > 0
        assert ftrun.evaluate(runs[-1].run_folder, "rows.json", progress=False)["f1"] == runs[-1].metrics["eval/f1"]
    assert points_of(runs[0].run_folder) == points_of(runs[1].run_folder)
    assert weights_of(runs[0].run_folder) == weights_of(runs[1].run_folder)
