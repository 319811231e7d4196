"""One optimizer step on its way: its batches, and what each adds to its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from ftrun.contracts import ModelOutput
from ftrun.errors import ExperimentError, Problem
from ftrun.training.batches import Batch, rows_in
from ftrun.training.objective import Objective, part_of

Forward = Callable[[Batch], ModelOutput]
"""From a batch, on whichever device, to what the model says of it in the precision of the training."""


class Step:
    """The batches whose gradients make one optimizer step; iterating goes through them.

    Args:
        number: Counts from 1.
        batches: `gradient_accumulation_steps` of them, or fewer at the end of an epoch.
        learning_rate: The rate that the step uses.
        objective: What makes a loss of what the model says of a batch.
        forward: What makes that of a batch.

    Attributes:
        rows: Rows of all batches.
        tokens: Their tokens without padding, on the batches' device; None where a batch does not tell them.
        tokens_with_padding: As they go through the model.
        grad_norm: The norm of all gradients before clipping, which whoever drives the loop sets before the step ends.
        is_last_batch: Whether the batch that the iteration is at is the step's last.
    """

    def __init__(
        self, number: int, batches: Sequence[Batch], learning_rate: float, objective: Objective, forward: Forward
    ) -> None:
        self.number = number
        self.batches = batches
        self.learning_rate = learning_rate
        self.rows = sum(map(rows_in, batches))
        self.tokens, self.tokens_with_padding = _tokens_in(batches)
        self.grad_norm: torch.Tensor | None = None
        self.is_last_batch = False
        self._objective = objective
        self._forward = forward
        self._weight = sum(objective.weight(batch["labels"]) for batch in batches)
        self._losses: list[torch.Tensor] = []

    def __iter__(self) -> Iterator[Batch]:
        for index, batch in enumerate(self.batches, 1):
            self.is_last_batch = index == len(self.batches)
            yield batch

    def loss(self, batch: Batch) -> torch.Tensor:
        """What one of the batches adds to the step's loss, for `backward`: the step's loss is the mean over the labels
        of all its batches, however its rows are cut into them. To be asked once for each batch.
        """
        return self.loss_of(self._forward(batch), batch)

    def loss_of(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """As `loss`, for what the model has said of the batch already."""
        labels = batch["labels"]
        loss = part_of(self._objective.loss(output, labels), self._objective.weight(labels), self._weight)
        self._losses.append(loss.detach())
        return loss

    @property
    def total_loss(self) -> torch.Tensor:
        """The step's loss: the sum of what the batches added to it, detached.

        Raises:
            ExperimentError: If no batch was asked for its loss: the backend has not taken the step.
        """
        if not self._losses:
            message = f"the backend ended step {self.number} without a loss: it asked step.loss of none of its batches"
            raise ExperimentError(Problem(message, "backend", "See ftrun.training for the order of calls."))
        return sum(self._losses[1:], start=self._losses[0])


def _tokens_in(batches: Sequence[Batch]) -> tuple[torch.Tensor | None, int | None]:
    """The tokens of batches without padding and with it; nothing is read from a device."""
    masks = [batch["attention_mask"] for batch in batches if _has_mask(batch)]
    if not masks or len(masks) < len(batches):
        return None, None
    counts = [mask.detach().sum() for mask in masks]
    return sum(counts[1:], start=counts[0]), sum(mask.numel() for mask in masks)


def _has_mask(batch: Batch) -> bool:
    """Whether a batch says of each of its tokens whether it is one."""
    names = ("attention_mask", "input_ids")
    return all(name in batch for name in names) and batch[names[0]].shape == batch[names[1]].shape
