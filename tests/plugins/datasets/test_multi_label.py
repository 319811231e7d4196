"""Any number of classes a row, however a file has them: the classes are one list for all splits, and every row's are its
own; what makes no sense is refused by row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import FilesSettings, LabelledText
from ftrun_plugins.datasets.files import build
from ftrun_plugins.datasets.labels import Labelled, labelled
from hypothesis import given, settings
from hypothesis import strategies as st


def rows_of(labels: Any, feature: Any = None) -> Dataset:
    if isinstance(labels, dict):
        count = len(next(iter(labels.values())))
        return Dataset(pa.table({"text": [f"text {number}" for number in range(count)], **labels}))
    texts = [f"text {number}" for number in range(len(labels))]
    features = Features({"text": Value("string"), "label": feature}) if feature else None
    if features:
        return Dataset.from_dict({"text": texts, "label": labels}, features)
    return Dataset(pa.table({"text": texts, "label": labels}))


def label(train: Any, evaluation: Any, test: Any = None, feature: Any = None, **given: Any) -> Labelled:
    wanted = LabelledText(**{"text_columns": ["text"], "kind": "multi_label", **given})
    tests = {} if test is None else {"test": rows_of(test, feature)}
    names = {"": "train", "validation": "validation", "test": "test"}
    return labelled(rows_of(train, feature), {"validation": rows_of(evaluation, feature)}, wanted, names, tests)


def named(done: Labelled, rows: Dataset) -> list[list[str]]:
    classes = done.task.class_names or ()
    return [[name for name, there in zip(classes, row, strict=True) if there] for row in rows["label"]]


def test_lists_of_names_are_lists_of_0_and_1_in_one_order_for_all_splits() -> None:
    done = label([["b"], ["a", "c"], []], [["c", "a"]])
    assert done.task.kind == "multi_label" and done.task.class_names == ("a", "b", "c")
    assert list(done.train["label"]) == [[0, 1, 0], [1, 0, 1], [0, 0, 0]]
    assert list(done.evaluation["validation"]["label"]) == [[1, 0, 1]]


def test_numbers_are_names_and_stand_in_their_order_unless_they_are_said_to_be_ids() -> None:
    assert label([[10], [9, 1]], [[1]]).task.class_names == ("1", "9", "10")
    by_id = label([[1], [0, 2]], [[2]], class_names=["x", "y", "z"], label_ids=True)
    assert named(by_id, by_id.train) == [["y"], ["x", "z"]]
    with pytest.raises(ExperimentError, match=r"none of the classes[\s\S]*0 to 2"):
        label([[1], [3]], [[2]], class_names=["x", "y", "z"], label_ids=True)


def test_a_list_of_class_labels_says_its_names_itself() -> None:
    done = label([[1], [0, 2]], [[]], feature=List(ClassLabel(names=["sad", "glad", "mad"])))
    assert done.task.class_names == ("sad", "glad", "mad") and named(done, done.train) == [["glad"], ["sad", "mad"]]


def test_a_cell_holds_several_names_and_a_blank_one_none() -> None:
    done = label(["b| a", "", "  ", "c"], ["a|c"], label_separator="|")
    assert named(done, done.train) == [["a", "b"], [], [], ["c"]]
    assert named(done, done.evaluation["validation"]) == [["a", "c"]]


def test_every_class_may_have_a_column_of_its_own() -> None:
    columns = {"toxic": ["1", "0", "0"], "rude": [0, 1, 0], "late": [True, False, False], "odd": [1.0, 0.0, 0.0]}
    done = label(columns, columns, label_columns=list(columns))
    assert done.task.class_names == tuple(columns)
    assert named(done, done.train) == [["toxic", "late", "odd"], ["rude"], []]
    assert done.train.column_names == ["text", "label"]


@settings(max_examples=30)
@given(st.lists(st.sets(st.sampled_from("abcd")), min_size=2, max_size=9))
def test_lists_cells_and_columns_say_the_same(rows: list[set[str]]) -> None:
    lists = label([sorted(row) for row in rows], [["a"]], class_names=list("abcd"))
    cells = label([";".join(row) for row in rows], ["a"], class_names=list("abcd"), label_separator=";")
    columns = {name: [int(name in row) for row in rows] for name in "abcd"}
    apart = label(columns, columns, label_columns=list("abcd"))
    assert list(lists.train["label"]) == list(cells.train["label"]) == list(apart.train["label"])


@pytest.mark.parametrize(
    ("train", "evaluation", "given", "words"),
    [
        (
            [["a"], ["b"]],
            [["a"], ["c"]],
            {},
            r'validation has "c" in column "label", a class that training has not: row 2',
        ),
        ([["a"], ["b", "b"]], [["a"]], {}, r'the class "b" more than once in column "label": row 2'),
        ([[0, 1, 1], [0, 1]], [[1]], {}, r"more than once[\s\S]*0 or 1 for every class: .* label_vectors = true"),
        ([["a"], None], [["b"]], {}, r'no label in column "label": row 2[\s\S]*empty list'),
        ([["a"], ["b", None]], [["b"]], {}, r'a class without a name in column "label": row 2'),
        (["a|b", "b||a"], ["a"], {"label_separator": "|"}, r'a class without a name in column "label": row 2'),
        (["a|b", "b|a|b"], ["a"], {"label_separator": "|"}, r'"b" more than once in column "label": row 2'),
        ([[0.5], [1.0]], [[1.0]], {}, r'has 0.5 in column "label", which is no class: row 1'),
        (["a|b", "b"], ["a"], {}, r'string in column "label"[\s\S]*label_separator = "|"'),
        ([1, 2], [1], {}, r'int64 in column "label"[\s\S]*A list of classes fits'),
        ([[["a"]], [["b"]]], [[["a"]]], {}, r'list[\s\S]*in column "label"'),
        ([["a"], ["a"]], [["a"]], {}, 'are the same, "a"'),
        ([[], []], [[]], {}, "train: no row has a label"),
        (
            {"a": [1, 0], "b": [0, 2]},
            {"a": [1], "b": [1]},
            {"label_columns": ["a", "b"]},
            'has "2" in column "b", .*row 2',
        ),
        (
            {"a": ["1", ""], "b": [0, 0]},
            {"a": ["1"], "b": [1]},
            {"label_columns": ["a", "b"]},
            'has nothing in column "a"',
        ),
        ({"a": [1, 0], "b": [0, 1]}, {"a": [1]}, {"label_columns": ["a", "b"]}, 'validation has no column "b"'),
    ],
)
def test_what_makes_no_sense_is_told_with_its_row(
    train: Any, evaluation: Any, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ExperimentError, match=words):
        label(train, evaluation, **given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "classification", "label_separator": "|"}, "are for kind"),
        ({"label_columns": ["a", "b"], "class_names": ["a", "b"]}, "label_columns are the classes"),
        ({"label_columns": ["a", "a"]}, "or one twice"),
        ({"label_columns": ["a", "text"]}, "both a text column and a label column"),
        ({"label_columns": ["a", "label"]}, "set label_column"),
        ({"label_separator": "|", "class_names": ["a|b", "c"]}, "holds the label_separator"),
    ],
)
def test_settings_that_make_no_sense_together_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LabelledText(**{"text_columns": ["text"], "kind": "multi_label", **given})


TWO = {"a": [1, 0], "b": [0, 1]}


@pytest.mark.parametrize(
    ("train", "test", "given", "is_labelled"),
    [
        ([["a"], ["b"]], [[], ["a"]], {}, True),
        ([["a"], ["b"]], [[], []], {}, True),
        ([["a"], ["b"]], [None, None], {}, False),
        ([[1], [2]], [[-1, -1], [-1]], {}, False),
        (["a", "b"], ["", "a|b"], {"label_separator": "|"}, True),
        (["a", "b"], ["", " "], {"label_separator": "|"}, False),
        (TWO, {"a": [-1, -1], "b": [-1, -1]}, {"label_columns": ["a", "b"]}, False),
        (TWO, {"c": [1, 1]}, {"label_columns": ["a", "b"]}, False),
        (TWO, TWO, {"label_columns": ["a", "b"]}, True),
    ],
)
def test_a_test_has_labels_or_has_none(train: Any, test: Any, given: dict[str, Any], is_labelled: bool) -> None:
    done = label(train, train, test, **given)
    assert ("label" in done.test["test"].column_names) == is_labelled
    assert not {"a", "b"} & set(done.test["test"].column_names)


def files(name: str, content: str, **given: Any) -> Any:
    Path(name).write_text(content)
    wanted = {"train": name, "validation": name, "text_columns": ["text"], "kind": "multi_label", **given}
    return build(FilesSettings(**wanted))


def test_files_of_every_form_are_read(workdir: Path) -> None:
    assert files("a.csv", "text,label\nx,a|b\ny,\n", label_separator="|").task.class_names == ("a", "b")
    told = files("a.json", '{"text": "x", "label": ["b", "a"]}\n{"text": "y", "label": []}\n')
    assert list(told.train["label"]) == [[1, 1], [0, 0]]
    told = files("b.csv", "text,rude,late\nx,1,0\ny,0,0\n", label_columns=["rude", "late"])
    assert list(told.train["label"]) == [[1, 0], [0, 0]]
    pa.parquet.write_table(pa.table({"text": ["x", "y"], "label": [["b"], ["a", "b"]]}), "a.parquet")
    wanted = {"train": "a.parquet", "validation": "a.parquet", "text_columns": ["text"], "kind": "multi_label"}
    assert list(build(FilesSettings(**wanted)).train["label"]) == [[0, 1], [1, 1]]


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ('"a"', "has no list in column"),
        ("[1]", "mixes kinds of classes"),
        ("[null]", "something else than classes"),
        ("[[]]", "something else"),
    ],
)
def test_lists_of_json_that_hold_something_else_are_told_with_their_row(workdir: Path, second: str, words: str) -> None:
    with pytest.raises(ExperimentError, match=f"{words}[\\s\\S]*row 2"):
        files("a.json", f'{{"text": "x", "label": ["b"]}}\n{{"text": "y", "label": {second}}}\n')


def test_a_class_without_a_row_is_told_of(workdir: Path) -> None:
    told = files("a.json", '{"text": "x", "label": ["b"]}\n{"text": "y", "label": ["a"]}\n', max_train_samples=1)
    assert any("none of a" in notice for notice in told.notices)


# ------------------------------------------------------------ with what tables may be told otherwise


def lines(*told: Any) -> str:
    rows = [{"text": f"text {number}", **({} if one is ... else {"label": one})} for number, one in enumerate(told)]
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_validation_split_is_cut_off_at_random_and_said(workdir: Path) -> None:
    told = files("a.json", lines(*[["a"], ["b", "a"], [], ["b"]] * 10), validation=None)
    assert (len(told.train), len(told.evaluation["validation"])) == (36, 4)
    assert told.task.class_names == ("a", "b") and {len(row) for row in told.evaluation["validation"]["label"]} == {2}
    assert any("4 of the 40 rows of train are cut off for it, at random" in one for one in told.notices)
    again = files("a.json", lines(*[["a"], ["b", "a"], [], ["b"]] * 10), validation=None)
    assert list(told.evaluation["validation"]["text"]) == list(again.evaluation["validation"]["text"])


def test_several_files_are_one_split_and_rows_are_named_by_file(workdir: Path) -> None:
    Path("1.json").write_text(lines([], []))
    Path("2.json").write_text(lines(["b"], ["a", "b"]))
    told = files("2.json", lines(["b"], ["a", "b"]), train=["1.json", "2.json"])
    assert list(told.train["label"]) == [[0, 0], [0, 0], [0, 1], [1, 1]]
    Path("3.json").write_text(lines(["a"], ["b"], ["a", "a"]))
    with pytest.raises(ExperimentError, match=r'the class "a" more than once in column "label": row 3 of 3\.json'):
        files("2.json", lines(["b"], ["a", "b"]), train=["1.json", "3.json"])
    for number, cells in enumerate(("a|b", "c|d"), 1):
        Path(f"{number}.csv").write_text(f"text,label\nx,{cells}\ny,\n")
    told = files("all.csv", "text,label\nx,a\n", train="[0-9].csv", label_separator="|")
    assert told.task.class_names == tuple("abcd") and named_rows(told) == [["a", "b"], [], ["c", "d"], []]


def named_rows(told: Any) -> list[list[str]]:
    return [
        [name for name, there in zip(told.task.class_names, row, strict=True) if there] for row in told.train["label"]
    ]


def test_rows_without_a_label_are_left_out_and_those_of_no_class_are_not(workdir: Path) -> None:
    rows = lines(["a"], None, [], ..., ["b"])
    with pytest.raises(
        ExperimentError, match=r"no label .*2 rows, the first of them row 2[\s\S]*drop_unlabelled = true"
    ):
        files("a.json", rows)
    told = files("a.json", rows, drop_unlabelled=True)
    assert named_rows(told) == [["a"], [], ["b"]]
    assert "2 of the 5 rows of a.json have no label and are left out" in told.notices
    with pytest.raises(ExperimentError, match=r'"a" more than once in column "label": row 3'):
        files("a.json", lines(["b"], None, ["a", "a"]), drop_unlabelled=True)
    told = files("a.csv", "text,label\nw,a|b\nx,\n", label_separator="|", drop_unlabelled=True)
    assert named_rows(told) == [["a", "b"], []]
    with pytest.raises(ExperimentError, match=r'a\.json has no row with a label in column "label"'):
        files("a.json", lines(None, ...), drop_unlabelled=True)


def test_a_row_with_nothing_in_any_column_of_a_class_has_no_label_and_half_of_one_is_refused(workdir: Path) -> None:
    wanted = {"label_columns": ["rude", "late"], "drop_unlabelled": True}
    told = files("a.csv", "text,rude,late\nx,1,0\ny,,\nz,-1,-1\nw,0,0\n", **wanted)
    assert named_rows(told) == [["rude"], []]
    with pytest.raises(ExperimentError, match='has nothing in column "late", which is neither 0 nor 1: row 3'):
        files("a.csv", "text,rude,late\nx,1,0\ny,,\nz,1,\n", **wanted)
    with pytest.raises(ExperimentError, match="drop_unlabelled = true"):
        files("a.csv", "text,rude,late\nx,1,0\ny,,\n", label_columns=["rude", "late"])


def test_minus_one_is_no_label_where_the_classes_are_known(workdir: Path) -> None:
    wanted = {"class_names": ["x", "y"], "label_ids": True}
    with pytest.raises(ExperimentError, match=r"none of the classes[\s\S]*drop_unlabelled = true"):
        files("a.json", lines([0], [-1], [1, 0]), **wanted)
    told = files("a.json", lines([0], [-1], [1, 0]), drop_unlabelled=True, **wanted)
    assert named_rows(told) == [["x"], ["x", "y"]]
    with pytest.raises(ExperimentError, match="none of the classes: row 2"):
        files("a.json", lines([0], [-1, 1]), drop_unlabelled=True, **wanted)


def test_columns_that_are_not_named_are_found(workdir: Path) -> None:
    told = files("a.json", lines(["a"], [], ["b"]), text_columns=None)
    assert told.task.text_columns == ("text",) and named_rows(told) == [["a"], [], ["b"]]
    told = files(
        "a.csv",
        "body,rude,late,id\nx,1,0,1\ny,,,2\n",
        text_columns=None,
        label_columns=["rude", "late"],
        drop_unlabelled=True,
    )
    assert told.task.text_columns == ("body",) and named_rows(told) == [["rude"]]
