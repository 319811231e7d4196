"""Padding of rows whose labels are as long as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

NO_LABEL = -100


@dataclass(frozen=True)
class TokenPadding:
    """Pads a batch to its longest row; an object, which can be sent to other processes."""

    tokenizer: PreTrainedTokenizerBase

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Pad rows into a batch."""
        inputs = [{name: value for name, value in row.items() if name != "labels"} for row in rows]
        batch = dict(self.tokenizer.pad(inputs, return_tensors="pt"))
        if "labels" in rows[0]:
            longest = batch["input_ids"].shape[1]
            padded = [[*row["labels"], *[NO_LABEL] * (longest - len(row["labels"]))] for row in rows]
            batch["labels"] = torch.tensor(padded)
        return batch
