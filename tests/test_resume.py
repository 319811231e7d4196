"""A run that died goes on to the very weights, metrics and history of one that was never disturbed."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution.resumption import plan_resumption
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.checkpoints import damage_of
from ftrun.runs.journal import read_current
from ftrun.runs.records import MetricsRecord
from helpers import BACKENDS, Begin, Ftrun, died_after, journal_of, points_of, slow, weights_of

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def history(folder: Path) -> list[tuple[str, int, float]]:
    """Every point that counts in the order of the journal's steps, none of which may be there twice."""
    points = [
        (key, entry.record.step, value)
        for entry, _ in read_current(folder / "journal.jsonl")
        if isinstance(entry.record, MetricsRecord)
        for key, value in entry.record.values.items()
    ]
    assert len({(key, step) for key, step, _ in points}) == len(points)
    return sorted(points)


def assert_same_end(folder: Path, undisturbed: ftrun.RunResult) -> None:
    assert history(folder) == history(undisturbed.run_folder)
    assert weights_of(folder) == weights_of(undisturbed.run_folder)
    for split in (undisturbed.run_folder / "predictions").iterdir():
        assert (folder / "predictions" / split.name).read_bytes() == split.read_bytes()
    assert not [record for record in journal_of(folder) if record["type"] == "differing"]
    assert journal_of(folder)[-1]["status"] == "FINISHED"


