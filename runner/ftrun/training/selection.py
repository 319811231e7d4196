"""Which evaluation is the best so far, and when to stop looking for a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from transformers import TrainerState

from ftrun.contracts import BestBy
from ftrun.settings import TrainingSettings

CALLBACK = "EarlyStoppingCallback"
"""Under this name transformers keeps the same counter in `trainer_state.json`."""


class Selection:
    """The best evaluation, as transformers' Trainer and its EarlyStoppingCallback tell it.

    Args:
        best_by: The metric and its direction; None where nobody asks, and nothing is ever the best.
        training: Patience and threshold.

    Attributes:
        step: The step of the best evaluation; metric: its value. None before the first.
        waited: Evaluations in a row that were no better by more than the threshold.
    """

    def __init__(self, best_by: BestBy | None, training: TrainingSettings) -> None:
        self.best_by = best_by
        self.patience = training.early_stopping_patience
        self.threshold = training.early_stopping_threshold
        self.step: int | None = None
        self.metric: float | None = None
        self.waited = 0

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.waited >= self.patience

    def judge(self, step: int, metrics: Mapping[str, float]) -> None:
        """Compare an evaluation with the best one. A number that is not finite is never better."""
        if self.best_by is None:
            return
        value = metrics[self.best_by.key]
        self.waited = 0 if self._is_better(value, self.threshold) else self.waited + 1
        if self._is_better(value):
            self.step, self.metric = step, value

    def _is_better(self, value: float, by: float = 0.0) -> bool:
        if not math.isfinite(value):
            return False
        if self.metric is None:
            return True
        assert self.best_by is not None
        gain = value - self.metric if self.best_by.greater_is_better else self.metric - value
        return gain > by

    def write(self, state: TrainerState, best_model_checkpoint: str | None) -> None:
        """Put it into the state of a checkpoint."""
        state.best_metric, state.best_global_step = self.metric, self.step
        state.best_model_checkpoint = best_model_checkpoint
        if self.patience is not None:
            arguments = {"early_stopping_patience": self.patience, "early_stopping_threshold": self.threshold}
            attributes = {"early_stopping_patience_counter": self.waited}
            kept: Any = {CALLBACK: {"args": arguments, "attributes": attributes}}
            state.stateful_callbacks = kept

    def read(self, state: TrainerState) -> None:
        """Go on from the state of a checkpoint."""
        self.metric, self.step = state.best_metric, state.best_global_step
        callbacks: Any = state.stateful_callbacks or {}
        kept: Mapping[str, Any] = callbacks.get(CALLBACK, {})
        self.waited = kept.get("attributes", {}).get("early_stopping_patience_counter", 0)
