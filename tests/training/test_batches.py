"""Which rows make which batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ftrun.training import EpochBatches, evaluation_loader, rows_in, training_loader
from ftrun.training.batches import groups
from plain import Parts, collate


def test_order_is_a_function_of_seed_and_epoch_and_that_of_accelerate() -> None:
    from accelerate.data_loader import SeedableRandomSampler

    ours = EpochBatches(20, 6, seed=5)
    theirs = SeedableRandomSampler(list(range(20)), data_seed=5)
    for epoch in (0, 1, 0, 3):
        ours.set_epoch(epoch)
        theirs.set_epoch(epoch)
        batches = list(ours)
        assert [len(batch) for batch in batches] == [6, 6, 6, 2]
        assert [row for batch in batches for row in batch] == list(theirs)


@pytest.mark.parametrize("drop_last", [False, True])
def test_inside_an_epoch_it_goes_on_where_it_was_and_draws_nothing(drop_last: bool) -> None:
    batches = EpochBatches(20, 6, seed=5, drop_last=drop_last)
    batches.set_epoch(2)
    whole = list(batches)
    batches.first_batch = 2
    generators = torch.get_rng_state()
    assert list(batches) == whole[2:]
    assert torch.equal(torch.get_rng_state(), generators)
    assert list(batches) == whole
    assert not torch.equal(torch.get_rng_state(), generators)  # as an epoch of any DataLoader
    assert batches.rows_per_epoch == sum(map(len, whole)) == (18 if drop_last else 20)


def test_groups_are_of_one_epoch(tmp_path: Path) -> None:
    job = Parts(tmp_path, settings={"per_device_train_batch_size": 3}).job()
    batches = EpochBatches(22, 3, seed=5)
    sizes = [[rows_in(batch) for batch in group] for group in groups(training_loader(job, batches), 3, range(2))]
    assert sizes == [[3, 3, 3], [3, 3, 3], [3, 1]] * 2


def test_looking_draws_nothing_and_keeps_the_order(tmp_path: Path) -> None:
    rows = Parts(tmp_path).encoded(13)
    generators = torch.get_rng_state()
    batches = list(evaluation_loader(rows, 5, collate))
    assert torch.equal(torch.get_rng_state(), generators)
    assert [label for batch in batches for label in batch["labels"].tolist()] == [row["labels"] for row in rows]


def test_rows_are_counted_without_labels_too() -> None:
    assert rows_in({"words": torch.zeros(4, 2)}) == 4
    assert rows_in({"packed": torch.zeros(1, 9), "labels": torch.zeros(3)}) == 3
    assert rows_in({"share": torch.tensor(0.5), "words": torch.zeros(4, 2)}) == 4
