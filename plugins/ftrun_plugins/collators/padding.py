"""Padding with the tokenizer, by transformers' own collator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftrun.contracts import Collate
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase


def dynamic(tokenizer: PreTrainedTokenizerBase, pad_to_multiple_of: int | None) -> Collate:
    """Pads to the longest row of the batch."""
    pad = DataCollatorWithPadding(tokenizer, padding="longest", pad_to_multiple_of=pad_to_multiple_of)
    return lambda rows: dict(pad(list(rows)))


def fixed(tokenizer: PreTrainedTokenizerBase, length: int) -> Collate:
    """Pads, and cuts, every row to `length` tokens."""
    pad = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=length)

    def collate(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        cut = [
            {name: value[:length] if isinstance(value, list) else value for name, value in row.items()} for row in rows
        ]
        return dict(pad(cut))

    return collate
