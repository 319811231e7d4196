"""In which order rows are trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.contracts import Job
from ftrun.errors import ExperimentError
from ftrun.training import EpochBatches
from ftrun.training.sampling import order_of
from helpers import rows_of
from plain import Parts

LENGTHS = [1 + (7 * row) % 23 for row in range(90)]


def job_of(tmp_path: Path, strategy: str, rows: Any = None, **settings: Any) -> Job:
    rows = rows or [{"input_ids": [1] * length} for length in LENGTHS]
    settings = {"train_sampling_strategy": strategy, **settings}
    return Parts(tmp_path, settings=settings, given={"train": rows}).job()


def order(job: Job, epoch: int = 0) -> list[int]:
    return [row for batch in batches_of(job, epoch) for row in batch]


def batches_of(job: Job, epoch: int = 0) -> list[list[int]]:
    batches = EpochBatches(len(LENGTHS), job.training.per_device_train_batch_size, 5, order=order_of(job))
    batches.set_epoch(epoch)
    return list(batches)


def test_rows_of_a_like_length_come_together_as_in_transformers(tmp_path: Path) -> None:
    from transformers.trainer_pt_utils import LengthGroupedSampler

    generator = torch.Generator().manual_seed(5 + 2)
    theirs = list(LengthGroupedSampler(8, lengths=LENGTHS, generator=generator))
    batches = batches_of(job_of(tmp_path, "group_by_length"), epoch=2)
    assert [row for batch in batches for row in batch] == theirs
    assert sorted(theirs) == list(range(90))

    def padding(batches: list[list[int]]) -> int:
        return sum(max(LENGTHS[row] for row in batch) * len(batch) for batch in batches) - sum(LENGTHS)

    assert padding(batches) < padding(batches_of(job_of(tmp_path, "random"), epoch=2)) * 0.6


def test_the_order_is_another_in_every_epoch_and_the_same_however_a_step_is_cut(tmp_path: Path) -> None:
    whole = job_of(tmp_path, "group_by_length")
    cut = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    parts = job_of(tmp_path, "group_by_length", **cut)
    assert order(whole) == order(parts) != order(whole, 1)


def test_a_data_set_tells_the_lengths_that_its_rows_have(tmp_path: Path) -> None:
    rows = rows_of(input_ids=[[1] * length for length in LENGTHS], labels=[0] * len(LENGTHS))
    assert batches_of(job_of(tmp_path, "group_by_length", rows)) == batches_of(job_of(tmp_path, "group_by_length"))


def test_in_sequence_they_come_as_they_stand(tmp_path: Path) -> None:
    assert order(job_of(tmp_path, "sequential"), 1) == list(range(90))


def test_rows_that_tell_no_length_are_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"training\.train_sampling_strategy: the rows have no input_ids"):
        order_of(Parts(tmp_path, settings={"train_sampling_strategy": "group_by_length"}).job())
