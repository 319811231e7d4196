"""Padding with the tokenizer, by transformers' own collator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import Collate
from ftrun.errors import ExperimentError, Problem
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase


def dynamic(tokenizer: PreTrainedTokenizerBase, pad_to_multiple_of: int | None) -> Collate:
    """Pads to the longest row of the batch.

    Raises:
        ExperimentError: If the tokenizer cannot pad.
    """
    _check_pads(tokenizer)
    return Padding(DataCollatorWithPadding(tokenizer, padding="longest", pad_to_multiple_of=pad_to_multiple_of))


def fixed(tokenizer: PreTrainedTokenizerBase, length: int) -> Collate:
    """Pads every row to `length` tokens.

    Raises:
        ExperimentError: If the tokenizer cannot pad; and when called, if a row is longer.
    """
    _check_pads(tokenizer)
    return Padding(DataCollatorWithPadding(tokenizer, padding="max_length", max_length=length), longest=length)


def _check_pads(tokenizer: Any) -> None:
    if not callable(getattr(tokenizer, "pad", None)):
        message = f"rows are padded by the tokenizer's `pad`, and the model's {type(tokenizer).__name__} has none"
        needed = "pad(rows, padding, max_length, pad_to_multiple_of, return_tensors), which gives the batch"
        hint = f"Who makes the model gives it {needed}, or comes with a collator: [collator] use = NAME."
        raise ExperimentError(Problem(message, hint=hint))


@dataclass(frozen=True)
class Padding:
    """Pads a batch of rows; an object, which can be sent to the processes that collate.

    Attributes:
        pad: transformers' collator.
        longest: The most tokens that a row may have; any number by default.
    """

    pad: DataCollatorWithPadding
    longest: int | None = None

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        if self.longest is not None and longest > self.longest:
            message = f"a row has {longest} tokens, more than the fixed length of {self.longest}"
            hint = f"Cut the text: [model] max_length = {self.longest}."
            raise ExperimentError(Problem(message, "collator.length", hint))
        return dict(self.pad([dict(row) for row in rows]))
