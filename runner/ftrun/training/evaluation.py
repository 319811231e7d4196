"""Evaluating and predicting: the same rows in the same batches on every backend, and the training sees none of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ftrun.contracts import EncodedRows, Evaluator, Job, Predictions
from ftrun.training.batches import evaluation_loader
from ftrun.training.objective import IGNORED, Objective, Weight
from ftrun.training.step import Forward


def _nothing(done: int, total: int) -> None:
    pass


@torch.no_grad()
def predict(
    job: Job, rows: EncodedRows, forward: Forward, progress: Callable[[int, int], None] = _nothing
) -> Predictions:
    """The model's logits for every row, and where the rows have labels, the mean loss by the job's objective. Of an
    evaluation split of the job it tells its `rows`, too.

    The model, its mode and every generator are left as they were.

    Args:
        job: Whose model, collate function, objective and `per_device_eval_batch_size`.
        rows: Encoded rows, of which there is one at the least; labelled all of them or none.
        forward: What the model says of a batch.
        progress: Called with the rows done and all rows after each batch.

    Raises:
        RunError: If the model gives no loss for a batch with labels.
    """
    objective, losses = Objective(job), _Losses()
    logits: list[torch.Tensor] = []
    labels: list[torch.Tensor] = []
    done = 0
    was_training = job.model.training
    job.model.eval()
    try:
        for batch in evaluation_loader(rows, job.training.per_device_eval_batch_size, job.collate):
            output = forward(batch)
            logits.append(output.logits.detach().float().cpu())
            if "labels" in batch:
                labels.append(batch["labels"].cpu())
                losses.add(objective.loss(output, batch["labels"]), objective.weight(batch["labels"]))
            done = min(done + job.training.per_device_eval_batch_size, len(rows))
            progress(done, len(rows))
    finally:
        job.model.train(was_training)
    told = _labels(labels, job.task.kind) if labels else None
    loss, raw = losses.mean() if labels else None, _raw(job, rows)
    return Predictions(_joined(logits, 0.0).numpy(), told, loss, job.task.kind, rows=raw)


def metrics_of(predictions: Mapping[str, Predictions], evaluators: Sequence[Evaluator]) -> dict[str, float]:
    """All numbers of an evaluation by MLflow's key: `eval/f1`, or `eval/SPLIT/f1` where there are several splits."""
    metrics: dict[str, float] = {}
    for split, predicted in predictions.items():
        prefix = "eval/" if len(predictions) == 1 else f"eval/{split}/"
        if predicted.loss is not None:
            metrics[f"{prefix}loss"] = predicted.loss
        for evaluator in evaluators:
            metrics.update({f"{prefix}{name}": float(value) for name, value in evaluator(predicted).items()})
    return metrics


def _raw(job: Job, rows: EncodedRows) -> Mapping[str, Sequence[Any]] | None:
    """What the data set has of an evaluation split; None of other rows."""
    return next((job.raw.get(name) for name, split in job.evaluation.items() if split is rows), None)


class _Losses:
    """The mean loss over the labels of all batches, in double precision."""

    def __init__(self) -> None:
        self._losses: list[torch.Tensor] = []
        self._total = 0.0

    def add(self, loss: torch.Tensor, weight: Weight) -> None:
        count = float(weight)
        if count:  # the mean over no label is NaN
            self._losses.append(loss.detach().cpu().double() * count)
            self._total += count

    def mean(self) -> float:
        return float(torch.stack(self._losses).sum()) / self._total if self._losses else float("nan")


def _labels(parts: Sequence[torch.Tensor], kind: str) -> Any:
    labels = _joined(parts, IGNORED)
    return (labels.long() if kind == "multi_label" else labels).numpy()


def _joined(parts: Sequence[torch.Tensor], fill: float) -> torch.Tensor:
    """The rows of all parts; where rows are of several places, shorter ones are filled up."""
    if parts[0].dim() < 2:
        return torch.cat(list(parts))
    places = max(part.shape[1] for part in parts)
    joined = parts[0].new_full((sum(map(len, parts)), places, *parts[0].shape[2:]), fill)
    begin = 0
    for part in parts:
        joined[begin : begin + len(part), : part.shape[1]] = part
        begin += len(part)
    return joined
