"""Processes that collate batches change nothing, and outlive what stops a run."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import ftrun
import psutil
import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings, validate
from ftrun.training import Fitting
from ftrun.training.workers import SparedContext, loader_options
from helpers import points_of, slow, weights_of
from plain import Parts, Told

SHORT = {"training.num_train_epochs": 1, "training.eval_strategy": "no", "training.learning_rate": 1e-3}


def curve(tiny: Path, **overrides: Any) -> tuple[dict[tuple[str, int], float], bytes]:
    result = ftrun.run(tiny, overrides={**SHORT, **overrides}, progress=False)
    assert result.status == "FINISHED", result.error
    return points_of(result.run_folder), weights_of(result.run_folder)


@pytest.mark.parametrize("backend", ["loop", *map(slow, ("trainer", "accelerate"))])
def test_forked_workers_give_the_same_curve(tiny: Path, backend: str) -> None:
    child_signal = signal.getsignal(signal.SIGCHLD)
    workers = {"backend.use": backend, "training.dataloader_num_workers": 2, "training.num_train_epochs": 2}
    assert curve(tiny, **workers) == curve(tiny, **{**workers, "training.dataloader_num_workers": 0})
    assert signal.getsignal(signal.SIGCHLD) == child_signal


@pytest.mark.slow
@pytest.mark.parametrize("backend", [slow("loop"), slow("trainer"), "accelerate"])
def test_spawned_workers_give_the_same_curve(tiny: Path, spawning: None, backend: str) -> None:
    workers = {"backend.use": backend, "training.dataloader_num_workers": 2}
    fixed = {"collator": {"use": "fixed-length", "length": 64}, "model.max_length": 64} if backend == "loop" else {}
    assert curve(tiny, **workers, **fixed) == curve(tiny, **{**workers, "training.dataloader_num_workers": 0}, **fixed)


@pytest.mark.parametrize("backend", ["loop", *map(slow, ("trainer", "accelerate"))])
def test_workers_that_stay_from_epoch_to_epoch_give_the_same_curve_and_end_with_it(tiny: Path, backend: str) -> None:
    workers = {"backend.use": backend, "training.dataloader_num_workers": 2, "training.num_train_epochs": 2.5}
    kept = {"training.dataloader_persistent_workers": True, "training.dataloader_prefetch_factor": 5}
    counter: Any = multiprocessing.process._process_counter  # type: ignore[attr-defined]
    before = next(counter)
    assert curve(tiny, **workers, **kept) == curve(tiny, **{**workers, "training.dataloader_num_workers": 0})
    assert not multiprocessing.active_children()
    assert next(counter) - before - 1 == 2


def test_workers_are_begun_as_the_file_says_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def options(**settings: Any) -> dict[str, Any]:
        return loader_options(Parts(tmp_path, settings={"dataloader_num_workers": 3, **settings}).job())

    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    assert options()["multiprocessing_context"] == "fork"
    assert isinstance(options(dataloader_multiprocessing_context="spawn")["multiprocessing_context"], SparedContext)
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "forkserver")
    assert isinstance(options()["multiprocessing_context"], SparedContext)
    assert options(dataloader_multiprocessing_context="fork")["multiprocessing_context"] == "fork"
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    with pytest.raises(ExperimentError, match="dataloader_multiprocessing_context: this system forks no processes"):
        options(dataloader_multiprocessing_context="fork")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataloader_persistent_workers", True),
        ("dataloader_prefetch_factor", 4),
        ("dataloader_multiprocessing_context", "spawn"),
    ],
)
def test_what_is_said_of_workers_needs_some(key: str, value: Any) -> None:
    _, (problem,) = validate(TrainingSettings, {key: value}, "training")
    assert problem.message == f"{key} is about processes that collate: it needs dataloader_num_workers, from 1"
    assert not validate(TrainingSettings, {key: value, "dataloader_num_workers": 1}, "training")[1]


def test_batches_are_pinned_for_a_gpu_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pinned(**settings: Any) -> bool:
        fitting = Fitting(Parts(tmp_path, settings=settings).job(), Told(tmp_path))
        return bool(fitting.loader.pin_memory)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not pinned(device="cpu") and not pinned(device="auto") and not pinned(device="mps")
    assert pinned(device="cuda") and not pinned(device="cuda", dataloader_pin_memory=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pinned(device="auto") and not pinned(device="cpu")


def test_a_collator_that_cannot_be_sent_is_refused_by_a_sentence(
    tiny: Path, spawning: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ftrun_plugins.collators.padding as padding

    dynamic = padding.dynamic
    monkeypatch.setattr(padding, "dynamic", lambda *given: lambda rows: dynamic(*given)(rows))
    result = ftrun.run(tiny, overrides={"training.dataloader_num_workers": 1}, progress=False)
    assert result.status == "FAILED" and result.error
    assert "training.dataloader_num_workers: the collator's function cannot be sent to other processes" in result.error
    assert "Set it to 0, or make it of functions and classes that a module holds" in result.error


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The children that collate."""
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # an epoch's, just ended
            if not any(other in " ".join(child.cmdline()) for other in ("feeder", "resource_tracker")):
                found.append(child)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", slow("spawn")])
@pytest.mark.parametrize("number", [signal.SIGTERM, slow(signal.SIGINT), slow(signal.SIGHUP)])
def test_what_stops_all_processes_of_a_run_leaves_a_checkpoint(tiny: Path, method: str, number: signal.Signals) -> None:
    """Ctrl-C, `timeout`, a scheduler and a closed terminal signal the whole group."""
    script = tiny.parent / "start.py"
    script.write_text(
        "import multiprocessing, sys\n"
        "if __name__ == '__main__':\n"
        f"    multiprocessing.set_start_method('{method}')\n"
        "    from ftrun.cli import main\n"
        "    main()\n"
    )
    settings = ["training.max_steps=1000000", "training.dataloader_num_workers=2", "training.eval_strategy=no"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, str(script), str(tiny), "--json", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not any(
            ("train/loss", 1) in points_of(folder.parent) for folder in tiny.parent.glob("runs/*/journal.jsonl")
        ):
            time.sleep(0.05)
        while time.monotonic() < deadline and not (workers := workers_of(process)):  # between two epochs
            time.sleep(0.01)
        os.killpg(process.pid, number)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, err
    assert number == signal.SIGHUP or "Traceback" not in err, (
        err
    )  # Python's resource tracker dies of SIGHUP, and says so
    result = json.loads(out)
    assert result["status"] == "KILLED"
    assert Path(result["run_folder"], "checkpoints", f"checkpoint-{result['steps']}").is_dir()
    assert workers and not any(worker.is_running() for worker in workers)


@pytest.mark.slow
def test_workers_of_a_killed_run_end(tiny: Path) -> None:
    settings = ["training.max_steps=1000000", "training.dataloader_num_workers=2", "training.eval_strategy=no"]
    options = [part for setting in settings for part in ("--set", setting)]
    process = subprocess.Popen(
        [sys.executable, "-m", "ftrun", str(tiny), *options], stdout=subprocess.DEVNULL, text=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(workers_of(process)) < 2:
        time.sleep(0.05)
    workers = workers_of(process)
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert workers and not alive
