"""In which order the rows of an epoch are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers.trainer_pt_utils import get_length_grouped_indices

from ftrun.contracts import EncodedRows, Job
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings

Order = Callable[[torch.Generator], list[int]]
"""From a generator, which seed and epoch have seeded, to all row numbers of an epoch."""

TOKENS = "input_ids"
READ_ROWS = 1000


def order_of(job: Job) -> Order:
    """The order that `train_sampling_strategy` asks for.

    Rows of a like length are those of one optimizer step, as transformers' `LengthGroupedSampler` puts them together:
    the order is the same however a step is cut into batches.

    Raises:
        ExperimentError: If it goes by length, and the rows do not tell theirs.
    """
    count = len(job.train)
    match job.training.train_sampling_strategy:
        case "sequential":
            return lambda generator: list(range(count))
        case "group_by_length":
            if count:
                check_order(job.training, job.train[0])
            lengths = _lengths(job.train)
            size = job.training.per_device_train_batch_size * job.training.gradient_accumulation_steps
            return lambda generator: _grouped(lengths, size, generator)
        case _:
            return random_order(count)


def random_order(count: int) -> Order:
    """All rows at random."""
    return lambda generator: torch.randperm(count, generator=generator).tolist()


def _grouped(lengths: list[int], size: int, generator: torch.Generator) -> list[int]:
    order: list[int] = get_length_grouped_indices(lengths, size, generator=generator)  # type: ignore[no-untyped-call]
    return order


def check_order(training: TrainingSettings, row: Mapping[str, Any]) -> None:
    """Whether a row tells its length, where `train_sampling_strategy` goes by it.

    Raises:
        ExperimentError: If it does not.
    """
    if training.train_sampling_strategy == "group_by_length" and TOKENS not in row:
        message = f"the rows have no {TOKENS}, whose number would be their length"
        raise ExperimentError(Problem(message, "training.train_sampling_strategy", 'Write "random".'))


def _lengths(rows: EncodedRows) -> list[int]:
    column: Any = getattr(rows, "select_columns", None)
    if column is None:
        return [len(rows[row][TOKENS]) for row in range(len(rows))]
    # of a datasets.Dataset a column is read ten times as fast as its rows
    return [len(tokens) for batch in column([TOKENS]).iter(READ_ROWS) for tokens in batch[TOKENS]]
