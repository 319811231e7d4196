"""Columns that nobody has named are taken where there is no doubt, and said; else they are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.inference import Holds, header_doubts, is_id, is_text, with_columns


def columns(text: str = "", values: str = "", other: str = "", lists: str = "") -> dict[str, Holds]:
    told: dict[str, Holds] = dict.fromkeys(text.split(), "text")
    told |= dict.fromkeys(values.split(), "values")
    told |= dict.fromkeys(lists.split(), "lists")
    return {**told, **dict.fromkeys(other.split(), "something else")}


def found(holds: dict[str, Holds], **settings: Any) -> tuple[list[str], str, str]:
    told, notices = with_columns(FilesSettings(train="train.csv", **settings), holds, "train.csv")
    return told.text_columns, told.label_column, " ".join(notices)


@pytest.mark.parametrize(
    ("holds", "texts", "label"),
    [
        (columns("review label"), ["review"], "label"),
        (columns("review", "label"), ["review"], "label"),
        (columns("review", "labels idx"), ["review"], "labels"),
        (columns("review", "stars id"), ["review"], "stars"),
        (columns("guid review pairID label"), ["review"], "label"),
        (columns("hypothesis premise", "label"), ["premise", "hypothesis"], "label"),
        (columns("sentence question", "label idx"), ["question", "sentence"], "label"),
        (columns("text_pair text", "label"), ["text", "text_pair"], "label"),
        (columns("text", "label", "tokens"), ["text"], "label"),
    ],
)
def test_columns_without_a_doubt_are_taken_and_said(holds: dict[str, Holds], texts: list[str], label: str) -> None:
    told = found(holds)
    assert told[:2] == (texts, label)
    assert all(f'"{name}"' in told[2] for name in (*texts, label)) and "train.csv" in told[2]


@pytest.mark.parametrize(
    ("holds", "settings", "told"),
    [
        (columns("title body", "label"), {}, r'2 columns hold text\s+Say which: text_columns = \["title"\]'),
        (columns("sentence1 sentence2 more", "label"), {}, "3 columns hold text"),
        (columns("", "label idx"), {}, "no column holds text"),
        (columns("id", "label"), {}, "no column holds text"),
        (columns("text topic"), {}, r"which column is the label\s.*There are: .text., .topic."),
        (columns("text", "stars votes"), {}, 'which column is the label.*\n.*label_column = "stars"'),
        (columns("text", "", "label_list"), {}, "which column is the label"),
        (columns("text", lists="tags"), {}, "which column is the label"),
        (columns("text", "stars"), {"kind": "multi_label"}, "which column is the label"),
        (columns("text", lists="tags tokens"), {"kind": "multi_label"}, "which column is the label"),
        (columns("a b c"), {"text_columns": ["a"]}, "which column is the label"),
        (columns("text", "idx"), {}, "which column is the label"),
    ],
)
def test_a_doubt_is_asked(holds: dict[str, Holds], settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        found(holds, **settings)


def test_what_is_named_is_taken_as_it_is() -> None:
    assert found(columns("a b label"), text_columns=["b"]) == (["b"], "label", "")
    assert found(columns("a b id"), text_columns=["b"])[:2] == (["b"], "a")
    assert found(columns("a b", "c"), label_column="b")[:2] == (["a"], "b")


def test_lists_are_labels_where_a_row_may_have_several_and_label_columns_need_no_other() -> None:
    assert found(columns("text", "stars", lists="tags"), kind="multi_label")[:2] == (["text"], "tags")
    assert found(columns("text", "stars", lists="tags"))[:2] == (["text"], "stars")
    several = {"kind": "multi_label", "label_columns": ["rude", "late"]}
    told = found(columns("text late", "rude stars"), **several)
    assert told == (["text"], "label", 'the text is in "text", as the columns of train.csv tell')
    apart = {"kind": "multi_label", "label_separator": "|"}
    assert found(columns("text tags"), text_columns=["text"], **apart)[:2] == (["text"], "tags")


def test_numbers_that_are_written_out_are_no_text_and_ids_no_column_to_learn_from() -> None:
    assert all(map(is_text, ("a", "1 2", "x1"))) and not any(map(is_text, ("1", "1e5", "nan", " ", None, 3)))
    assert all(map(is_id, ("id", "ID", "idx", "row_id", "pairID", "docId", "index", "", "Unnamed: 0")))
    assert not any(map(is_id, ("text", "paid", "valid", "period", "indexed", "label")))


def test_the_id_of_a_class_is_a_label_and_beside_another_number_a_doubt() -> None:
    assert not any(map(is_id, ("label_id", "labelId", "class_idx", "category-id"))) and is_id("subclass_id")
    settings, _ = with_columns(FilesSettings(train="t.csv"), {"text": "text", "label_id": "values"}, "t.csv")
    assert settings.label_column == "label_id"
    with pytest.raises(ExperimentError, match="does not tell which column is the label"):
        with_columns(FilesSettings(train="t.csv"), {"text": "text", "label_id": "values", "score": "values"}, "t.csv")


@pytest.mark.parametrize(
    ("holds", "settings", "likely"),
    [
        (columns("Text Label"), {"text_columns": ["text"]}, "Label"),
        (columns("text target"), {}, "target"),
        (columns("text genre", "id"), {}, "genre"),
        (columns("review Rating"), {"text_columns": ["review"], "kind": "multi_label"}, "Rating"),
    ],
)
def test_the_example_in_a_question_is_a_column_that_may_be_the_label(
    holds: dict[str, Holds], settings: dict[str, Any], likely: str
) -> None:
    with pytest.raises(ExperimentError, match=f'label_column = "{likely}"'):
        found(holds, **settings)


def test_a_file_without_a_header_is_asked_about() -> None:
    with pytest.raises(ExperimentError, match="write a line with names above it"):
        with_columns(FilesSettings(train="t.csv"), {"a fine day": "text", "good": "text"}, "t.csv")
    task = Task("classification", ("a fine day",), "good", ("bad", "good"))
    (told,) = header_doubts(FilesSettings(train="t.csv", label_column="good"), task, "train")
    assert 'train has "good" for the name of its label column and for a class' in told
    assert not header_doubts(
        FilesSettings(train="t.csv", label_column="label"), replace(task, label_column="label"), ""
    )