CASES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "as it stands": ({}, [3, 6, 7, 12]),
    "accumulation with a short last group": (
        {"training.gradient_accumulation_steps": 4, "training.per_device_train_batch_size": 3},
        [1, 4, 6],
    ),
    "bfloat16, warm-up, a cosine": (
        {"training.bf16": True, "training.warmup_steps": 4, "training.lr_scheduler_type": "cosine"},
        [2, 6],
    ),
    "early stopping and the best model": (
        {
            "training.eval_strategy": "steps",
            "training.eval_steps": 2,
            "training.num_train_epochs": 4,
            "training.early_stopping_patience": 2,
            "training.metric_for_best_model": "f1",
            "training.load_best_model_at_end": True,
        },
        [1, 2, 5],
    ),
    "SGD with momentum, a cosine with restarts": (
        {
            "training.optim": "sgd",
            "training.optim_args": {"momentum": 0.9},
            "training.lr_scheduler_type": "cosine_with_restarts",
            "training.lr_scheduler_kwargs": {"num_cycles": 3},
        },
        [1, 7],
    ),
    "Adafactor, rows of a like length together": (
        {"training.optim": "adafactor", "training.train_sampling_strategy": "group_by_length"},
        [2, 7],
    ),
    "Adagrad": ({"training.optim": "adagrad"}, [4]),
    "RMSprop": ({"training.optim": "rmsprop", "training.optim_args": {"momentum": 0.5, "centered": True}}, [4]),
    "NAdam, warm-up, stable, decay": (
        {
            "training.optim": "nadam",
            "training.lr_scheduler_type": "warmup_stable_decay",
            "training.lr_scheduler_kwargs": {"num_decay_steps": 4},
        },
        [4],
    ),
    "Adam, activations computed again, an evaluation before the first step": (
        {"training.optim": "adam", "training.gradient_checkpointing": True, "training.eval_on_start": True},
        [5],
    ),
    "compiled": ({"training.torch_compile": True, "training.torch_compile_backend": "eager"}, [5]),
    "noise on embeddings": ({"training.neftune_noise_alpha": 5.0}, [2, 7]),
    "a first evaluation that waits": (
        {
            "training.eval_strategy": "epoch",
            "training.eval_delay": 2,
            "training.num_train_epochs": 4,
            "training.early_stopping_patience": 1,
            "training.load_best_model_at_end": True,
        },
        [6, 13],
    ),
    "to the midst of an epoch": ({"training.max_steps": 9}, [8, 9]),
}


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "steps"), CASES.values(), ids=CASES.keys())
def test_a_run_goes_on_to_the_same_end_on_every_backend(tiny: Path, settings: dict[str, Any], steps: list[int]) -> None:
    for index, began in enumerate(BACKENDS):
        undisturbed = run(tiny, {**settings, "backend.use": began})
        for step in steps:
            goes_on = BACKENDS[(index + step) % 3]
            folder = died_after(undisturbed.run_folder, step, f"died-on-{began}-after-{step}")
            result = ftrun.resume(folder, backend=goes_on, progress=False)
            assert (result.status, result.backend) == ("FINISHED", goes_on), (folder / "log.txt").read_text()
            assert result.metrics == undisturbed.metrics and result.steps == undisturbed.steps
            assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_regression_on_two_evaluation_splits_goes_on_to_the_same_end(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ftrun_plugins.datasets.files as files

    rows = [{"text": "word " * (1 + i % 7), "score": float(i % 5)} for i in range(40)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    dataset = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    dataset |= {"label_column": "score", "kind": "regression"}
    build = files.build

    def with_another_split(settings: Any) -> Any:
        splits = build(settings)
        short = splits.evaluation["validation"].select(range(9))
        return dataclasses.replace(splits, evaluation={**splits.evaluation, "short": short})

    monkeypatch.setattr(files, "build", with_another_split)
    undisturbed = run(
        tiny, {"dataset": dataset, "metrics": [{"use": "correlation"}], "training.eval_strategy": "epoch"}
    )
    assert len([key for key in undisturbed.metrics if "pearson" in key]) == 2
    for index, step in enumerate((3, 5, 8)):
        folder = died_after(undisturbed.run_folder, step, f"regression-{step}")
        assert ftrun.resume(folder, backend=BACKENDS[index], progress=False).metrics == undisturbed.metrics
        assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_to_ask_for_the_best_model_later_costs_no_checkpoint(tiny: Path) -> None:
    undisturbed = run(tiny, {"training.eval_strategy": "steps", "training.eval_steps": 3})
    folder = died_after(undisturbed.run_folder, 7, "best-from-here")
    for step in (1, 2, 3, 4, 6):  # whichever was the best until now: nobody had asked to keep it
        shutil.rmtree(folder / "checkpoints" / f"checkpoint-{step}")
    best = {"training.load_best_model_at_end": True, "training.metric_for_best_model": "loss"}
    result = ftrun.resume(folder, overrides=best, allow_changes=True, progress=False)
    assert result.status == "FINISHED", result.error
    (resumed,) = [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert resumed["step"] == 7
    (told,) = [record["tags"] for record in journal_of(folder) if "ftrun.model_step" in record.get("tags", {})]
    losses = {step: value for (key, step), value in points_of(folder).items() if key == "eval/loss" and step > 7}
    assert int(told["ftrun.model_step"]) == min(losses, key=lambda step: losses[step])
    assert damage_of(folder / "checkpoints" / "checkpoint-5") is None

    again = died_after(folder, 7, "killed-before-the-next-checkpoint")
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    resumed_at = next(index for index, line in enumerate(lines) if '"type": "resumed"' in line)
    (again / "journal.jsonl").write_text("".join(lines[: resumed_at + 1]))
    assert ftrun.resume(again, progress=False).status == "FINISHED"
    assert [record["step"] for record in journal_of(again) if record["type"] == "resumed"] == [7, 7]
    assert_same_end(again, result)


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 9, "damaged")
    checkpoints = folder / "checkpoints"
    weights = checkpoints / "checkpoint-9" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    altered = checkpoints / "checkpoint-8" / "optimizer.pt"
    altered.write_bytes(altered.read_bytes()[:-1] + b"x")
    (checkpoints / "checkpoint-7" / "manifest.json").unlink()
    (checkpoints / "checkpoint-6" / "rng_state.pth").unlink()
    (checkpoints / ".checkpoint-10.partial").mkdir()
    ftrun.resume(folder)
    told = capsys.readouterr().out
    size = weights.stat().st_size
    for sentence in (
        "checkpoint-9 is not whole: model.safetensors has ",
        "checkpoint-8 is not whole: optimizer.pt was altered",
        "checkpoint-7 is not whole: it has no manifest.json",
        "checkpoint-6 is not whole: rng_state.pth is missing",
        "going on from checkpoint-5",
    ):
        assert sentence in told
    assert size > 0 and not (checkpoints / ".checkpoint-10.partial").exists()
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_a_damaged_best_checkpoint_is_made_anew_from_the_one_before_it(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = {"training.load_best_model_at_end": True, "training.metric_for_best_model": "loss"}
    undisturbed = run(tiny, {**best, "training.num_train_epochs": 3})
    (record,) = [
        record for record in journal_of(undisturbed.run_folder) if "ftrun.model_step" in record.get("tags", {})
    ]
    step = int(record["tags"]["ftrun.model_step"])
    assert step < 18
    folder = died_after(undisturbed.run_folder, 17, "altered")
    weights = folder / "checkpoints" / f"checkpoint-{step}" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert ftrun.resume(folder).status == "FINISHED"
    told = " ".join(capsys.readouterr().out.split())
    damage = f"checkpoint-{step}, is not: model.safetensors was altered"
    assert f"checkpoint-17 is whole, but the best one before it, {damage}" in told
    assert f"going on from checkpoint-{step - 1}" in told
    assert_same_end(folder, undisturbed)


def test_damaged_checkpoints_do_not_count_as_the_newest_to_keep(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 8, "limited")
    for step in (5, 8):
        (folder / "checkpoints" / f"checkpoint-{step}" / "manifest.json").unlink()
    for step in (6, 7):
        shutil.rmtree(folder / "checkpoints" / f"checkpoint-{step}")
    sparse = {"training.save_steps": 3, "training.save_total_limit": 1}
    assert ftrun.resume(folder, overrides=sparse, progress=False).status == "FINISHED"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["checkpoint-12"]
    assert damage_of(folder / "checkpoints" / "checkpoint-12") is None
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_what_a_kill_kept_from_the_opening_records_is_recorded_when_it_goes_on(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 1, "opening")
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    assert ftrun.resume(folder, progress=False).status == "FINISHED"
    assert sorted(record["split"] for record in journal_of(folder) if record["type"] == "dataset") == [
        "train",
        "validation",
    ]
    assert "experiment.toml" in [record["path"] for record in journal_of(folder) if record["type"] == "artifact"]


@pytest.mark.slow
def test_without_a_checkpoint_a_run_begins_again_in_the_same_folder(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 1, "early")
    shutil.rmtree(folder / "checkpoints")
    ftrun.resume(folder)
    assert "there is no checkpoint: it begins at the beginning" in capsys.readouterr().out
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_a_record_that_was_cut_short_is_removed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 4, "torn")
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "metrics", "step": 5, "val')
    ftrun.resume(folder, progress=False)
    assert_same_end(folder, undisturbed)


def test_what_changes_nothing_may_change(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "harmless")
    harmless = {
        "training.save_strategy": "no",
        "training.dataloader_num_workers": 1,
        "training.preprocessing_num_workers": 2,
    }
    assert ftrun.resume(folder, overrides=harmless, progress=False).status == "FINISHED"
    assert_same_end(folder, undisturbed)


def test_a_device_said_in_another_way_is_no_change_and_a_new_setting_is_one(tiny: Path) -> None:
    folder = died_after(run(tiny, {"training.max_steps": 2}).run_folder, 1, "device")
    _, resumption = plan_resumption(folder.name, load_catalogue(), {"training.device": "auto"})
    assert resumption.changes == []
    with pytest.raises(ExperimentError, match="data_seed: the run was begun with nothing, and now it is 7"):
        plan_resumption(folder.name, load_catalogue(), {"training.data_seed": 7})


def test_a_file_is_compared_with_the_profile_that_the_run_was_begun_with(tiny: Path) -> None:
    tiny.write_text(tiny.read_text() + "[profile.short.training]\nmax_steps = 2\n")
    undisturbed = ftrun.run(tiny, profile="short", overrides=SAVING, progress=False)
    folder = died_after(undisturbed.run_folder, 1, "profiled")
    plan, resumption = plan_resumption("tiny.toml", load_catalogue(), SAVING)
    assert (resumption.folder.path, resumption.changes) == (folder, [])
    assert plan.training.max_steps == 2


def test_what_was_the_best_does_not_count_once_something_else_is(tiny: Path) -> None:
    looking = {"training.max_steps": 2, "training.eval_strategy": "steps", "training.eval_steps": 1}
    best = {"training.load_best_model_at_end": True, "training.metric_for_best_model": "f1"}
    folder = died_after(run(tiny, {**looking, **best}).run_folder, 1, "best")
    for changed, counts in (
        ({"training.greater_is_better": False}, False),
        ({"training.metric_for_best_model": "loss"}, False),
        ({"training.load_best_model_at_end": False}, False),
        ({"training.learning_rate": 1e-4}, True),
    ):
        plan, resumption = plan_resumption(folder.name, load_catalogue(), changed, allow_changes=True)
        resumption.take(plan)
        assert resumption.checkpoint and resumption.best_counts == counts


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_after_kill_9_the_next_command_says_so_and_resume_goes_on(
    tiny: Path, backend: str, begin_ftrun: Begin, ftrun_command: Ftrun
) -> None:
    longer = {"training.num_train_epochs": 10}
    undisturbed = run(tiny, {**longer, "backend.use": backend})
    settings = [f"--set={key}={value}" for key, value in {**SAVING, **longer}.items()]
    tiny.with_name("killed.toml").write_text('extends = "tiny.toml"\nname = "killed"\n')
    process = begin_ftrun("killed.toml", "--backend", backend, *settings)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tiny.parent.glob("runs/killed-*/checkpoints/checkpoint-1*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = tiny.parent.glob("runs/killed-*")
    done = ftrun_command("sync")
    assert f"{folder.name} was killed; to go on with it: ftrun resume {folder.name}" in done.stderr
    assert journal_of(folder)[-1]["status"] == "KILLED"
    done = ftrun_command("resume", "killed.toml", "--json", *settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == undisturbed.metrics
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_an_interrupted_run_names_the_command_that_goes_on(
    tiny: Path, begin_ftrun: Begin, ftrun_command: Ftrun
) -> None:
    undisturbed = run(tiny, {"training.num_train_epochs": 30, "training.save_strategy": "epoch"})
    longer = ("--set", "training.num_train_epochs=30", "--set", "training.save_strategy=epoch")
    process = begin_ftrun("tiny.toml", *longer)
    folder = await_step(tiny.parent, undisturbed.run_folder)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (command,) = [line for line in out.splitlines() if line.startswith("next")]
    assert "ftrun resume runs/" in command
    done = ftrun_command(*command.split()[2:])
    assert done.returncode == 0, done.stderr
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_a_terminal_that_is_closed_stops_the_run_with_a_checkpoint(tiny: Path) -> None:
    undisturbed = run(tiny, {"training.num_train_epochs": 30, "training.save_strategy": "no"})
    pid, terminal = pty.fork()
    if pid == 0:
        settings = ["--set=training.num_train_epochs=30", "--set=tracking.enabled=true"]
        os.execv(sys.executable, [sys.executable, "-m", "ftrun", "tiny.toml", *settings])
    gone = threading.Event()

    def show() -> None:
        while not gone.is_set():
            if select.select([terminal], [], [], 0.05)[0]:
                os.read(terminal, 4096)

    shown = threading.Thread(target=show)
    shown.start()
    folder = await_step(tiny.parent, undisturbed.run_folder)
    gone.set()
    shown.join()
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP, (folder / "log.txt").read_text()
    last = max(step for _, step in points_of(folder))
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [f"checkpoint-{last}"]
    assert journal_of(folder)[-1]["status"] == "KILLED"
    state = json.loads((folder / "mlflow.json").read_text())
    assert state["delivered"] == (folder / "journal.jsonl").stat().st_size
    assert ftrun.resume(folder, progress=False).status == "FINISHED"
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
def test_under_nohup_a_closed_terminal_stops_nothing(tiny: Path) -> None:
    undisturbed = run(tiny, {"training.num_train_epochs": 30, "training.save_strategy": "no"})
    process = subprocess.Popen(
        ["nohup", sys.executable, "-m", "ftrun", "tiny.toml", "--set=training.num_train_epochs=30"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = await_step(tiny.parent, undisturbed.run_folder)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) == 0
    assert_same_end(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("delay", [slow(0.0), 0.02, slow(0.05)])
def test_a_signal_at_the_very_end_leaves_a_finished_run_or_one_to_go_on_with(
    tiny: Path, delay: float, begin_ftrun: Begin
) -> None:
    undisturbed = run(tiny, {"training.num_train_epochs": 5})
    settings = [f"--set={key}={value}" for key, value in {**SAVING, "training.num_train_epochs": 5}.items()]
    process = begin_ftrun("tiny.toml", "--json", *settings)
    folder = await_step(tiny.parent, undisturbed.run_folder, undisturbed.steps)
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM), err  # the latter once the command is over
    status = journal_of(folder)[-1]["status"]
    assert not out or json.loads(out)["status"] == status
    if status == "KILLED":
        assert ftrun.resume(folder, progress=False).status == "FINISHED"
    assert_same_end(folder, undisturbed)


def await_step(workdir: Path, other_than: Path, step: int = 1) -> Path:
    """The folder of another run, once it has told of a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for journal in workdir.glob("runs/*/journal.jsonl"):
            if journal.parent != other_than and f'"step": {step}, "values": {{"train/loss"' in journal.read_text():
                return journal.parent
        time.sleep(0.005)
    raise AssertionError("it never took that step")
