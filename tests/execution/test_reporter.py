"""What a backend reports is on record as it was, and what cannot be so is refused by name."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import EvaluationReport, StepReport
from ftrun.errors import ExperimentError, RunError
from ftrun.execution.reporter import RunReporter
from ftrun.execution.watcher import Watcher
from ftrun.runs.checkpoints import damage_of
from ftrun.runs.journal import Journal
from helpers import journal_of, points_of
from hypothesis import given
from hypothesis import strategies as st


class Bench:
    """A reporter with a journal of its own, and what it passed on."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.journal = Journal(folder / "journal.jsonl")
        self.observed: list[EvaluationReport] = []
        options = {"save_total_limit": None, "on_evaluated": self.observed.append, **options}
        self.reporter = RunReporter(self.journal, Watcher(), folder / "checkpoints", **options)

    def step(self, step: int, loss: Any = 0.5, grad_norm: Any = 1.0) -> None:
        self.reporter.stepped(StepReport(step, step / 4, loss, 1e-3, grad_norm, 8))

    def write(self, step: int) -> None:
        with self.reporter.checkpoint(step) as folder:
            (folder / "weights.bin").write_bytes(b"weights")

    def close(self) -> None:
        self.reporter.close()
        self.journal.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


class OnDevice:
    """A number that is still on an accelerator: to read it is to wait."""

    device = type("Device", (), {"type": "cuda"})()

    def __init__(self, value: float) -> None:
        self.value = value

    def __float__(self) -> float:
        return self.value


def test_every_step_is_on_record_as_it_was(bench: Bench) -> None:
    bench.reporter.training_started(2)
    bench.step(1, loss=0.1 + 0.2)
    bench.step(2)
    assert points_of(bench.folder) == {
        ("train/loss", 1): 0.1 + 0.2,
        ("train/learning_rate", 1): 1e-3,
        ("train/grad_norm", 1): 1.0,
        ("epoch", 1): 0.25,
        ("train/loss", 2): 0.5,
        ("train/learning_rate", 2): 1e-3,
        ("train/grad_norm", 2): 1.0,
        ("epoch", 2): 0.5,
    }
    assert bench.reporter.steps == 2 and bench.reporter.totals.examples == 16 and bench.reporter.totals.seconds > 0


