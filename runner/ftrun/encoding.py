"""Tokenizing a split once: batched, with a bar, and cached under a key of our own."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Rows, Splits

BATCH_ROWS = 1000
"""Rows that `encode` takes at once, as many as `Dataset.map` by default."""


def encoded_cache() -> Path:
    """Where encoded splits are kept: below HF_DATASETS_CACHE, HF_HOME or ~/.cache/huggingface, as `datasets` has it."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    datasets_cache = os.environ.get("HF_DATASETS_CACHE") or Path(home) / "datasets"
    return Path(datasets_cache).expanduser() / "ftrun-encoded"


def cache_key(splits: Splits, split: str, rows: Rows, built: BuiltModel) -> str:
    """What tells one encoded split from another: the data's identity, the task, the split and how it is encoded.

    `Dataset.map`'s own key hashes the function it is given, and with it the tokenizer's state, which changes as it is
    used (huggingface/datasets#7982).
    """
    identity = (splits.name, splits.digest, repr(splits.task), split, len(rows), built.encode_key)
    return hashlib.sha256("\0".join(map(str, identity)).encode()).hexdigest()[:40]


def encode_split(
    splits: Splits, split: str, rows: Rows, built: BuiltModel, progress: Callable[[str, int, int], None]
) -> Rows:
    """The rows with the columns that the collator takes, from the cache where they are there.

    Args:
        splits: The data set; split: the split's name; rows: its rows.
        built: The model with its `encode`.
        progress: Called with the split's name, the rows done and all rows.
    """
    key = cache_key(splits, split, rows, built)
    folder = encoded_cache()
    folder.mkdir(parents=True, exist_ok=True)
    done = 0

    def encode(batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        nonlocal done
        columns = built.encode(batch)
        done += len(next(iter(batch.values())))
        progress(split, done, len(rows))
        return columns

    return rows.map(
        encode,
        batched=True,
        batch_size=BATCH_ROWS,
        remove_columns=rows.column_names,
        new_fingerprint=key,
        cache_file_name=str(folder / f"{key}.arrow"),
        load_from_cache_file=True,
    )
