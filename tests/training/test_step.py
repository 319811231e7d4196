"""One optimizer step: its batches, and what each adds to its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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


def test_the_loss_of_a_batch_counts_the_first_time_it_is_asked_for(model: Bag) -> None:
    step = step_of(model, 4, 4, 2)
    first = [step.loss(batch) for batch in step]
    with torch.no_grad():
        model.classify.bias += torch.tensor([1.0, 0.0, -1.0])
    again = [step.loss(batch) for batch in step]
    assert all(a.requires_grad and not torch.equal(a, b) for a, b in zip(again, first, strict=True))
    assert torch.equal(step.total_loss, first[0].detach() + first[1].detach() + first[2].detach())


def test_a_batch_is_known_by_its_tensors_as_a_copy_and_changed_within_the_iteration(model: Bag) -> None:
    step = step_of(model, 4, 4)
    moved = [{name: tensor.clone() for name, tensor in batch.items()} for batch in step.batches]
    for batch in (moved[1], {**step.batches[1]}, moved[0], moved[1]):
        step.loss(batch)
    whole = step.total_loss
    for batch in step:
        step.loss({**batch, "words": batch["words"].flip(0)})
    assert torch.equal(step.total_loss, whole)
    with pytest.raises(ExperimentError, match=r"in step 7 of a batch that is none of the step's"):
        step.loss({**moved[0], "words": moved[0]["words"] * 0})


def test_a_batch_whose_loss_was_never_asked_for_is_told(model: Bag) -> None:
    step = step_of(model, 4, 4)
    for _ in range(2):
        step.loss(step.batches[0])
    with pytest.raises(
        ExperimentError, match=r"step 7 without the whole of its loss: it did not ask step\.loss of 1 of"
    ):
        _ = step.total_loss


def test_a_loss_without_a_gradient_is_told_where_gradients_are_on(model: Bag) -> None:
    step = step_of(model, 4)
    with torch.no_grad():
        step.loss(step.batches[0])
    model.words.requires_grad_(False)  # a part of it may be frozen
    assert step.loss(step.batches[0]).requires_grad
    model.requires_grad_(False)
    with pytest.raises(ExperimentError, match=r"model\.loss: gives a loss without a gradient: it was detached"):
        step.loss(step.batches[0])


def test_a_step_without_the_norm_of_its_gradients_is_told(workdir: Path) -> None:
    fitting = Fitting(Parts(workdir).job(), None)  # type: ignore[arg-type]
    with pytest.raises(ExperimentError, match=r"the backend ended step 3 without step\.grad_norm"):
        fitting.end_step(Step(3, [], 0.5, Objective(Parts(workdir).job()), lambda batch: None))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("norm", ["big", torch.ones(2), [1.0]])
def test_a_norm_that_is_no_number_is_told(workdir: Path, norm: Any) -> None:
    step = Step(3, [], 0.5, Objective(Parts(workdir).job()), lambda batch: None)  # type: ignore[arg-type, return-value]
    step.grad_norm = norm
    with pytest.raises(ExperimentError, match=r"the backend ended step 3 with a .* that is no single number"):
        Fitting(Parts(workdir).job(), None).end_step(step)  # type: ignore[arg-type]


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
