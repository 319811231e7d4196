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
from typing import Any

import ftrun
import pytest
from helpers import journal_of, points_of, slow


def test_a_fault_of_ours_in_the_table_of_predictions_is_none_to_pass_over(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: Any) -> None:
        raise TypeError("ours")

    monkeypatch.setattr("ftrun.execution.story.record_predictions", fault)
    result = ftrun.run(tiny, overrides={"training.max_steps": 1}, progress=False)
    assert result.status == "FAILED" and "TypeError: ours" in str(result.error)
    assert "in fault" in (result.run_folder / "log.txt").read_text()


def test_the_run_folder_holds_everything(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.save_strategy": "epoch"}, progress=False)
    folder = result.run_folder
    assert folder.parent == tiny.parent / "runs" and folder.name.startswith("tiny-")
    assert {path.name for path in folder.iterdir()} == {
        *("experiment.toml", "journal.jsonl", "checkpoints", "checkpoints.json", "model", "predictions", "task.json"),
        ".lock",
    } | ({"log.txt"} if (folder / "log.txt").exists() else set())
    recorded = tomllib.loads((folder / "experiment.toml").read_text())
    assert recorded["format"] == 1 and recorded["training"]["save_strategy"] == "epoch"
    assert [path.name for path in sorted((folder / "checkpoints").iterdir())] == ["checkpoint-12", "checkpoint-6"]


def test_the_recorded_experiment_runs_again_to_the_same_numbers(tiny: Path) -> None:
    first = ftrun.run(tiny, overrides={"training.max_steps": 3}, progress=False)
    again = ftrun.run(first.run_folder / "experiment.toml", progress=False)
    assert points_of(first.run_folder) == points_of(again.run_folder)


def test_a_run_says_how_to_go_on_with_it_while_it_is_under_way(tiny: Path) -> None:
    folder = ftrun.run(tiny, overrides={"training.max_steps": 3}, progress=False).run_folder
    records = journal_of(folder)
    described = [at for at, record in enumerate(records) if "mlflow.note.content" in record.get("tags", {})]
    first_step = next(at for at, record in enumerate(records) if record["type"] == "metrics")
    assert described[0] < first_step < described[-1]
    told = records[described[0]]["tags"]["mlflow.note.content"]
    assert told == f"Under way from step 1.\n\nShould it stop, to go on:\n\n    ftrun resume {folder}"


def test_metrics_are_those_of_the_last_step_even_if_no_evaluation_was_asked(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.eval_strategy": "no"}, progress=False)
    assert {step for (key, step) in points_of(result.run_folder) if key == "eval/f1"} == {12}
    assert set(result.metrics) == {"eval/loss", "eval/accuracy", "eval/f1"}


@pytest.mark.slow
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


def test_our_own_fault_is_a_sentence_with_its_traceback_in_the_log(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.backends.loop as loop

    monkeypatch.setattr(loop, "build_optimizer", lambda *_: 1 / 0)
    result = ftrun.run(tiny, progress=False)
    assert result.status == "FAILED"
    assert result.error == "ZeroDivisionError: division by zero (the traceback is in log.txt)"
    assert "Traceback" in (result.run_folder / "log.txt").read_text()
    assert journal_of(result.run_folder)[-1]["status"] == "FAILED"


@pytest.mark.parametrize(
    ("number", "status", "backend"),
    [
        slow((signal.SIGINT, 130, "loop")),
        slow((signal.SIGTERM, 143, "loop")),
        slow((signal.SIGINT, 130, "trainer")),
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


@pytest.mark.slow
def test_a_run_goes_on_where_nobody_reads_on(tiny: Path) -> None:
    command = f"{sys.executable} -m ftrun tiny.toml --set training.num_train_epochs=8 | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("tiny on loop") and "Traceback" not in done.stderr and "Exception" not in done.stderr
    (folder,) = Path("runs").iterdir()
    assert journal_of(folder)[-1]["status"] == "FINISHED"
