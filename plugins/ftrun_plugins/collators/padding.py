"""Padding with the tokenizer, by transformers' own collator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftrun.contracts import Collate
from ftrun.errors import ExperimentError, Problem
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase


def dynamic(tokenizer: PreTrainedTokenizerBase, pad_to_multiple_of: int | None) -> Collate:
    """Pads to the longest row of the batch."""
    pad = DataCollatorWithPadding(tokenizer, padding="longest", pad_to_multiple_of=pad_to_multiple_of)
    return lambda rows: dict(pad([dict(row) for row in rows]))


def fixed(tokenizer: PreTrainedTokenizerBase, length: int) -> Collate:
    """Pads every row to `length` tokens.

    Raises, when called:
        ExperimentError: If a row is longer.
    """
    pad = DataCollatorWithPadding(tokenizer, padding="max_length", max_length=length)

    def collate(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        if longest > length:
            message = f"a row has {longest} tokens, more than the fixed length of {length}"
            raise ExperimentError(Problem(message, "collator.length", f"Cut the text: [model] max_length = {length}."))
        return dict(pad([dict(row) for row in rows]))

    return collate
