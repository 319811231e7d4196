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
from filelock import FileLock
from ftrun.errors import ExperimentError, RunError, RunFinishedError
from ftrun.execution.resumption import Resumption, plan_resumption
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.checkpoints import damage_of
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import read_history
from helpers import BACKENDS, Begin, Ftrun, died_after, journal_of, points_of, slow, weights_of

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def history(folder: Path) -> list[tuple[str, int, float]]:
    """Every point in the order of the journal's steps, none of which may be there twice."""
    points = [
        (key, record["step"], value)
        for record in journal_of(folder)
        if record["type"] == "metrics"
        for key, value in record["values"].items()
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
    "to the midst of an epoch": ({"training.max_steps": 9}, [8, 9]),
}
SOON = ("accumulation with a short last group", "early stopping and the best model")
"""The cases that `make test` tries, too."""


@pytest.mark.parametrize(
    ("settings", "steps"),
    [pytest.param(*case, id=name, marks=[] if name in SOON else [pytest.mark.slow]) for name, case in CASES.items()],
)
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


def test_a_run_that_ends_while_it_is_waited_for_is_not_trained_again(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    with pytest.raises(RunFinishedError, match="there is nothing to resume"):
        execute(plan, catalogue, Watcher(), resumption=resumption)


def test_a_run_that_went_on_meanwhile_is_not_gone_on_with_as_it_was(tiny: Path) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    changed = {"training.learning_rate": 5e-4, "training.max_steps": 7}
    ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    journal = folder / "journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))  # killed at the last moment
    with pytest.raises(RunError, match="was resumed by another process meanwhile"):
        execute(plan, catalogue, Watcher(), resumption=resumption)


def test_without_a_checkpoint_a_run_begins_again_in_the_same_folder(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 1, "early")
    shutil.rmtree(folder / "checkpoints")
    ftrun.resume(folder)
    assert "there is no checkpoint: it begins at the beginning" in capsys.readouterr().out
    assert_same_end(folder, undisturbed)


def test_a_record_that_was_cut_short_is_removed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 4, "torn")
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "metrics", "step": 5, "val')
    ftrun.resume(folder, progress=False)
    assert_same_end(folder, undisturbed)


@pytest.mark.parametrize("target", ["name", "folder", "file", "id"])
def test_a_run_is_found_by(tiny: Path, target: str) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "tiny-died")
    shutil.rmtree(undisturbed.run_folder)
    (folder / "mlflow.json").write_text('{"run_id": "0123456789abcdef"}')
    called = {"name": folder.name, "folder": str(folder), "file": "tiny.toml", "id": "0123456789abcdef"}[target]
    if target == "file":
        with pytest.raises(ExperimentError, match="To go on with what was begun: ftrun resume tiny-died"):
            ftrun.resume(called, overrides={"seed": 2}, progress=False)
    settings = SAVING if target == "file" else {}
    assert ftrun.resume(called, overrides=settings, progress=False).run_folder == folder


def test_what_is_not_there_is_told(tiny: Path, ftrun_command: Ftrun) -> None:
    result = run(tiny, {"training.max_steps": 1})
    for target, sentence in {
        result.run[:-1] + "x": f"Did you mean {result.run}?",
        "tiny.toml": "there is nothing to resume of tiny.toml: every run of it here is finished",
        "elsewhere.toml": "elsewhere.toml",
    }.items():
        done = ftrun_command("resume", target)
        assert done.returncode == 2 and sentence in done.stderr and "Traceback" not in done.stderr
    done = ftrun_command("resume", result.run)
    assert done.returncode == 0 and "is finished; there is nothing to resume" in done.stderr


def test_changed_settings_are_refused_by_name_unless_they_are_allowed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed.run_folder, 6, "changed")
    changed = {"training.learning_rate": 5e-4, "training.save_total_limit": 2}
    with pytest.raises(ExperimentError, match=r"training\.learning_rate: the run was begun with 0\.001, and now it is"):
        ftrun.resume(folder, overrides=changed, progress=False)
    assert journal_of(folder)[-1]["status"] == "KILLED"
    result = ftrun.resume(folder, overrides=changed, allow_changes=True, progress=False)
    assert result.status == "FINISHED"
    rates = {step: value for (key, step), value in points_of(folder).items() if key == "train/learning_rate"}
    assert rates[6] == pytest.approx(1e-3 * 7 / 12) and rates[9] == pytest.approx(5e-4 * 4 / 12)
    (resumed,) = [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert "training.learning_rate" in resumed["tags"]["ftrun.changed.1"]
    assert "learning_rate = 0.0005" in (folder / resumed["experiment"]).read_text()
    assert "learning_rate = 0.001" in (folder / "experiment.toml").read_text()
    assert len(list((folder / "checkpoints").iterdir())) == 2


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


@pytest.mark.parametrize(
    ("tag", "value", "told"),
    [
        ("ftrun.version.torch", "1.0", "torch: the run was begun with 1.0"),
        ("ftrun.threads", "96", "threads: the run was begun with 96"),
        ("ftrun.processor", "Abacus", "processor: the run was begun with Abacus"),
    ],
)
def test_other_packages_threads_and_processors_are_refused(tiny: Path, tag: str, value: str, told: str) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "other")
    journal = folder / "journal.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    record = json.loads(first)
    record["tags"][tag] = value
    journal.write_text(json.dumps(record) + "\n" + "".join(rest))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error and told in result.error and "--allow-changes" in result.error
    assert journal_of(folder)[-1]["status"] == "KILLED"
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"


