"""Rows encoded as a run does, with a cache of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoding import Encoding

TASK = Task("classification", ("text",), "label", ("a", "b"))


def lengths(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    return {"input_ids": [[len(word) for word in text.split()] for text in batch["text"]], "labels": batch["label"]}


class Bench:
    """Encodes rows as a run does, each time with a cache of its own making in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoded: list[str] = []
        self.notices: list[str] = []
        self.limit = 20 * 1024**3
        self.built = BuiltModel(None, None, lengths, "lengths-1", "nowhere")
        self.splits = Splits(task=TASK, train=None, evaluation={}, name="rows", source="here", digest="1")
        self.provider = "someone 1.0"

    def __call__(self, rows: Any, split: str = "train", **changes: Any) -> list[Any]:
        """The encoded rows; `encoded` then holds the split if it was not in the cache."""
        self.encoded.clear()
        with EncodedCache(self.folder, self.limit) as cache:
            encoding = Encoding(self.splits, self.built, self.provider, cache, self._progress, self.notices.append)
            encoded = replace(encoding, **changes).encode(split, rows)
            return [dict(encoded[index]) for index in range(len(encoded))]

    def _progress(self, split: str, done: int, total: int) -> None:
        if done == total:
            self.encoded.append(split)

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*/rows.arrow"))


def rows_of(*texts: str, labels: Sequence[int] | None = None) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"text": list(texts), "label": list(labels or [0] * len(texts))})


A, B = rows_of("one", "two words"), rows_of("three", "a bc")


IDS_A = [{"input_ids": [3], "labels": 0}, {"input_ids": [3, 5], "labels": 0}]


IDS_B = [{"input_ids": [5], "labels": 0}, {"input_ids": [1, 2], "labels": 0}]
