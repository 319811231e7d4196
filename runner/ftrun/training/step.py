"""One optimizer step on its way: its batches, and what each adds to its loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import SupportsFloat

import torch

from ftrun.contracts import ModelOutput
from ftrun.errors import ExperimentError, Problem
from ftrun.training.batches import Batch, rows_in
from ftrun.training.objective import Objective, part_of

Forward = Callable[[Batch], ModelOutput]
"""From a batch, on whichever device, to what the model says of it in the precision of the training."""

SEE = "See ftrun.training for the order of calls."


class Step:
    """The batches whose gradients make one optimizer step; iterating goes through them, as often as one likes.

    A step of several passes, such as that of SAM, asks for the loss of a batch several times: the first time counts,
    and is what is recorded.

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
        grad_norm: The norm of all gradients that the optimizer steps with, before clipping, as a number or a scalar
            tensor; whoever drives the loop sets it before the step ends.
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
        self.grad_norm: SupportsFloat | None = None
        self.is_last_batch = False
        self._objective = objective
        self._forward = forward
        self._weight = sum(objective.weight(batch["labels"]) for batch in batches)
        self._losses: dict[int, torch.Tensor] = {}  # by the batch's place
        self._place: int | None = None

    def __iter__(self) -> Iterator[Batch]:
        for place, batch in enumerate(self.batches):
            self._place = place
            self.is_last_batch = place == len(self.batches) - 1
            yield batch
        self._place = None

    def loss(self, batch: Batch) -> torch.Tensor:
        """What one of the batches adds to the step's loss, for `backward`: the step's loss is the mean over the labels
        of all its batches, however its rows are cut into them.

        To be asked once at the least for each batch. The first time counts for the step's loss; asked again it is the
        loss of another pass over that batch, with the model as it then is, and counts for nothing.

        Raises:
            ExperimentError: If the batch is none of the step's, or the loss has no gradient where gradients are on.
        """
        return self.loss_of(self._forward(batch), batch)

    def loss_of(self, output: ModelOutput, batch: Batch) -> torch.Tensor:
        """As `loss`, for what the model has said of the batch already."""
        labels = batch["labels"]
        loss = part_of(self._objective.loss(output, labels), self._objective.weight(labels), self._weight)
        if torch.is_grad_enabled() and not loss.requires_grad:
            told = "gives a loss without a gradient: it was detached, or computed under no_grad, or all that the loss"
            raise ExperimentError(Problem(f"{told} depends on is frozen", "model.loss"))
        self._losses.setdefault(self._place_of(batch), loss.detach())
        return loss

    @property
    def total_loss(self) -> torch.Tensor:
        """The step's loss: the sum of what the batches added to it, detached.

        Raises:
            ExperimentError: If a batch was not asked for its loss: the backend has not taken the step.
        """
        missing = len(self.batches) - len(self._losses)
        if missing or not self._losses:
            which = f"{missing} of its {len(self.batches)}" if self._losses else "none of its"
            asked = "did not ask step.loss of" if self._losses else "asked step.loss of"
            without = "the whole of its loss" if self._losses else "a loss"
            message = f"the backend ended step {self.number} without {without}: it {asked} {which} batches"
            raise ExperimentError(Problem(message, "backend", SEE))
        first, *others = self._losses.values()
        return sum(others, start=first)

    def _place_of(self, batch: Batch) -> int:
        """Which of the step's batches one is, perhaps copied or changed by who iterates over them."""
        for alike in (_is_that, _is_as):
            for place, own in enumerate(self.batches):
                if alike(batch, own):
                    return place
            if self._place is not None:
                return self._place
        if len(self.batches) == 1:
            return 0
        message = f"the backend asked step.loss in step {self.number} of a batch that is none of the step's"
        raise ExperimentError(Problem(message, "backend", "Ask it of the batches that the step gives."))


def _is_that(batch: Batch, own: Batch) -> bool:
    """Whether a batch is one of the step's, or has its very tensors."""
    return batch is own or all(batch.get(name) is tensor for name, tensor in own.items())


def _is_as(batch: Batch, own: Batch) -> bool:
    """Whether a batch is a copy of one of the step's, perhaps on another device."""
    return batch.keys() == own.keys() and all(
        tensor.shape == batch[name].shape and torch.equal(tensor, batch[name].to(tensor.device, tensor.dtype))
        for name, tensor in own.items()
    )


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
