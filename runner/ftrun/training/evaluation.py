"""Evaluating: the same rows in the same batches on every backend, and nothing of it seen by the training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ftrun.contracts import Evaluator, Job, Predictions, Reporter
from ftrun.training.batches import Batch, evaluation_loader, rows_in

Forward = Callable[[Batch], Any]
"""From a batch to the model's output, in the precision of the training: with `loss` and `logits` in float32."""


@torch.no_grad()
def predict(job: Job, split: str, forward: Forward, reporter: Reporter) -> Predictions:
    """The model's logits for every row of an evaluation split, and the mean loss; the model is left as it was."""
    rows = job.evaluation[split]
    logits: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    losses: list[torch.Tensor] = []
    was_training = job.model.training
    job.model.eval()
    done = 0
    for batch in evaluation_loader(rows, job.training.per_device_eval_batch_size, job.collate):
        output = forward(batch)
        logits.append(output.logits.detach().float().cpu())
        labels.append(batch["labels"].cpu())
        losses.append(output.loss.detach().double() * rows_in([batch]))
        done += rows_in([batch])
        reporter.evaluating(split, done, len(rows))
    job.model.train(was_training)
    loss = float(torch.stack(losses).sum()) / done
    return Predictions(torch.cat(logits).numpy(), np.concatenate([part.numpy() for part in labels]), loss)


def metrics_of(predictions: Mapping[str, Predictions], evaluators: Sequence[Evaluator]) -> dict[str, float]:
    """All numbers of an evaluation by MLflow's key: `eval/f1`, or `eval/SPLIT/f1` where there are several splits."""
    metrics: dict[str, float] = {}
    for split, predicted in predictions.items():
        prefix = "eval/" if len(predictions) == 1 else f"eval/{split}/"
        metrics[f"{prefix}loss"] = predicted.loss
        for evaluator in evaluators:
            metrics.update({f"{prefix}{name}": float(value) for name, value in evaluator(predicted).items()})
    return metrics
