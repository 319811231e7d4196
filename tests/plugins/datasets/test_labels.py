"""Labels: decided once for all splits, named on the record as the file has them, refused by row where they make no sense."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.columns import Origin
from ftrun_plugins.datasets.labels import Labelled, labelled
from hypothesis import given
from hypothesis import strategies as st


def rows_of(labels: Any, feature: Any = None) -> Dataset:
    if isinstance(labels, Dataset):
        return labels
    texts = [f"text {number}" for number in range(len(labels))]
    if feature is not None:
        return Dataset.from_dict(
            {"text": texts, "label": labels}, Features({"text": Value("string"), "label": feature})
        )
    table = pa.table({"text": texts, "label": labels if isinstance(labels, pa.Array) else pa.array(labels)})
    return Dataset(table)


def label(train: Any, evaluation: Any, **settings: Any) -> Labelled:
    wanted = LabelledText(**{"text_columns": ["text"], **settings})
    return labelled(
        rows_of(train), {"validation": rows_of(evaluation)}, wanted, {"": "train", "validation": "validation"}
    )


def names(rows: Dataset) -> list[str]:
    """The labels as a record has them."""
    feature = rows.features["label"]
    return [feature.names[label] for label in rows["label"]]


@pytest.mark.parametrize(
    ("train", "evaluation"),
    [
        ([1, 2, 3, 4, 5], [1, 2, 3, 4, 1]),
        ([1, 2], [1]),
        ([0, 1, 2], [2, 1]),
        ([-1, 1], [1, -1]),
        ([10, 20, 9], [9, 10]),
        (["1", "2", "3"], ["2", "3"]),
        (["None", "NA", "null", "nan", "true", "1"], ["nan", "null", "None"]),
        (["007", "7"], ["7", "007"]),
    ],
)
def test_a_label_on_the_record_is_the_label_of_the_file(train: list[Any], evaluation: list[Any]) -> None:
    done = label(train, evaluation)
    assert names(done.train) == list(map(str, train))
    assert names(done.evaluation["validation"]) == list(map(str, evaluation))


def test_truth_values_and_whole_floats_are_classes_too() -> None:
    assert names(label([True, False], [False]).evaluation["validation"]) == ["false"]
    assert names(label([1.0, 2.0], [2.0]).evaluation["validation"]) == ["2.0"]


def test_one_class_in_two_types_is_one_class() -> None:
    assert names(label([1.0, 2.0], [2, 1]).evaluation["validation"]) == ["2.0", "1.0"]
    assert names(label([1, 2], [2.0, 1.0]).evaluation["validation"]) == ["2", "1"]
    assert names(label([1, 2], ["2", "1"]).evaluation["validation"]) == ["2", "1"]
    assert names(label(["True", "False"], [True]).evaluation["validation"]) == ["True"]


def test_pandas_categories_are_text() -> None:
    categories = pa.array(pd.Categorical(["ham", "spam"]))
    assert names(label(categories, ["spam"]).train) == ["ham", "spam"]


def test_numbers_stand_in_their_order_and_text_in_its_own() -> None:
    assert label([10, 9, 1], [1]).task.class_names == ("1", "9", "10")
    assert label(["10", "9", "1"], ["1"]).task.class_names == ("1", "9", "10")
    assert label(["b", "a", "10"], ["a"]).task.class_names == ("10", "a", "b")


def test_class_names_say_the_order_and_a_class_may_be_missing() -> None:
    done = label(["1", "2", "3"], [1], class_names=["4", "3", "2", "1"])
    assert done.task.class_names == ("4", "3", "2", "1")
    assert names(done.train) == ["1", "2", "3"] and list(done.train["label"]) == [3, 2, 1]


def test_numbers_are_class_ids_only_where_the_file_says_so() -> None:
    with pytest.raises(ExperimentError, match=r'train has "2", "0", "1".*[\s\S]*label_ids = true'):
        label([2, 0, 1], [1], class_names=["x", "y", "z"])
    for ids in ([2, 0, 1], ["2", "0", "1"], [2.0, 0.0, 1.0]):
        assert names(label(ids, [1], class_names=["x", "y", "z"], label_ids=True).train) == ["z", "x", "y"]
    for wrong in ([0, 3], [0, -1], ["0", "x"], [True, False]):
        with pytest.raises(ExperimentError, match=r"none of the classes[\s\S]*0 to 2"):
            label(wrong, [1], class_names=["x", "y", "z"], label_ids=True)


def test_a_class_label_column_says_its_names_itself() -> None:
    feature = ClassLabel(names=["neg", "pos", "neutral"])
    done = label(rows_of([1, 0, 1], feature), rows_of([1, 0], ClassLabel(names=["pos", "neg"])))
    assert done.task.class_names == ("neg", "pos", "neutral")
    assert names(done.train) == ["pos", "neg", "pos"] and names(done.evaluation["validation"]) == ["neg", "pos"]
    renamed = label(rows_of([1, 0], feature), rows_of([2], feature), class_names=["pos", "neutral", "neg"])
    assert list(renamed.train["label"]) == [0, 2] and names(renamed.evaluation["validation"]) == ["neutral"]


@pytest.mark.parametrize(
    ("train", "evaluation", "settings", "words"),
    [
        (["a", "a"], ["a"], {}, 'are the same, "a"'),
        (["a", "", "b"], ["a"], {}, 'train has no label in column "label": row 2'),
        (["a", " \t", "b"], ["a"], {}, 'train has no label in column "label": row 2'),
        (["a", None, "b", None], ["a"], {}, 'train has no label in column "label": 2 rows, the first of them row 2'),
        ([1.0, float("nan"), 2.0], [1.0], {}, 'train has no label in column "label": row 2'),
        ([None, None], ["a"], {}, "train has no label"),
        (["a", "b"], ["b", "c", "c"], {}, r'validation has "c" .* training has not: 2 rows, the first of them row 2'),
        (["a", "b"], ["A"], {}, 'validation has "A" in column "label", a class that training has not: row 1'),
        (["a", "b"], ["A"], {}, 'Training has "a": write the labels alike in all splits.'),
        (["01", "02"], ["1"], {}, 'Training has "01": write the labels alike'),
        (["a", "b"], ["c"], {}, "If it is a class all the same"),
        (["spam", "ham"], ["ham", "spm"], {"class_names": ["ham", "spam"]}, r'row 2[\s\S]*Did you mean "spam"'),
        ([0.5, 1.0], [1.0], {}, r'has 0.5 in column "label", which is no class: row 1[\s\S]*regression'),
        ([[1], [2]], [[1]], {}, r'list[\s\S]*kind = "multi_label"'),
        (["a", "b"], ["a"], {"label_column": "lable"}, r'no column "lable"[\s\S]*Did you mean "label"'),
        (["a", "b"], ["a"], {"text_columns": ["txt"]}, r'no column "txt"[\s\S]*Did you mean "text"'),
        ([], ["a"], {}, "train has no rows"),
    ],
)
def test_labels_that_make_no_sense_are_told_with_their_row(
    train: list[Any], evaluation: list[Any], settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExperimentError, match=words):
        label(train, evaluation, **settings)


def test_a_label_that_is_kept_secret_is_no_label() -> None:
    feature = ClassLabel(names=["x", "y"])
    with pytest.raises(ExperimentError, match=r"validation has no label[\s\S]*kept secret"):
        label(rows_of([0, 1], feature), rows_of([-1, -1], feature))


def test_everything_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ExperimentError) as refused:
        label(["a", None], ["", "b"])
    assert [problem.message.split()[0] for problem in refused.value.problems] == ["train", "validation"]


def test_a_row_without_text_is_told_and_an_empty_text_is_text() -> None:
    whole = Dataset(pa.table({"text": ["", "b"], "label": ["x", "y"]}))
    assert list(label(whole, whole).train["text"]) == ["", "b"]
    for texts in (["a", None], [1.5, None], [1.5, math.nan], pa.array([0.5, math.nan]).dictionary_encode()):
        torn = Dataset(pa.table({"text": texts, "label": ["x", "y"]}))
        with pytest.raises(ExperimentError, match='train has no text in column "text": row 2'):
            label(torn, whole)


@pytest.mark.parametrize(
    ("values", "texts"),
    [([5, 6], ["5", "6"]), ([1.5, 2.0], ["1.5", "2.0"]), ([True, False], ["true", "false"])],
)
def test_numbers_work_as_text(values: list[Any], texts: list[str]) -> None:
    rows = Dataset(pa.table({"text": values, "label": ["x", "y"]}))
    assert list(label(rows, rows).train["text"]) == texts


def test_a_regression_parses_what_is_a_number() -> None:
    for labels in ([1, 2], [1.0, 2.0], ["1", " 2.0 "], ["1e0", "2"]):
        done = label(labels, [3], kind="regression")
        assert list(done.train["label"]) == [1.0, 2.0] and done.task.num_labels == 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["1", "two"], r"'two' in column \"label\", row 2"),
        (["1", "2,5"], r"'2,5' in column \"label\", row 2[\s\S]*with a point"),
        (["1", ""], "no label in column .*row 2"),
        ([1.0, None], "no label in column .*row 2"),
        ([1.0, float("nan")], "no label in column .*row 2"),
        (["1", "nan"], "'nan' in column .*row 2"),
        ([1.0, float("inf")], "inf in column .*row 2"),
        (["1", "1e39"], "'1e39' in column .*row 2"),
        (["1", "-1e39"], "'-1e39' in column .*row 2"),
        ([float("-inf"), 1.0], "-inf in column .*row 1"),
        ([True, False], "has classes in column"),
        (rows_of([0, 1], ClassLabel(names=["1 star", "2 stars"])), "has classes in column"),
    ],
)
def test_what_is_no_number_is_no_label_of_a_regression(labels: Any, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        label(labels, [1.0, 2.0], kind="regression")


def test_whole_numbers_above_those_of_a_float_are_the_nearest_for_a_regression_and_classes_of_their_own() -> None:
    big = [2**53, 2**53 + 1]
    assert list(label(big, [1], kind="regression").train["label"]) == [2.0**53, 2.0**53]
    assert label(big, [2**53]).task.class_names == (str(2**53), str(2**53 + 1))
    with pytest.raises(ExperimentError, match=r"train has decimal128\(16, 0\) in column .label., too long for classes"):
        label(pa.array([Decimal(one) for one in big]), ["x"])


def test_text_that_is_no_utf8_is_damage_and_no_fault_of_ours() -> None:
    torn = pa.array([b"ok", b"\x80"], pa.binary()).view(pa.string())
    rows = Dataset(pa.table({"text": torn, "label": ["x", "y"]}))
    with pytest.raises(ExperimentError, match=r'train is damaged in column "text": .*UTF8'):
        label(rows, ["x"])


def test_classes_that_are_hardly_meant_are_said() -> None:
    assert "'ham', 'ham '" in "".join(label(["ham", "ham ", "spam"], ["ham"]).notices)
    assert 'is "label" the label column?' in "".join(label([f"id {i}" for i in range(60)], ["id 1"]).notices)
    assert label(["ham", "spam"], ["ham"]).notices == []


LABELS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2),
    st.lists(st.integers(-3, 3), min_size=2),
    st.lists(st.booleans(), min_size=2),
    st.lists(st.integers(-(2**53), 2**53).map(float), min_size=2),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=2),
    st.lists(st.sampled_from(["0", "1", "01", "1.5", "None", "NA", "true", "é", "x" * 300]), min_size=2),
)


def as_file_has(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@given(LABELS.filter(lambda labels: len(set(labels)) > 1), st.randoms())
def test_every_label_of_every_split_is_the_files(labels: list[Any], random: Any) -> None:
    some = random.sample(labels, random.randint(1, len(labels)))
    done = label(labels, some)
    assert names(done.train) == list(map(as_file_has, labels))
    assert names(done.evaluation["validation"]) == list(map(as_file_has, some))
    assert np.array(done.train["label"]).max() < len(done.task.class_names or ())


@pytest.mark.parametrize(
    ("labels", "settings", "kept"),
    [
        (["x", "", "y", None, " "], {}, ["x", "y"]),
        ([1.0, None, 2.0, math.nan], {}, ["1.0", "2.0"]),
        ([0, 1, None, 2], {}, ["0", "1", "2"]),
        ([-1, 0, 1], {"class_names": ["a", "b"], "label_ids": True}, ["a", "b"]),
        (["-1", "b", "a"], {"class_names": ["a", "b"]}, ["b", "a"]),
        (["-1", "1"], {"class_names": ["1", "-1"]}, ["-1", "1"]),
    ],
)
def test_rows_without_a_label_are_left_out_on_request_and_counted(
    labels: list[Any], settings: dict[str, Any], kept: list[str]
) -> None:
    done = label(labels, labels, drop_unlabelled=True, **settings)
    assert names(done.train) == kept == names(done.evaluation["validation"])
    left = len(labels) - len(kept)
    told = [
        f"{left} of the {len(labels)} rows of {split} have no label and are left out"
        for split in ("train", "validation")
    ]
    assert list(done.notices) == (told if left else [])


def test_rows_that_are_left_out_keep_the_others_their_numbers() -> None:
    with pytest.raises(ExperimentError, match="row 4"):
        label(["x", "", "y"], ["x", "", "y", "z"], drop_unlabelled=True)
    with pytest.raises(ExperimentError, match="train has no row with a label"):
        label(["", " "], ["x"], drop_unlabelled=True)
    with pytest.raises(ExperimentError, match=r"row 2\s.*\[dataset\] drop_unlabelled = true"):
        label(["x", ""], ["x"], drop_unlabelled=False)
    numbers = label([1.5, None, math.nan, -1.0], [2.0], kind="regression", drop_unlabelled=True)
    assert list(numbers.train["label"]) == [1.5, -1.0]


def test_a_row_of_several_files_is_that_of_its_file() -> None:
    origin = Origin("all", [("a.csv", 2), ("b.csv", 3)])
    assert [origin.row(place) for place in (0, 2, 4)] == ["row 1 of a.csv", "row 1 of b.csv", "row 3 of b.csv"]
    assert Origin("all").row(4) == "row 5"


def test_a_number_that_is_written_in_two_ways_is_not_taken_for_two_classes() -> None:
    told = r'train has "0\.0" in column "label", and "0" in other rows: row 3[\s\S]*class_names'
    with pytest.raises(ExperimentError, match=told):
        label(["0", "1", "0.0", "1.0"], ["0"])
    named = label(["0", "1", "0.0", "1.0"], ["0"], class_names=["0", "1", "0.0", "1.0"])
    assert names(named.train) == ["0", "1", "0.0", "1.0"]
    with pytest.raises(ExperimentError, match=r'"1\.0" in column "label", and "1" in other rows: row 2'):
        label(["1|2", "1.0"], ["2"], kind="multi_label", label_separator="|")


def test_a_class_that_is_a_word_for_nothing_is_told_unless_the_file_names_it() -> None:
    assert any("'nan' is often written" in notice for notice in label(["0", "1", "nan"], ["0"]).notices)
    assert label(["0", "1", "nan"], ["0"], class_names=["0", "1", "nan"]).notices == []


def test_minus_one_that_is_a_class_is_told_where_rows_without_a_label_are_to_be_left_out() -> None:
    for labels in ([-1, 0, 1, -1], ["-1", "0", "1", "-1"]):
        (notice,) = label(labels, labels[:1], drop_unlabelled=True).notices
        assert (
            notice.startswith("-1 is a class of its own here, of 2 of the 4 rows of train") and "class_names" in notice
        )
    many = label([[-1], [0, 1], [0]], [[0]], drop_unlabelled=True, kind="multi_label")
    assert "-1 is a class of its own here, of 1 of the 3" in many.notices[0]
    assert label([-1, 0, 1], [0]).notices == []
    assert label([-1, 0, 1], [0], drop_unlabelled=True, class_names=["-1", "0", "1"]).notices == []
    assert label([-1.0, 0.5], [0.1], drop_unlabelled=True, kind="regression").notices == []


def test_a_column_that_declares_one_class_alone_is_told() -> None:
    only = rows_of([0, 0], ClassLabel(names=["only"]))
    with pytest.raises(ExperimentError, match='train: column "label" declares one class alone, "only"'):
        label(only, only)


@pytest.mark.parametrize("given", [["p", "n"], ["minus", "plus"], ["n", "p", "x"]])
def test_ids_that_the_column_itself_gives_other_names_are_refused(given: list[str]) -> None:
    declared = rows_of([0, 1], ClassLabel(names=["n", "p"]))
    with pytest.raises(
        ExperimentError, match=r"label_ids: train declares n, p in .*, and class_names has [\s\S]*Leave"
    ):
        label(declared, declared, class_names=given, label_ids=True)
    lists = rows_of([[0], [1]], List(ClassLabel(names=["n", "p"])))
    with pytest.raises(ExperimentError, match=r"label_ids: train declares n, p in"):
        label(lists, lists, class_names=given, label_ids=True, kind="multi_label")


def test_ids_may_have_the_names_that_the_column_gives_them_or_names_where_it_has_numbers_alone() -> None:
    for declared in (["n", "p"], ["0", "1"]):
        rows = rows_of([1, 0], ClassLabel(names=declared))
        assert names(label(rows, rows, class_names=["n", "p"], label_ids=True).train) == ["p", "n"]


@pytest.mark.parametrize(
    ("labels", "feature", "given"),
    [
        ([0, 1, -1], ClassLabel(names=["n", "p"]), {}),
        (["n", "p", "-1"], None, {"class_names": ["n", "p"]}),
        ([0, 1, -1], None, {"class_names": ["n", "p"], "label_ids": True}),
        ([[0], [1], [-1]], List(ClassLabel(names=["n", "p"])), {"kind": "multi_label"}),
        ([["n"], ["p"], ["-1"]], None, {"kind": "multi_label", "class_names": ["n", "p"]}),
    ],
)
def test_a_test_whose_labels_are_hidden_is_predicted_though_some_rows_of_training_have_none(
    labels: list[Any], feature: Any, given: dict[str, Any]
) -> None:
    hidden = rows_of(labels[2:] * 4, feature)
    wanted = LabelledText(text_columns=["text"], drop_unlabelled=True, **given)
    done = labelled(rows_of(labels, feature), {}, wanted, {"": "train", "test": "test"}, {"test": hidden})
    assert len(done.train) == 2 and done.test["test"].column_names == ["text"]
    with pytest.raises(ExperimentError, match="train has"):
        kept = wanted.model_copy(update={"drop_unlabelled": False})
        labelled(rows_of(labels, feature), {}, kept, {"": "train", "test": "test"}, {"test": hidden})


def test_where_minus_one_is_a_class_a_test_of_it_alone_has_labels() -> None:
    wanted = LabelledText(text_columns=["text"])
    done = labelled(rows_of([-1, 0]), {}, wanted, {"": "train", "test": "test"}, {"test": rows_of([-1, -1])})
    assert names(done.test["test"]) == ["-1", "-1"]
