"""Batches of encoded rows, filled up to the longest one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch


def collate(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """A batch of rows."""
    longest = max(1, max(len(row["words"]) for row in rows))  # a text may have no known word
    words = [[*row["words"], *[0] * (longest - len(row["words"]))] for row in rows]
    batch = {"words": torch.tensor(words)}
    if "labels" in rows[0]:
        batch["labels"] = torch.tensor([row["labels"] for row in rows])
    return batch
