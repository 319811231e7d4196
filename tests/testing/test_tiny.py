"""The small parts: as the contract says, of every kind, and the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.testing import tiny_model, tiny_splits, tiny_task
from ftrun.testing.plain import columns_of, same
from ftrun.testing.tiny import PROBLEMS, load_tiny_model


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("columns", [1, 2])
def test_a_model_learns_every_kind(kind: str, columns: int) -> None:
    splits = tiny_splits(kind, columns, rows=4, evaluation=2)
    assert splits.task == tiny_task(kind, columns) and (len(splits.train), len(splits.evaluation["validation"])) == (
        4,
        2,
    )
    built = tiny_model(splits)
    encoded = built.encode(columns_of(splits.train, 1))
    batch = {name: torch.tensor(column) for name, column in encoded.items()}
    assert built.model(**batch).logits.shape == (1, splits.task.num_labels)


def test_it_overflows_in_training_from_the_pass_on_that_it_is_asked_to() -> None:
    splits = tiny_splits(rows=4, evaluation=2)
    built = tiny_model(splits, overflows_in=2)
    model: Any = built.model
    batch = {name: torch.tensor(column) for name, column in built.encode(columns_of(splits.train, 1)).items()}
    for is_training, is_finite in [(True, True), (False, True), (True, False), (True, False), (False, True)]:
        output = model.train(is_training)(**batch)
        assert output.loss.isfinite() == is_finite and output.logits.isfinite().any() == is_finite


def test_the_same_arguments_give_the_same_rows() -> None:
    first, second = tiny_splits(), tiny_splits()
    assert first.digest == second.digest != tiny_splits(classes=2).digest
    assert columns_of(first.train) == columns_of(second.train)
    assert set(first.train["label"]) == {0, 1, 2} and len({len(text.split()) for text in first.train["first"]}) > 3


def test_it_is_read_back_from_its_folder_and_from_no_other(tmp_path: Path) -> None:
    splits = tiny_splits()
    built = tiny_model(splits)
    built.model.save_pretrained(tmp_path / "model")
    assert built.tokenizer is not None
    built.tokenizer.save_pretrained(tmp_path / "model")
    loaded = load_tiny_model(tmp_path / "model", splits.task)
    assert same(dict(built.model.state_dict()), dict(loaded.model.state_dict()))
    with pytest.raises(ExperimentError, match="holds no tiny model"):
        load_tiny_model(tmp_path, splits.task)
