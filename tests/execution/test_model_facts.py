"""What MLflow has to know of a model comes from its folder and its data; what it cannot serve is said."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Splits
from ftrun.execution.model_facts import model_facts
from ftrun.execution.provenance import versions
from ftrun.runs.records import ModelRecord
from helpers import make_bert, rows_of, splits_of


@pytest.fixture
def saved(tmp_path: Path) -> tuple[BuiltModel, Path]:
    """A small BERT with a head for texts, as it is saved."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    make_bert(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    shutil.rmtree(tmp_path)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return BuiltModel(model, tokenizer, dict, "1", "here", max_length=64), tmp_path


def data() -> Splits:
    return splits_of(rows_of(text=["a text", "b"], label=[0, 1]))


def facts(saved: tuple[BuiltModel, Path], splits: Splits, **changed: Any) -> ModelRecord | str:
    built, folder = saved
    return model_facts("model", 3, replace(built, **changed), splits, folder)


def test_a_model_of_transformers_is_told_with_all_that_it_takes_to_load_it(saved: tuple[BuiltModel, Path]) -> None:
    told = facts(saved, data())
    assert isinstance(told, ModelRecord)
    assert (told.path, told.step, told.task, told.texts, told.max_length) == (
        "model",
        3,
        "classification",
        ["text"],
        64,
    )
    assert (told.architecture, told.tokenizer) == ("BertForSequenceClassification", "BertTokenizer")
    assert told.example == ["a text"] and told.versions["torch"] == versions()["torch"]


def test_an_example_is_short_and_there_where_no_row_has_its_texts(saved: tuple[BuiltModel, Path]) -> None:
    for rows, example in ((rows_of(text=["x" * 900], label=[0]), ["x" * 500]), (rows_of(label=[0]), ["text"])):
        told = facts(saved, splits_of(rows))
        assert isinstance(told, ModelRecord) and told.example == example


class Own:
    """A model or a tokenizer of a plugin."""


def test_what_mlflow_cannot_serve_is_said(saved: tuple[BuiltModel, Path]) -> None:
    _, folder = saved
    alone = "MLflow has the model's files alone, and cannot serve them: "
    none = f"{alone}it is none of transformers' models that take a whole text"
    assert facts(saved, data(), model=Own()) == none
    assert facts(saved, data(), tokenizer=None) == f"{alone}it has no tokenizer of transformers beside it"
    three = replace(data(), task=replace(data().task, text_columns=("a", "b", "c")))
    assert facts(saved, three) == f"{alone}a row has 3 texts, and a pipeline of transformers takes one or two"
    (folder / "config.json").write_text(json.dumps({"architectures": ["BertForTokenClassification"]}))
    named = f"{alone}BertForTokenClassification is none of transformers' models that give a text one answer"
    assert facts(saved, data()) == named
    (folder / "config.json").write_text("[")
    assert facts(saved, data()) == none
