"""A run that died goes on to the very weights, metrics and history of one that was never disturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.checkpoints import damage_of
from ftrun.errors import ExperimentError, RunError
from ftrun.execution import execute
from ftrun.plugins import load_catalogue
from ftrun.progress import Watcher
from ftrun.resumption import RunFinishedError, plan_resumption
from helpers import BACKENDS, Ftrun, journal_of, points_of, weights_of

SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}


def run(path: Path, overrides: Mapping[str, Any]) -> ftrun.RunResult:
    result = ftrun.run(path, overrides={**SAVING, **overrides}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    return result


def died_after(result: ftrun.RunResult, step: int, name: str) -> Path:
    """The run folder as it would be had the process died right after the checkpoint of a step was published."""
    folder = result.run_folder.with_name(name)
    shutil.copytree(result.run_folder, folder)
    for leftover in ("model", "predictions", "mlflow.json"):
        path = folder / leftover
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for checkpoint in (folder / "checkpoints").iterdir():
        if int(checkpoint.name.removeprefix("checkpoint-")) > step:
            shutil.rmtree(checkpoint)
    kept = []
    for line in (folder / "journal.jsonl").read_text().splitlines(keepends=True):
        kept.append(line)
        record = json.loads(line)
        if record["type"] == "checkpoint" and record["step"] == step:
            break
    (folder / "journal.jsonl").write_text("".join(kept))
    return folder


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


@pytest.mark.parametrize(("settings", "steps"), CASES.values(), ids=CASES.keys())
def test_a_run_goes_on_to_the_same_end_on_every_backend(tiny: Path, settings: dict[str, Any], steps: list[int]) -> None:
    for index, began in enumerate(BACKENDS):
        undisturbed = run(tiny, {**settings, "backend.use": began})
        for step in steps:
            goes_on = BACKENDS[(index + step) % 3]
            folder = died_after(undisturbed, step, f"died-on-{began}-after-{step}")
            result = ftrun.resume(folder, backend=goes_on, progress=False)
            assert (result.status, result.backend) == ("FINISHED", goes_on), (folder / "log.txt").read_text()
            assert result.metrics == undisturbed.metrics and result.steps == undisturbed.steps
            assert_same_end(folder, undisturbed)


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_used(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed, 9, "damaged")
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
    folder = died_after(undisturbed, 17, "altered")
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
    folder = died_after(undisturbed, 8, "limited")
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
    folder = died_after(undisturbed, 1, "opening")
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines(keepends=True)[0])
    assert ftrun.resume(folder, progress=False).status == "FINISHED"
    assert sorted(record["split"] for record in journal_of(folder) if record["type"] == "dataset") == [
        "train",
        "validation",
    ]
    assert "experiment.toml" in [record["path"] for record in journal_of(folder) if record["type"] == "artifact"]


def test_a_run_that_ends_while_it_is_waited_for_is_not_trained_again(tiny: Path) -> None:
    folder = died_after(run(tiny, {}), 6, "meanwhile")
    catalogue = load_catalogue()
    plan, resumption = plan_resumption(folder.name, catalogue, {})
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "end", "time": 1, "status": "FINISHED"}\n')
    with pytest.raises(RunFinishedError, match="there is nothing to resume"):
        execute(plan, catalogue, Watcher(), resumption=resumption)


def test_without_a_checkpoint_a_run_begins_again_in_the_same_folder(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed, 1, "early")
    shutil.rmtree(folder / "checkpoints")
    ftrun.resume(folder)
    assert "there is no checkpoint: it begins at the beginning" in capsys.readouterr().out
    assert_same_end(folder, undisturbed)


def test_a_record_that_was_cut_short_is_removed(tiny: Path) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed, 4, "torn")
    with (folder / "journal.jsonl").open("a") as journal:
        journal.write('{"type": "metrics", "step": 5, "val')
    ftrun.resume(folder, progress=False)
    assert_same_end(folder, undisturbed)


@pytest.mark.parametrize("target", ["name", "folder", "file", "id"])
def test_a_run_is_found_by(tiny: Path, target: str) -> None:
    undisturbed = run(tiny, {})
    folder = died_after(undisturbed, 6, "tiny-died")
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
    folder = died_after(undisturbed, 6, "changed")
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
    folder = died_after(undisturbed, 6, "harmless")
    harmless = {"training.save_strategy": "no", "training.dataloader_num_workers": 1}
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
    folder = died_after(run(tiny, {}), 6, "other")
    journal = folder / "journal.jsonl"
    first, *rest = journal.read_text().splitlines(keepends=True)
    record = json.loads(first)
    record["tags"][tag] = value
    journal.write_text(json.dumps(record) + "\n" + "".join(rest))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error and told in result.error and "--allow-changes" in result.error
    assert journal_of(folder)[-1]["status"] == "KILLED"
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"


def test_other_data_are_refused(tiny: Path) -> None:
    rows = [{"text": "word " * (1 + i % 5), "label": i % 2} for i in range(30)]
    data = Path("rows.json")
    data.write_text("\n".join(map(json.dumps, rows)))
    files = {"dataset": {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}}
    undisturbed = run(tiny, {**files, "metrics": []})
    folder = died_after(undisturbed, 3, "data")
    data.write_text("\n".join(map(json.dumps, rows[:-1])))
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FAILED" and result.error
    assert "the data's split train: the run was begun with" in result.error
    assert ftrun.resume(folder, allow_changes=True, progress=False).status == "FINISHED"
    records = [record for record in journal_of(folder) if record["type"] == "dataset"]
    assert [record["rows"] for record in records] == [30, 30, 29, 29]


def test_a_run_that_goes_on_is_not_gone_on_with(tiny: Path) -> None:
    folder = died_after(run(tiny, {}), 6, "held")
    code = f"from ftrun.journal import RunFolder; from pathlib import Path; import time\nwith RunFolder(Path({str(folder)!r})).locked(): print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="is going on in another process"):
            ftrun.resume(folder, progress=False)
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_kill_9_the_next_command_says_so_and_resume_goes_on(
    tiny: Path, backend: str, ftrun_command: Ftrun
) -> None:
    longer = {"training.num_train_epochs": 10}
    undisturbed = run(tiny, {**longer, "backend.use": backend})
    settings = [f"--set={key}={value}" for key, value in {**SAVING, **longer}.items()]
    tiny.with_name("killed.toml").write_text('extends = "tiny.toml"\nname = "killed"\n')
    process = subprocess.Popen(
        [sys.executable, "-m", "ftrun", "killed.toml", "--backend", backend, *settings],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tiny.parent.glob("runs/killed-*/checkpoints/checkpoint-1*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder,) = tiny.parent.glob("runs/killed-*")
    (tiny.parent / "other.toml").write_text('extends = "tiny.toml"\nname = "other"\ntraining = { max_steps = 1 }\n')
    done = ftrun_command("other.toml")
    assert f"{folder.name} was killed; to go on with it: ftrun resume {folder.name}" in done.stderr
    assert journal_of(folder)[-1]["status"] == "KILLED"
    done = ftrun_command("resume", "killed.toml", "--json", *settings)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"] == undisturbed.metrics
    assert_same_end(folder, undisturbed)


def test_an_interrupted_run_names_the_command_that_goes_on(tiny: Path, ftrun_command: Ftrun) -> None:
    undisturbed = run(tiny, {"training.num_train_epochs": 30, "training.save_strategy": "epoch"})
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "ftrun",
            "tiny.toml",
            "--set",
            "training.num_train_epochs=30",
            "--set",
            "training.save_strategy=epoch",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        journals = [path for path in tiny.parent.glob("runs/*/journal.jsonl") if path.parent != undisturbed.run_folder]
        if journals and '"train/loss"' in journals[0].read_text():
            break
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    (command,) = [line for line in out.splitlines() if line.startswith("next")]
    assert "ftrun resume runs/" in command
    done = ftrun_command(*command.split()[2:], env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert_same_end(journals[0].parent, undisturbed)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_is_passed_on_to_a_program_that_runs_experiments(tiny: Path, name: str) -> None:
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    if name == "SIGINT":
        assert done.stdout == "interrupted\n", done.stderr
    else:
        assert done.returncode == -signal.SIGTERM
    (folder,) = tiny.parent.glob("runs/*")
    assert journal_of(folder)[-1]["status"] == "KILLED"
