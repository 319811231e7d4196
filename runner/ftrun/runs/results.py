"""What a run came to, and what its model says, typed: what `ftrun.run` and `ftrun.predict` return."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ftrun.runs.records import Status as Status


@dataclass(frozen=True)
class RunResult:
    """One run, as it ended.

    Attributes:
        experiment: The experiment's name.
        backend: The one that trained.
        run: The run's name.
        run_folder: Its folder, absolute.
        run_id: MLflow's id of the run; None until MLflow has it.
        tracking_uri: Where MLflow keeps the run, without credentials; None if tracking is off.
        status: As in MLflow.
        error: Why it did not finish, in a sentence.
        steps: Optimizer steps taken.
        seconds: From beginning to end.
        training_seconds: Of these, the time spent in optimizer steps.
        examples_per_second: Rows trained on in a second of `training_seconds`.
        metrics: Of the model's evaluation, by MLflow's keys (`eval/f1`), and of its test (`test/f1`).
    """

    experiment: str
    backend: str
    run: str
    run_folder: Path
    status: Status
    run_id: str | None = None
    tracking_uri: str | None = None
    error: str | None = None
    steps: int = 0
    seconds: float = 0.0
    training_seconds: float = 0.0
    examples_per_second: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The result as plain JSON values; a number that is not finite, which JSON has not, is null."""
        metrics = {key: value if math.isfinite(value) else None for key, value in self.metrics.items()}
        return {**asdict(self), "run_folder": str(self.run_folder), "metrics": metrics}


@dataclass(frozen=True)
class PredictionResult:
    """What a model says of rows, in their order.

    Attributes:
        run: The name of the run that the model is of, or of its folder.
        labels: One a row: the name of the most probable class; of several classes a row, a list of names; of a
            regression, a number; of a task of somebody's own, whatever the model's `decode` gives.
        probabilities: One mapping a row, from each class to its probability; None of a regression, and where a
            model's `decode` tells something else.
        rows: The columns of each row as they were given, and beside them `prediction` and for each class
            `probability_CLASS`, or what the model's `decode` tells: what `ftrun predict` writes.
    """

    run: str
    labels: Sequence[Any]
    probabilities: Sequence[Mapping[str, float]] | None
    rows: Sequence[Mapping[str, Any]]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.rows)
