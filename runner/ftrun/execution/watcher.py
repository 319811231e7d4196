"""Who watches a run go by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ftrun.contracts import EvaluationReport, Splits
from ftrun.planning.plan import Plan
from ftrun.runs.results import RunResult
from ftrun.tracking.state import Delivery


class Watcher:
    """Sees a run go by. The base looks away: it is what `ftrun.run(progress=False)` uses."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def run_started(self, plan: Plan, run_folder: Path) -> None:
        """The plan stands; the run folder is made."""

    def working(self, what: str) -> None:
        """Something that may take a while and has no measure begins."""

    def notice(self, sentence: str) -> None:
        """Something that a person should know."""

    def data_opened(self, splits: Splits) -> None:
        """The data set is open."""

    def fetching(self, run: str, done: int, total: int) -> None:
        """So many bytes of a run's model are here."""

    def encoding(self, split: str, done: int, total: int) -> None:
        """So many rows of a split are tokenized."""

    def training_started(self, total_steps: int, first_step: int) -> None:
        """Training begins."""

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        """One optimizer step was taken."""

    def evaluating(self, split: str, done: int, total: int) -> None:
        """So many rows of a split are evaluated."""

    def predicting(self, name: str, done: int, total: int) -> None:
        """So many of some rows are predicted."""

    def evaluated(self, report: EvaluationReport) -> None:
        """An evaluation is finished."""

    def tested(self, step: int, metrics: Mapping[str, float], predicted: Sequence[str]) -> None:
        """The model of a step is measured on the test splits with labels; those without were predicted."""

    def checkpoint_saved(self, step: int, folder: Path) -> None:
        """A checkpoint stands."""

    def delivering(self, delivery: Delivery) -> None:
        """The run is over but for what MLflow has not got yet; told again and again."""

    def run_finished(self, result: RunResult, pending: int) -> None:
        """The run has ended; MLflow lacks `pending` records."""
