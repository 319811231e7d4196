"""Batches have few lengths, and no row is cut."""

from __future__ import annotations

import pytest
from ftrun.errors import ExperimentError
from ftrun.testing import CollatorSuite
from ftrun_bucketed_padding import BucketSettings, ftrun_collators
from ftrun_bucketed_padding.padding import BucketedPadding
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast


@pytest.fixture
def pad() -> BucketedPadding:
    words = Tokenizer(models.WordLevel({"[PAD]": 0, "a": 1}, unk_token="[PAD]"))
    return BucketedPadding(PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]"), (4, 8))


def row(length: int) -> dict[str, object]:
    return {"input_ids": [1] * length, "attention_mask": [1] * length, "labels": 1}


def test_a_batch_gets_the_first_length_that_holds_it(pad: BucketedPadding) -> None:
    assert [pad([row(1), row(length)])["input_ids"].shape[1] for length in (2, 4, 5, 8)] == [4, 4, 8, 8]
    batch = pad([row(1), row(2)])
    assert batch["attention_mask"].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]] and batch["labels"].tolist() == [1, 1]


def test_a_row_that_is_too_long_is_told(pad: BucketedPadding) -> None:
    with pytest.raises(ExperimentError, match="a row has 9 tokens, more than the longest length, 8"):
        pad([row(9)])


def test_lengths_that_do_not_grow_are_refused() -> None:
    (collator,) = ftrun_collators()
    assert collator.check and not collator.check(BucketSettings())
    assert [problem.place for problem in collator.check(BucketSettings(lengths=(64, 32)))] == ["lengths"]


class TestBucketedPadding(CollatorSuite):
    """What ftrun holds every collator to."""

    component = "bucketed-padding"
    more_settings = ({"lengths": [64]},)
    bad_settings = ({"lengths": [64, 32]}, {"lengths": []})
