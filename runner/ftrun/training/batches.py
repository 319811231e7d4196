"""Which rows make which batch: a function of seed, epoch and position alone, the same on every backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, cast

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ftrun.contracts import Collate, EncodedRows, Job
from ftrun.settings import TrainingSettings
from ftrun.training.sampling import Order, random_order
from ftrun.training.workers import loader_options

Batch = Mapping[str, torch.Tensor]
"""What the collate function makes of some rows, by the names that the model takes: `labels` among them where the rows
have any. The first dimension of `labels`, or without them of its first tensor that is no scalar, is that of the
rows."""


class EpochBatches(Sampler[list[int]]):
    """Row numbers of each batch of an epoch, in an order that depends on the seed and the epoch alone.

    The order by default is that of Accelerate's `SeedableRandomSampler`, which Trainer uses too: a permutation drawn
    from a generator seeded with seed + epoch.

    As an epoch begins, one number is drawn from torch's global generator, which dropout draws from too. So does every
    iterator of a DataLoader without a generator of its own, that of the course's loop among them; here it is not drawn
    again where a resumed run enters an epoch half-way.

    Args:
        rows: Rows of the training split.
        batch_size: Rows in a batch; an epoch's last may be shorter.
        seed: The data seed.
        drop_last: Whether to leave out a shorter last batch.
        order: Makes the order of an epoch of a generator that is seeded for it; at random by default.

    Attributes:
        first_batch: Where the next iteration begins, to resume inside an epoch; those after it begin at 0.
    """

    def __init__(
        self, rows: int, batch_size: int, seed: int, drop_last: bool = False, order: Order | None = None
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self.first_batch = 0
        self._order = order or random_order(rows)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration goes through, counted from 0."""
        self.epoch = epoch

    @property
    def rows_per_epoch(self) -> int:
        """Rows in all batches of an epoch."""
        return len(self) * self.batch_size if self.drop_last else self.rows

    def __len__(self) -> int:
        return self.rows // self.batch_size if self.drop_last else -(-self.rows // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        first_batch, self.first_batch = self.first_batch, 0
        if first_batch == 0:
            torch.empty((), dtype=torch.int64).random_()
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        order = self._order(generator)
        for start in range(first_batch * self.batch_size, len(self) * self.batch_size, self.batch_size):
            yield order[start : start + self.batch_size]


def training_loader(job: Job, batches: EpochBatches) -> DataLoader[Any]:
    """Batches to train on; what is drawn from torch's global generator, `batches` draws.

    Raises:
        ExperimentError: If `dataloader_num_workers` asks for processes that cannot be begun or sent the rows.
    """
    return DataLoader(
        cast("Dataset[Any]", job.train),
        batch_sampler=batches,
        collate_fn=job.collate,
        generator=torch.Generator(),
        pin_memory=pins_memory(job.training),
        **loader_options(job),
    )


def pins_memory(training: TrainingSettings) -> bool:
    """Whether batches are pinned: for a GPU, as `dataloader_pin_memory` has it; elsewhere there is no such memory."""
    gpu = training.device == "cuda" or (training.device == "auto" and torch.cuda.is_available())
    return training.dataloader_pin_memory and gpu


def evaluation_loader(rows: EncodedRows, batch_size: int, collate: Collate) -> DataLoader[Any]:
    """Batches to evaluate on, in order. A generator of its own: else looking would change the training after it."""
    dataset = cast("Dataset[Any]", rows)
    return DataLoader(dataset, batch_size=batch_size, collate_fn=collate, generator=torch.Generator())


def groups(loader: DataLoader[Any], size: int, epochs: range) -> Iterator[list[Batch]]:
    """The batches of each optimizer step, `size` at a time; an epoch's last group may be smaller.

    Args:
        loader: Has an `EpochBatches`, perhaps wrapped, that `set_epoch` reaches.
        size: gradient_accumulation_steps.
        epochs: The epochs to go through.
    """
    for epoch in epochs:
        set_epoch = getattr(loader, "set_epoch", None) or loader.batch_sampler.set_epoch  # type: ignore[union-attr]
        set_epoch(epoch)
        batches = iter(loader)
        while group := list(islice(batches, size)):
            yield group


def rows_in(batch: Batch) -> int:
    """Rows of a batch."""
    return len(batch["labels"] if "labels" in batch else next(tensor for tensor in batch.values() if tensor.dim()))


def to_device(batch: Batch, device: torch.device) -> dict[str, torch.Tensor]:
    """The batch on the device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}
