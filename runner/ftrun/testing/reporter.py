"""A reporter that keeps what it is told, for tests of a backend without a run around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ftrun.contracts import EvaluationReport, StepReport


class FakeReporter:
    """A `ftrun.contracts.Reporter` that refuses nothing and keeps everything; checkpoints go to `folder`.

    Args:
        folder: Made if it is not there.

    Attributes:
        began: The steps in all, and the first one; None before `training_started`.
        steps, evaluations: The reports, in their order.
        looked: The split, the rows done and all rows, of each call of `evaluating`.
        stop_after: After so many steps a stop is requested; never by default.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)  # as the core makes a run's folder
        self.folder = folder
        self.steps: list[StepReport] = []
        self.evaluations: list[EvaluationReport] = []
        self.looked: list[tuple[str, int, int]] = []
        self.began: tuple[int, int] | None = None
        self.stop_after: int | None = None

    @property
    def stop_requested(self) -> bool:
        """Whether `stop_after` steps are taken."""
        return self.stop_after is not None and len(self.steps) >= self.stop_after

    @property
    def losses(self) -> list[float]:
        """The loss of every step."""
        return [float(report.loss) for report in self.steps]

    def training_started(self, total_steps: int, first_step: int = 1) -> None:
        """Keeps both."""
        self.began = total_steps, first_step

    def stepped(self, report: StepReport) -> None:
        """Keeps it."""
        self.steps.append(report)

    def evaluating(self, split: str, done: int, total: int) -> None:
        """Keeps it."""
        self.looked.append((split, done, total))

    def evaluated(self, report: EvaluationReport) -> None:
        """Keeps it."""
        self.evaluations.append(report)

    def settle(self) -> None:
        """Nothing is under way."""

    @contextlib.contextmanager
    def checkpoint(self, step: int, best_step: int | None = None) -> Iterator[Path]:
        """A new folder, which stands at once."""
        folder = self.checkpoint_folder(step)
        folder.mkdir(parents=True)
        yield folder

    def checkpoint_folder(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.folder / "checkpoints" / f"checkpoint-{step}"

    def whole_checkpoint(self, step: int) -> Path:
        """The same; nothing is checked."""
        return self.checkpoint_folder(step)