@given(st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.booleans()), min_size=1, max_size=12))
def test_numbers_on_a_device_are_recorded_in_order_beside_those_at_hand(losses: list[tuple[float, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.reporter.training_started(len(losses))
        for step, (loss, on_device) in enumerate(losses, start=1):
            bench.step(step, OnDevice(loss) if on_device else loss)
        bench.close()
        told = [record for record in journal_of(bench.folder) if record["type"] == "metrics"]
        assert [record["values"]["train/loss"] for record in told] == [loss for loss, _ in losses]


def test_an_evaluation_is_told_to_the_journal_and_to_observers(bench: Bench) -> None:
    bench.reporter.training_started(1)
    bench.step(1)
    report = EvaluationReport(1, 0.25, {"eval/f1": 0.75, "eval/loss": math.nan})
    bench.reporter.evaluated(report)
    assert bench.observed == [report] and points_of(bench.folder)["eval/f1", 1] == 0.75


def test_a_run_stops_when_it_is_asked_to(bench: Bench) -> None:
    assert not bench.reporter.stop_requested
    bench.reporter.request_stop()
    assert bench.reporter.stop_requested


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, OnDevice(math.nan)])
def test_a_loss_that_is_not_finite_stops_the_run_and_is_kept_by_nothing(bench: Bench, loss: Any) -> None:
    bench.reporter.training_started(2)
    bench.step(1, loss)
    for _ in range(2):
        with pytest.raises(RunError, match=r"the loss is (nan|-?inf) at step 1: try a smaller learning rate"):
            bench.write(1)
    assert bench.reporter.stop_requested and not (bench.folder / "checkpoints").exists()


def test_the_first_number_that_was_not_finite_is_the_one_that_is_told(bench: Bench) -> None:
    bench.reporter.training_started(2)
    bench.step(1, grad_norm=math.inf)
    bench.step(2, math.nan)
    with pytest.raises(RunError, match="the gradient norm is inf at step 1"):
        bench.reporter.settle()


def test_a_skipped_step_has_its_scale_on_record_and_no_norm_and_ends_nothing(bench: Bench) -> None:
    bench.reporter.training_started(2)
    for step, scale in ((1, 4.0), (2, 2.0**-14)):
        bench.reporter.stepped(StepReport(step, 0.5, 0.7, 1e-3, math.inf, 8, skipped=True, loss_scale=scale))
    bench.reporter.settle()
    assert not bench.reporter.stop_requested
    points = points_of(bench.folder)
    assert points["train/loss_scale", 1] == 4.0 and ("train/grad_norm", 1) not in points


@pytest.mark.parametrize(
    ("loss", "told"), [(0.7, "the gradients overflow at step 1, though"), (math.nan, "the loss is nan")]
)
def test_a_skipped_step_ends_a_run_where_no_scale_would_help(bench: Bench, loss: float, told: str) -> None:
    bench.reporter.training_started(2)
    bench.reporter.stepped(StepReport(1, 0.5, loss, 1e-3, math.nan, 8, skipped=True, loss_scale=2.0**-15))
    with pytest.raises(RunError, match=told):
        bench.write(1)


def test_a_checkpoint_is_whole_on_record_and_found_by_its_step(bench: Bench) -> None:
    bench.reporter.training_started(2)
    bench.step(1)
    bench.write(1)
    bench.reporter.settle()
    folder = bench.reporter.whole_checkpoint(1)
    assert folder == bench.reporter.checkpoint_folder(1) and damage_of(folder) is None
    assert journal_of(bench.folder)[-1]["folder"] == "checkpoint-1"
    (folder / "weights.bin").write_bytes(b"another")
    with pytest.raises(RunError, match="checkpoint-1 is needed, and is not whole"):
        bench.reporter.whole_checkpoint(1)


FAULTS: dict[str, Any] = {
    "a step before the training": (lambda b: b.step(1), "reports step 1, and has not called training_started"),
    "a training that starts twice": (
        lambda b: [b.reporter.training_started(2) for _ in range(2)],
        "says twice that training has started",
    ),
    "a first step that is not": (
        lambda b: b.reporter.training_started(2, 2),
        "begins at step 2, and 0 steps are behind: it must begin at 1",
    ),
    "a step that is left out": (
        lambda b: (b.reporter.training_started(3), b.step(2)),
        "reports step 2 after step 0: it must be 1",
    ),
    "an evaluation of another step": (
        lambda b: (b.reporter.training_started(3), b.reporter.evaluated(EvaluationReport(3, 1.0, {}))),
        "reports an evaluation of step 3 after step 0",
    ),
    "an evaluation without its prefix": (
        lambda b: (b.reporter.training_started(3), b.reporter.evaluated(EvaluationReport(0, 0.0, {"f1": 1.0}))),
        'reports "f1" of an evaluation: its keys must begin with "eval/"',
    ),
    "a checkpoint of another step": (
        lambda b: (b.reporter.training_started(3), b.step(1), b.write(2)),
        "writes a checkpoint of step 2 after step 1",
    ),
    "a checkpoint twice": (
        lambda b: (b.reporter.training_started(3), b.step(1), b.write(1), b.write(1)),
        "writes the checkpoint of step 1 twice",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_a_backend_reports_out_of_turn_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    fault, told = FAULTS[name]
    bench = Bench(tmp_path, backend='the backend "abacus"')
    with pytest.raises(ExperimentError) as refused:
        fault(bench)
    bench.close()
    assert str(refused.value) == f'backend: the backend "abacus" {told}'


def test_a_run_that_goes_on_begins_after_its_checkpoint(tmp_path: Path) -> None:
    bench = Bench(tmp_path, resumed_from=5)
    with pytest.raises(ExperimentError, match="begins at step 1, and 5 steps are behind: it must begin at 6"):
        bench.reporter.training_started(9)
    bench.reporter.training_started(9, 6)
    with pytest.raises(ExperimentError, match="writes the checkpoint of step 5 twice"):
        bench.write(5)
    bench.step(6)
    bench.close()
    assert bench.reporter.steps == 6


def test_a_run_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    with pytest.raises(RunError, match=r"the run folder .* is gone"):
        bench.reporter.settle()
    bench.close()


def test_a_gradient_that_is_not_finite_is_known_before_a_checkpoint(workdir: Path) -> None:
    journal = Journal(workdir / "journal.jsonl")
    reporter = RunReporter(journal, Watcher(), workdir / "checkpoints", None, lambda report: None)
    reporter.training_started(2)
    reporter.stepped(StepReport(1, 0.5, 0.7, 1e-3, float("inf"), 8))
    assert reporter.stop_requested
    with pytest.raises(RunError, match="the gradient norm is inf at step 1"), reporter.checkpoint(1):
        raise AssertionError
    journal.close()
