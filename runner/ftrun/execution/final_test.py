"""The test splits that a file asks for: encoded before the work, and put to the run's model at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ftrun.contracts import BackendSession, BuiltModel, EncodedRows, FitResult, Job, Predictions, Splits
from ftrun.execution.checks import check_predictions, checked_collate, takes_tensors
from ftrun.execution.decoding import RawColumns
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.hidden_labels import is_labelled, without_labels
from ftrun.execution.preparation import make_encoding
from ftrun.execution.sameness import try_collator
from ftrun.execution.watcher import Watcher
from ftrun.planning.plan import Plan

TOLERANCE = 0.01
"""How far what a model says of the same rows may be from what it said, as a share; on a device bits may differ."""
SHOWN = 3
"""Names of what has changed that are told."""
TOLD_ROWS = 32
"""Rows between two looks at the bar."""


class FinalTest:
    """The test splits of a run.

    Args:
        plan: The run's.
        splits: The data set; encodes those of its test splits that the file asks for.
        built: The model, with its `encode`.
        cache: Where encoded splits are kept.
        watcher: Sees it go by.

    Attributes:
        measured: The names of the splits with labels.
    """

    def __init__(self, plan: Plan, splits: Splits, built: BuiltModel, cache: EncodedCache, watcher: Watcher) -> None:
        self._plan, self._watcher = plan, watcher
        self._rows: dict[str, EncodedRows] = {}
        self._raw = {name: RawColumns(splits.test[name]) for name in splits.test_at_end}
        task = splits.task
        self.measured = [name for name in splits.test_at_end if is_labelled(splits.test[name], task)]
        encoding = make_encoding(plan, splits, built, cache, watcher)
        bare = replace(encoding, built=without_labels(built, task))
        for name in splits.test_at_end:
            some = encoding if name in self.measured else bare
            self._rows[name] = some.encode(name, splits.test[name])
            if name not in self.measured:
                watcher.notice(f"{name} has no labels: at the end it is predicted, and not measured")

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._rows)

    def rehearse(self, session: BackendSession, job: Job) -> None:
        """Predict a batch of each split before anything is trained: what would fail at the end fails now.

        Raises:
            ExperimentError: If a batch or what is predicted is not what the contract says.
        """
        collate = checked_collate(self._plan.collator, job.collate, takes_tensors(session))
        for name, rows in self._rows.items():
            some = [rows[row] for row in range(min(len(rows), job.training.per_device_eval_batch_size))]
            collate(some)
            self._check(name, session.predict(job, some), len(some), job)

    def take(self, session: BackendSession, job: Job, fit: FitResult) -> FitResult:
        """What a training came to, with the numbers and predictions of the test splits among it.

        Raises:
            ExperimentError: If the model is not that of the fit, or what is predicted is not what the contract says.
        """
        self._check_model(session, job, fit)
        predictions = {}
        for name, rows in self._rows.items():
            told = _Told(rows, partial(self._watcher.evaluating, name))
            predictions[name] = session.predict(job, told)
            self._check(name, predictions[name], len(rows), job)
            predictions[name] = replace(predictions[name], rows=self._raw[name])
        metrics = self._metrics(job, {name: predictions[name] for name in self.measured})
        step = fit.steps if fit.model_step is None else fit.model_step
        self._watcher.tested(step, metrics, [name for name in self._rows if name not in self.measured])
        return replace(fit, metrics={**fit.metrics, **metrics}, predictions={**fit.predictions, **predictions})

    def _metrics(self, job: Job, predictions: Mapping[str, Predictions]) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for name, predicted in predictions.items():
            prefix = prefix_of(name, list(self._rows))
            if predicted.loss is not None:
                metrics[f"{prefix}loss"] = predicted.loss
            for evaluator in job.evaluators:
                metrics |= {f"{prefix}{key}": float(value) for key, value in evaluator(predicted).items()}
        return metrics

    def _check(self, name: str, predictions: Predictions, rows: int, job: Job) -> None:
        check_predictions(self._plan, predictions, rows, job.task, name in self.measured)

    def _check_model(self, session: BackendSession, job: Job, fit: FitResult) -> None:
        """Whether the job's model is that of the fit: it says the same of the first rows."""
        for split, rows in list(job.evaluation.items())[:1]:
            some = [rows[row] for row in range(min(len(rows), job.training.per_device_eval_batch_size))]
            said, before = session.predict(job, some).logits, fit.predictions[split].logits[: len(some)]
            if not _differ(said, before, TOLERANCE):
                continue
            if why := self._why_it_differs(session, job, some, said):
                self._watcher.notice(f"{why}: whether the test is of the model that was evaluated cannot be told")
                continue
            message = "has left another model in the job than the one whose predictions it gives"
            raise self._plan.backend.fault(message)

    def _why_it_differs(
        self, session: BackendSession, job: Job, some: Sequence[Mapping[str, Any]], said: Any
    ) -> str | None:
        """Why one and the same model says something else of the same rows than before; None where it does not."""
        plan, kept = self._plan, _buffers_of(job.model)
        differs = _differ(session.predict(job, some).logits, said, TOLERANCE / 10)
        if changed := [name for name, now in _buffers_of(job.model).items() if not now.equal(kept[name])]:
            names = ", ".join(changed[:SHOWN]) + (" and others" if len(changed) > SHOWN else "")
            return f"{plan.model.who} changes its {names} whenever it is asked, though it is in eval mode"
        if not differs:
            return None
        if not try_collator(plan.collator, checked_collate(plan.collator, job.collate), some, Watcher()):
            return f"{plan.collator.who} makes another batch of the same rows each time"
        return f"{plan.model.who} says something else of the same rows each time, though it is in eval mode"


def _differ(one: Any, other: Any, tolerance: float) -> bool:
    return bool(one.shape == other.shape and abs(one - other).max() > tolerance * max(1.0, abs(other).max()))


def _buffers_of(model: Any) -> Mapping[str, Any]:
    """Copies of what a model in torch keeps beside its weights; of others nobody knows what that is."""
    named = getattr(model, "named_buffers", dict)
    return {name: tensor.detach().clone() for name, tensor in dict(named()).items()}


def prefix_of(split: str, splits: Sequence[str]) -> str:
    """How MLflow's keys of a test split's numbers begin: `test/`, or `test/SPLIT/` where there are several.

    Args:
        split: The one.
        splits: All that the file asks for.
    """
    return "test/" if len(splits) == 1 else f"test/{split}/"


@dataclass(frozen=True)
class _Told:
    """Rows that tell how many of them were asked for."""

    rows: EncodedRows
    progress: Callable[[int, int], None]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int, /) -> Mapping[str, Any]:
        if row == len(self) - 1 or row % TOLD_ROWS == TOLD_ROWS - 1:
            self.progress(row + 1, len(self))
        return self.rows[row]
