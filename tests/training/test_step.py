"""One optimizer step: its batches, and what each adds to its loss."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.training import Fitting, Objective, Step
from plain import Bag, Parts, collate


@pytest.fixture
def model() -> Bag:
    torch.manual_seed(0)
    return Bag(9, 3).eval()


def step_of(model: Bag, *sizes: int) -> Step:
    rows = Parts(Path()).encoded(sum(sizes))
    batches = [collate(rows[sum(sizes[:i]) : sum(sizes[: i + 1])]) for i in range(len(sizes))]
    return Step(7, batches, 0.5, Objective(Parts(Path()).job()), lambda batch: model(**batch))


def test_a_step_goes_through_its_batches_and_knows_the_last(model: Bag) -> None:
    step = step_of(model, 4, 4, 2)
    assert (step.number, step.rows, step.learning_rate) == (7, 10, 0.5)
    assert [(len(batch["labels"]), step.is_last_batch) for batch in step] == [(4, False), (4, False), (2, True)]


@pytest.mark.parametrize("sizes", [(10,), (4, 4, 2), (1,) * 10])
def test_its_loss_is_that_of_its_rows(model: Bag, sizes: tuple[int, ...]) -> None:
    step = step_of(model, *sizes)
    parts = [step.loss(batch) for batch in step]
    assert all(part.requires_grad for part in parts) and not step.total_loss.requires_grad
    assert float(step.total_loss) == pytest.approx(model(**collate(Parts(Path()).encoded(10))).loss.item())


def test_one_batch_alone_is_the_models_own_loss_to_the_last_bit(model: Bag) -> None:
    step = step_of(model, 10)
    (batch,) = step
    output = model(**batch)
    assert torch.equal(step.loss_of(output, batch), output.loss) and torch.equal(step.total_loss, output.loss)


def test_a_step_that_nobody_took_is_told(model: Bag) -> None:
    with pytest.raises(ExperimentError, match=r"the backend ended step 7 without a loss: it asked step\.loss of none"):
        _ = step_of(model, 4).total_loss


def test_a_step_without_the_norm_of_its_gradients_is_told(workdir: Path) -> None:
    fitting = Fitting(Parts(workdir).job(), None)  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match=r"the backend ended step 3 without step\.grad_norm"):
        fitting.end_step(Step(3, [], 0.5, Objective(Parts(workdir).job()), lambda batch: None))  # type: ignore[arg-type, return-value]


def tokens_of(*batches: dict[str, torch.Tensor]) -> tuple[int | None, int | None]:
    labelled = [{**batch, "labels": torch.zeros(1, dtype=torch.int64)} for batch in batches]
    step = Step(1, labelled, 0.5, Objective(Parts(Path()).job()), lambda batch: None)  # type: ignore[arg-type, return-value]
    return None if step.tokens is None else int(step.tokens), step.tokens_with_padding


def test_tokens_are_counted_without_padding_and_with_it_where_the_batches_tell() -> None:
    ids = torch.ones(1, 4, dtype=torch.int64)
    full = {"input_ids": ids, "attention_mask": ids}
    padded = {"input_ids": ids, "attention_mask": torch.tensor([[1, 1, 0, 0]])}
    assert tokens_of(full) == (4, 4) and tokens_of(full, padded) == (6, 8)
    assert tokens_of(padded, {"input_ids": ids}) == (None, None)
    assert tokens_of({"input_ids": ids, "attention_mask": torch.ones(1, 1, 4, 4)}) == (None, None)
