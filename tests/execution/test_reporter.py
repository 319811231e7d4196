"""What a backend reports is on record as it was, and what cannot be so is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_a_gradient_that_is_not_finite_is_known_before_a_checkpoint(workdir: Path) -> None:
    from ftrun.contracts import StepReport
    from ftrun.errors import RunError
    from ftrun.execution.reporter import RunReporter
    from ftrun.execution.watcher import Watcher
    from ftrun.runs.journal import Journal

    journal = Journal(workdir / "journal.jsonl")
    reporter = RunReporter(journal, Watcher(), workdir / "checkpoints", None, lambda report: None)
    reporter.training_started(2)
    reporter.stepped(StepReport(1, 0.5, 0.7, 1e-3, float("inf"), 8))
    assert reporter.stop_requested
    with pytest.raises(RunError, match="the gradient norm is inf at step 1"), reporter.checkpoint(1):
        raise AssertionError
    journal.close()