MACHINE = {
    "ftrun.device": "cpu",
    "ftrun.precision": "float32",
    "ftrun.processor": "Abacus",
    "ftrun.threads": "2",
    "ftrun.version.torch": "2.9",
    "ftrun.version.mlflow": "3.1",
    "ftrun.host": "here",
}


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"ftrun.device": "cuda:0"}, ["device: the run was begun with cpu, and now it is cuda:0"]),
        ({"ftrun.precision": "bfloat16"}, ["precision: the run was begun with float32, and now it is bfloat16"]),
        ({"ftrun.version.abacus": "1.0"}, ["abacus: the run was begun with nothing, and now it is 1.0"]),
        ({"ftrun.version.torch": None}, ["torch: the run was begun with 2.9, and now it is nothing"]),
        ({"ftrun.version.mlflow": "4.0", "ftrun.host": "there", "mlflow.user": "another"}, []),
    ],
)
def test_what_the_numbers_depend_on_is_compared_and_nothing_else(
    workdir: Path, now: Mapping[str, str | None], told: list[str]
) -> None:
    folder = RunFolder.create(workdir / "runs", "begun")
    folder.journal.write_text(json.dumps({"type": "run", "time": 1, "tags": MACHINE}) + "\n")
    tags = {key: value for key, value in {**MACHINE, **now}.items() if value is not None}
    resumption = Resumption(folder, read_history(folder), allow_changes=True)
    resumption.compare_environment(tags)
    assert [str(change) for change in resumption.changes] == told
    resumption = Resumption(folder, read_history(folder))
    if told:
        with pytest.raises(ExperimentError, match="--allow-changes"):
            resumption.compare_environment(tags)
    else:
        resumption.compare_environment(tags)


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
        resumption.look_again(plan)
        assert resumption.checkpoint and resumption.best_counts == counts


def test_other_data_are_refused(tiny: Path) -> None:
    rows = [{"text": "word " * (1 + i % 5), "label": i % 2} for i in range(30)]
    data = Path("rows.json")
    data.write_text("\n".join(map(json.dumps, rows)))
    files = {"dataset": {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}}
    undisturbed = run(tiny, {**files, "metrics": []})
    folder = died_after(undisturbed.run_folder, 3, "data")
    data.write_text("\n".join(map(json.dumps, rows[:-1])))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error
    assert "the data's split train for training: the run was begun with" in result.error
    data.write_text("\n".join(map(json.dumps, [*rows[:-1], {**rows[-1], "label": 0}])))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error
    assert result.error.count("30 rows, and now it is ") == 2 and result.error.count("30 rows") == 4
    data.write_text("\n".join(map(json.dumps, rows[:-1])))
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"
    records = [record for record in journal_of(folder) if record["type"] == "dataset"]
    assert [record["rows"] for record in records] == [30, 30, 29, 29]


def test_a_run_that_goes_on_is_not_gone_on_with(
    tiny: Path, begin_python: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = died_after(run(tiny, {}).run_folder, 6, "held")
    code = f"import pathlib, time, ftrun.runs.folder\nwith ftrun.runs.folder.RunFolder(pathlib.Path({str(folder)!r})).locked(): print('held', flush=True); time.sleep(60)"
    Path("holder.py").write_text(code)
    holder = begin_python("holder")
    assert holder.stdout and holder.stdout.readline() == "held\n"
    acquire = FileLock.acquire
    monkeypatch.setattr(FileLock, "acquire", lambda lock, timeout: acquire(lock, timeout=timeout / 20))
    with pytest.raises(RunError, match="is going on in another process"):
        ftrun.resume(folder, progress=False)


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


@pytest.mark.parametrize("name", [slow("SIGINT"), "SIGTERM"])
def test_a_signal_is_passed_on_to_a_program_that_runs_experiments(tiny: Path, name: str, begin_python: Begin) -> None:
    code = (
        "import ftrun, os, signal, threading\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a job in the background ignores it
        "def soon():\n"
        "    import glob, time\n"
        "    while not any('train/loss' in open(path).read() for path in glob.glob('runs/*/journal.jsonl')): time.sleep(0.01)\n"
        f"    os.kill(os.getpid(), signal.{name})\n"
        "threading.Thread(target=soon, daemon=True).start()\n"
        "try:\n"
        "    ftrun.run('tiny.toml', overrides={'training.num_train_epochs': 10000}, progress=False)\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
    )
    Path("program.py").write_text(code)
    process = begin_python("program")
    out, err = process.communicate(timeout=120)
    if name == "SIGINT":
        assert out == "interrupted\n", err
    else:
        assert process.returncode == -signal.SIGTERM
    (folder,) = tiny.parent.glob("runs/*")
    assert journal_of(folder)[-1]["status"] == "KILLED"
