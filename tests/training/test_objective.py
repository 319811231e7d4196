"""The loss is torch's, and a step's is the mean over its labels however its rows are cut into batches."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ftrun.contracts import Job
from ftrun.errors import RunError
from ftrun.training import Objective, Step
from ftrun.training.objective import part_of
from plain import Parts
from torch.nn.functional import cross_entropy

WEIGHTS = [0.5, 1.0, 4.0]
OBJECTIVES: dict[str, tuple[float, list[float] | None]] = {
    "the model's own": (0.0, None),
    "smoothed": (0.1, None),
    "weighted": (0.0, WEIGHTS),
    "weighted and smoothed": (0.3, WEIGHTS),
}
LABELS = {
    "one a row": torch.tensor([0, 1, 2, 2, 1, 0, 0, 0]),
    "one a place": torch.tensor(
        [[0, 1, -100], [2, -100, -100], [-100, -100, -100], [1, 1, 1], [0, 2, 1], [-100] * 3, [0, 0, -100], [2, 0, 0]]
    ),
}
both = pytest.mark.parametrize(
    ("smoothing", "weights", "labels"),
    [pytest.param(*o, label, id=f"{name}, {form}") for name, o in OBJECTIVES.items() for form, label in LABELS.items()],
)


def job_of(smoothing: float, weights: list[float] | None) -> Job:
    return Parts(Path(), settings={"label_smoothing_factor": smoothing}, given={"class_weights": weights}).job()


def logits_for(labels: torch.Tensor) -> torch.Tensor:
    return torch.randn(*labels.shape, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)


def torchs(logits: torch.Tensor, labels: torch.Tensor, smoothing: float, weights: list[float] | None) -> torch.Tensor:
    weight = torch.tensor(weights) if weights else None
    return cross_entropy(logits.reshape(-1, 3), labels.reshape(-1), weight=weight, label_smoothing=smoothing)


def said(logits: torch.Tensor, labels: torch.Tensor) -> Any:
    return SimpleNamespace(logits=logits, loss=cross_entropy(logits.flatten(0, -2), labels.flatten()))


@both
def test_on_a_whole_batch_it_is_that_of_torch(
    smoothing: float, weights: list[float] | None, labels: torch.Tensor
) -> None:
    logits = logits_for(labels)
    loss = Objective(job_of(smoothing, weights)).loss(said(logits, labels), labels)
    assert torch.equal(loss, torchs(logits, labels, smoothing, weights))


@both
@pytest.mark.parametrize("size", [8, 4, 3, 1])
def test_a_steps_loss_and_gradients_are_those_of_the_whole_however_it_is_cut(
    smoothing: float, weights: list[float] | None, labels: torch.Tensor, size: int
) -> None:
    logits = logits_for(labels)
    batches = [{"labels": labels[i : i + size], "rows": torch.arange(8)[i : i + size]} for i in range(0, 8, size)]
    objective = Objective(job_of(smoothing, weights))
    step = Step(1, batches, 0.1, objective, lambda batch: said(logits[batch["rows"]], batch["labels"]))
    assert step.rows == 8
    last = []
    for batch in step:
        step.loss(batch).backward()
        last.append(step.is_last_batch)
    assert last == [False] * (len(batches) - 1) + [True]
    found, logits.grad = logits.grad, None
    whole = torchs(logits, labels, smoothing, weights)
    whole.backward()
    torch.testing.assert_close(step.total_loss, whole.detach())
    torch.testing.assert_close(found, logits.grad)


@both
def test_a_step_of_which_no_label_counts_moves_nothing(
    smoothing: float, weights: list[float] | None, labels: torch.Tensor
) -> None:
    if labels.dim() == 1:
        pytest.skip("every row counts")
    none = torch.full_like(labels, -100)
    logits = logits_for(labels)
    step = Step(1, [{"labels": none}], 0.1, Objective(job_of(smoothing, weights)), lambda _: said(logits, none))
    step.loss(step.batches[0]).backward()
    assert step.total_loss == 0 and logits.grad is not None and not logits.grad.any()


def test_the_models_own_loss_is_taken_as_it_is() -> None:
    own = torch.tensor(0.123)
    assert Objective(job_of(0.0, None)).loss(SimpleNamespace(loss=own, logits=None), torch.tensor([1])) is own
    with pytest.raises(RunError, match="gives no loss"):
        Objective(job_of(0.0, None)).loss(SimpleNamespace(loss=None, logits=None), torch.tensor([1]))


def test_what_counts_is_a_plain_number_where_every_row_does() -> None:
    """A number that is read from a device would make it wait."""
    plain = Objective(job_of(0.1, None))
    assert plain.weight(LABELS["one a row"]) == 8 and type(plain.weight(LABELS["one a row"])) is int
    assert plain.weight(torch.zeros(8, 3)) == 8  # any number of classes a row
    assert torch.equal(torch.as_tensor(plain.weight(LABELS["one a place"])), torch.tensor(14))
    weighted = Objective(job_of(0.0, WEIGHTS))
    assert float(weighted.weight(LABELS["one a row"])) == 4 * 0.5 + 2 * 1.0 + 2 * 4.0


def test_smoothing_is_that_of_trainer() -> None:
    from transformers.trainer_pt_utils import LabelSmoother

    for labels in LABELS.values():
        logits = logits_for(labels)
        theirs = LabelSmoother(0.2)({"logits": logits}, labels)
        torch.testing.assert_close(Objective(job_of(0.2, None)).loss(said(logits, labels), labels), theirs)


def test_what_does_not_count_sends_nothing_back() -> None:
    for weight, total in ((0, 0), (0, 5)):
        loss = torch.tensor(float("nan"), requires_grad=True)
        part = part_of(loss, torch.tensor(weight), torch.tensor(total))
        part.backward()
        assert part.item() == 0 and loss.grad is not None and loss.grad.item() == 0
