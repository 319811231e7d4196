"""A disk that is full, a folder that is gone: the run ends with a sentence, and what was written before stays whole."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import ftrun
import pytest
from ftrun.runs.checkpoints import newest_whole
from helpers import BACKENDS, Ftrun, died_after, journal_of, slow

AS_A_USER = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"] if os.geteuid() == 0 else []
"""Root may write everywhere, unless this is taken from it."""
SAVING = {"training.save_strategy": "steps", "training.save_steps": 2}


def limited(tiny: Path, backend: str, size: int) -> subprocess.CompletedProcess[str]:
    """The command, in a process whose files cannot grow beyond `size` bytes: to a program, as a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    settings = [f"--set={key}={value}" for key, value in SAVING.items()]
    return subprocess.run(
        [sys.executable, "-m", "ftrun", str(tiny), "--backend", backend, *settings],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.slow
@pytest.mark.parametrize("file", ["model.safetensors", slow("optimizer.pt")])
def test_a_disk_that_is_full_ends_the_run_with_a_sentence(tiny: Path, ftrun_command: Ftrun, file: str) -> None:
    probe = ftrun.run(tiny, overrides=SAVING, progress=False)
    size = (probe.run_folder / "checkpoints" / "checkpoint-2" / file).stat().st_size
    shutil.rmtree(probe.run_folder)
    done = limited(tiny, "loop", size - 100)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "checkpoint-2 cannot be written: " in done.stdout and "there is none before it" in done.stdout
    (folder,) = Path("runs").iterdir()
    assert list((folder / "checkpoints").iterdir()) == []
    assert journal_of(folder)[-1]["status"] == "FAILED"
    done = ftrun_command("resume", folder.name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_checkpoint_before_a_failing_one_stays_whole(
    tiny: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    save = torch.save
    calls = []

    def full_disk(*arguments: object, **named: object) -> None:
        calls.append(1)
        if len(calls) > 5:  # three files a checkpoint
            raise RuntimeError(
                "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0: PytorchStreamWriter"
            )
        save(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        result = ftrun.run(tiny, overrides={**SAVING, "backend.use": backend}, progress=False)
    assert result.status == "FAILED" and result.error
    assert "checkpoint-4 cannot be written" in result.error and "checkpoint-2 is whole" in result.error
    checkpoint, skipped = newest_whole(result.run_folder / "checkpoints")
    assert checkpoint and checkpoint.step == 2 and skipped == []
    assert ftrun.resume(result.run, progress=False).status == "FINISHED"


def test_a_checkpoint_that_fails_as_a_run_is_stopped_is_not_said_to_be_there(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftrun.execution.reporter import RunReporter

    def full_disk(file: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RunReporter, "stop_requested", property(lambda reporter: reporter.steps >= 3))
    monkeypatch.setattr("ftrun.runs.checkpoints._sealed", full_disk)
    result = ftrun.run(tiny, progress=False)
    assert result.status == "FAILED" and result.error
    assert "checkpoint-3 cannot be written: No space left on device; there is none before it" in result.error


@pytest.mark.slow
@pytest.mark.parametrize("tracked", [False, True])
def test_a_run_folder_that_is_removed_is_told_and_not_made_anew(tiny: Path, tracked: bool) -> None:
    def remove() -> None:
        while (
            not (journals := list(Path("runs").glob("*/journal.jsonl")))
            or '"train/loss"' not in journals[0].read_text()
        ):
            time.sleep(0.01)
        shutil.move("runs", "elsewhere")

    thread = threading.Thread(target=remove)
    thread.start()
    settings = {"training.num_train_epochs": 500, "training.save_strategy": "steps", "training.save_steps": 20}
    settings["tracking.enabled"] = tracked
    result = ftrun.run(tiny, overrides=settings, progress=False)
    thread.join()
    assert result.status == "FAILED" and result.error and "is gone" in result.error
    assert not Path("runs").exists()
    (folder,) = Path("elsewhere").iterdir()
    assert journal_of(folder)[-1]["status"] == "FAILED"


def test_a_disk_that_is_full_from_the_beginning_is_told(tiny: Path) -> None:
    done = limited(tiny, "loop", 300)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "cannot be written: File too large" in done.stderr


@pytest.mark.slow
def test_a_journal_that_cannot_be_written_ends_the_run_with_a_sentence(tiny: Path) -> None:
    code = """
import glob, resource, threading, time
def fill():
    while not any('train/loss' in open(path).read() for path in glob.glob('runs/*/journal.jsonl')): time.sleep(0.01)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))
threading.Thread(target=fill, daemon=True).start()
from ftrun.cli import main
main()
"""
    long = ["--set=training.num_train_epochs=5000", "--set=training.eval_strategy=no"]
    done = subprocess.run([sys.executable, "-c", code, "tiny.toml", *long], capture_output=True, text=True, timeout=200)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert "journal.jsonl cannot be written: File too large" in done.stdout
    (folder,) = Path("runs").iterdir()
    for line in (folder / "journal.jsonl").read_text().splitlines()[:-1]:
        json.loads(line)


def test_a_folder_that_cannot_be_made_is_told_before_the_work(tiny: Path, ftrun_command: Ftrun) -> None:
    Path("runs").write_text("a file\n")
    done = ftrun_command(tiny)
    assert done.returncode == 1 and "cannot be made" in done.stderr and "Traceback" not in done.stderr
    assert Path("runs").read_text() == "a file\n"


@pytest.mark.slow
@pytest.mark.parametrize("what", [slow("the folder of all runs"), slow("the run's folder"), "its checkpoints"])
def test_a_folder_without_permission_is_told_and_nothing_in_it_lost(tiny: Path, what: str) -> None:
    begun = died_after(ftrun.run(tiny, overrides=SAVING, progress=False).run_folder, 4, "begun")
    closed = {"the folder of all runs": begun.parent, "the run's folder": begun}.get(what, begun / "checkpoints")
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file() and path.name[0] != "."}
    closed.chmod(0o555)
    arguments = ["tiny.toml"] if "all" in what else ["resume", begun.name]
    settings = [f"--set={key}={value}" for key, value in SAVING.items()]
    done = subprocess.run(
        [*AS_A_USER, sys.executable, "-m", "ftrun", *arguments, *settings], capture_output=True, text=True
    )
    closed.chmod(0o755)
    told = done.stdout + done.stderr
    assert done.returncode == 1 and "Permission denied" in told and "Traceback" not in told, told
    assert str(closed) in told
    kept = {path: path.read_bytes()[: len(text)] for path, text in before.items()}  # the journal may have grown
    assert kept == before
