"""What a training makes small, and how much each batch counts in a mean over several."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from ftrun.contracts import Job, ModelOutput
from ftrun.errors import ExperimentError, Problem, RunError

IGNORED = -100
"""The label of a place that does not count, as `torch.nn.functional.cross_entropy` has it by default."""

Weight = int | torch.Tensor
"""A number, or a scalar tensor where reading the number would make a device wait."""


class Objective:
    """The loss of a batch, in training and, as in transformers' Trainer, in every evaluation.

    It is the model's own loss; with `Job.class_weights` or `label_smoothing_factor` cross entropy of the model's
    logits, weighted and smoothed as `torch.nn.functional.cross_entropy` does by `weight` and `label_smoothing`.

    Args:
        job: Of its settings `label_smoothing_factor`, and its `class_weights`.
    """

    def __init__(self, job: Job) -> None:
        self._smoothing = job.training.label_smoothing_factor
        self._weights: dict[torch.device, torch.Tensor] = {}  # by device: a copy may wait
        if job.class_weights is not None:
            self._weights[torch.device("cpu")] = torch.tensor(list(job.class_weights), dtype=torch.float32)

    def loss(self, output: ModelOutput, labels: torch.Tensor) -> torch.Tensor:
        """The mean loss over a batch's labels, weighted by their classes: a float32 scalar. NaN where none counts.

        Raises:
            RunError: If the model's own is asked for and it gives none.
            ExperimentError: If that is not one number.
        """
        if not self._weights and not self._smoothing:
            if output.loss is None:
                raise RunError("the model gives no loss for a batch with labels")
            loss: torch.Tensor = output.loss.float()
            if loss.numel() != 1:
                told = f"gives a loss of shape {tuple(loss.shape)}, and must give one number"
                raise ExperimentError(Problem(f"{told}, the mean over the batch's labels", "model.loss"))
            return loss
        logits: torch.Tensor = output.logits
        return cross_entropy(
            logits.float().flatten(0, -2),
            labels.to(logits.device).flatten(),
            weight=self._class_weights(logits.device),
            label_smoothing=self._smoothing,
        )

    def weight(self, labels: torch.Tensor) -> Weight:
        """What a batch counts in a mean over several: its labels that count, or the weights of their classes.

        Labels that are whole numbers, one for each place in a row, count unless they are -100; else every row counts.
        """
        weights = self._class_weights(labels.device)
        if weights is not None:
            return torch.where(labels == IGNORED, 0.0, weights[labels.clamp(min=0)]).sum()
        if labels.dim() < 2 or labels.is_floating_point():
            return len(labels)
        return (labels != IGNORED).sum()

    def _class_weights(self, device: torch.device) -> torch.Tensor | None:
        if self._weights and device not in self._weights:
            self._weights[device] = self._weights[torch.device("cpu")].to(device)
        return self._weights.get(device)


def part_of(loss: torch.Tensor, weight: Weight, total: Weight) -> torch.Tensor:
    """What a batch adds to the mean over several: its own mean loss by its share of the weight, 0 where none of its
    labels counts.
    """
    if not isinstance(weight, torch.Tensor):
        return loss * (weight / total)
    # the mean over no label is NaN, and its gradient times nothing would be, too
    share = torch.where(weight > 0, weight / total, 0.0).to(loss.device, non_blocking=True)
    return torch.where(share > 0, loss * share, 0.0)
