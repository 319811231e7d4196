"""The vocabulary is that of the rows to train on, and a saved model is the same model again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from ftrun.contracts import Splits, Task
from ftrun.errors import ExperimentError
from ftrun.testing import ModelSuite
from ftrun_bag_of_words import BagSettings
from ftrun_bag_of_words.batches import collate
from ftrun_bag_of_words.model import build, load

TASK = Task("classification", ("text",), "label", ("bad", "good"))
TEXTS = ["A good lamp, a good price.", "A bad lamp."]


def splits() -> Splits:
    rows = Dataset.from_dict({"text": TEXTS, "label": [1, 0]})
    return Splits(task=TASK, train=rows, evaluation={"validation": rows}, name="mine", source="here", digest="1")


def test_words_that_are_not_known_count_nowhere() -> None:
    encode = build(BagSettings(), splits()).encode
    assert encode({"text": ["good lamp", "good unheard lamp"]})["words"] == [[3, 4], [3, 4]]
    batch = collate([{"words": [3, 4], "labels": 1}, {"words": [], "labels": 0}])
    assert batch["words"].tolist() == [[3, 4], [0, 0]] and batch["labels"].tolist() == [1, 0]


def test_rare_words_are_left_out() -> None:
    built = build(BagSettings(min_count=3), splits())
    assert built.encode({"text": TEXTS})["words"] == [[1, 1], [1]]


def test_a_saved_model_says_what_it_said(tmp_path: Path) -> None:
    built = build(BagSettings(), splits())
    built.model.save_pretrained(tmp_path)
    assert built.tokenizer
    built.tokenizer.save_pretrained(tmp_path)
    again = load(BagSettings(), tmp_path, TASK)
    words = torch.tensor([[3, 4]])
    assert torch.equal(built.model(words=words).logits, again.model(words=words).logits)
    assert again.encode_key == built.encode_key


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="holds no model bag-of-words"):
        load(BagSettings(), tmp_path, TASK)


class TestBagOfWords(ModelSuite):
    """What ftrun holds every model to."""

    component = "bag-of-words"
    more_settings = ({"width": 8, "min_count": 2},)
    bad_settings = ({"width": 0},)
    experiment = {"collator": {"use": "bag-of-words"}}  # noqa: RUF012
