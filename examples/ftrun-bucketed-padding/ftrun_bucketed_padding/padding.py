"""Padding to one of a few lengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.errors import ExperimentError, Problem
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class BucketedPadding:
    """Pads a batch to the first length that holds its longest row.

    An object and no function within a function: `dataloader_num_workers` sends it to other processes.
    """

    tokenizer: PreTrainedTokenizerBase
    lengths: tuple[int, ...]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Pad rows into a batch."""
        longest = max(len(row["input_ids"]) for row in rows)
        length = next((length for length in self.lengths if length >= longest), None)
        if length is None:
            message = f"a row has {longest} tokens, more than the longest length, {self.lengths[-1]}"
            hint = f"Add a length, or cut the text: [model] max_length = {self.lengths[-1]}."
            raise ExperimentError(Problem(message, "collator.lengths", hint))
        padded = self.tokenizer.pad(
            [dict(row) for row in rows], padding="max_length", max_length=length, return_tensors="pt"
        )
        return dict(padded)
