"""A process beside the training feeds MLflow, and holds up, changes and loses nothing."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import ftrun
import psutil
import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from ftrun.tracking.state import delivery
from helpers import TRACKED, Begin, Ftrun, journal_of, points_in_mlflow, points_of, slow

pytestmark = pytest.mark.xdist_group("tracking")

TRACKED_COMMAND = ("tiny.toml", "--json", "--set", "tracking.enabled=true")


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_store_that_is_away_stops_nothing_and_gets_everything_later(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 6.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:hunter2@127.0.0.1:9")
    result = ftrun.run(tiny, overrides=TRACKED, progress=False)
    assert result.status == "FINISHED" and result.run_id is None
    folder = RunFolder(result.run_folder)
    assert delivery(folder).pending == len(journal_of(result.run_folder))
    texts = {file.name: file.read_text() for file in result.run_folder.glob("*.*")}
    assert {"log.txt", "mlflow.json", "journal.jsonl"} <= set(texts)
    assert not [name for name, text in texts.items() if "hunter2" in text]
    assert delivery(folder).uri == "http://127.0.0.1:9"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tiny.parent / 'mlflow.db'}")
    later = deliver(folder)
    assert (later.pending, later.error) == (0, None)
    found = ftrun.RunResult(**{**result.__dict__, "run_id": later.run_id})
    assert points_in_mlflow(found) == points_of(result.run_folder)


def test_what_fails_before_training_is_no_run_in_mlflow(tiny: Path) -> None:
    bad = {"dataset": {"use": "glue", "task": "mrpc"}}
    result = ftrun.run(tiny, overrides={**TRACKED, **bad}, progress=False)
    assert result.status == "FAILED" and result.run_id is None
    assert not Path("mlflow.db").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_is_never_imported_into_the_process_that_trains(tiny: Path, begin_python: Begin) -> None:
    code = (
        "import ftrun, sys; print(ftrun.run('tiny.toml', overrides={}, progress=False).run_id, 'mlflow' in sys.modules)"
    )
    Path("program.py").write_text(code.format(TRACKED))
    out, err = begin_python("program").communicate(timeout=120)
    assert len(out.split()[0]) == 32 and out.split()[1] == "False", err


def await_step(tiny: Path, step: int) -> Path:
    """The run folder, once it has that step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for journal in tiny.parent.glob("runs/*/journal.jsonl"):
            if ("train/loss", step) in points_of(journal.parent):
                return journal.parent
        time.sleep(0.01)
    raise AssertionError("the run did not begin")


def status_in_mlflow(tiny: Path, folder: Path) -> tuple[str, str]:
    import mlflow

    run_id = json.loads((folder / "mlflow.json").read_text())["run_id"]
    run = mlflow.MlflowClient(f"sqlite:///{tiny.parent / 'mlflow.db'}").get_run(run_id)
    return run.info.status, run.data.tags.get("ftrun.error", "")


def await_end(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (
        journal_of(folder)[-1]["type"] != "end" or delivery(RunFolder(folder)).pending
    ):
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("with_feeder", [slow(False), True])
def test_a_run_that_is_killed_outright_is_killed_in_mlflow_and_goes_on_there(
    tiny: Path, with_feeder: bool, begin_ftrun: Begin, ftrun_command: Ftrun
) -> None:
    saving = ("--set", "training.save_strategy=steps", "--set", "training.save_steps=5")
    process = begin_ftrun(*TRACKED_COMMAND, *saving, "--set", "training.num_train_epochs=20")
    folder = await_step(tiny, 11)
    feeders = psutil.Process(process.pid).children() if with_feeder else []
    for victim in (psutil.Process(process.pid), *feeders):
        victim.kill()
    process.communicate()
    if with_feeder:
        assert journal_of(folder)[-1]["type"] != "end"
        assert ftrun_command("sync").returncode == 0
    await_end(folder)
    status, error = status_in_mlflow(tiny, folder)
    assert status == "KILLED" and error.startswith("killed outright, after step ")
    result = ftrun.resume(folder, progress=False)
    assert result.status == "FINISHED"
    assert points_in_mlflow(result) == points_of(folder)
    assert status_in_mlflow(tiny, folder) == ("FINISHED", "")
    undisturbed = ftrun.run(
        tiny, overrides={"training.num_train_epochs": 20, "training.save_strategy": "steps"}, progress=False
    )
    assert points_of(undisturbed.run_folder) == points_of(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_second_ctrl_c_leaves_at_once(tiny: Path, begin_ftrun: Begin) -> None:
    longer = ("--set", "dataset.max_eval_samples=220", "--set", "training.num_train_epochs=10000")
    process = begin_ftrun(*TRACKED_COMMAND, *longer)
    folder = await_step(tiny, 3)
    process.send_signal(signal.SIGSTOP)  # both signals are there before the step can end
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=60)
    assert process.returncode in (130, 143), err
    result = json.loads(out)
    assert result["status"] == "KILLED" and result["error"] == "interrupted"
    assert not (folder / "checkpoints").exists()
    assert status_in_mlflow(tiny, folder) == ("KILLED", "interrupted")


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_run_that_failed_before_it_was_recorded_is_in_mlflow_once_it_goes_on(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, ftrun_command: Ftrun
) -> None:
    import ftrun_plugins.models.sequence_classification as models

    with monkeypatch.context() as patch:
        patch.setattr(models, "from_config", lambda *_: 1 / 0)
        failed = ftrun.run(tiny, overrides=TRACKED, progress=False)
    assert failed.status == "FAILED" and failed.run_id is None
    done = ftrun_command("sync", failed.run)
    assert done.returncode == 0 and "it ended before there was anything for MLflow" in done.stdout
    result = ftrun.resume(failed.run, progress=False)
    assert result.status == "FINISHED" and result.run_id
    assert points_in_mlflow(result) == points_of(result.run_folder)


@pytest.mark.slow
def test_a_signal_while_delivering_ends_the_command_and_not_the_run(tiny: Path, begin_ftrun: Begin) -> None:
    process = begin_ftrun("tiny.toml", *TRACKED_COMMAND, "--set", "tracking.uri=http://127.0.0.1:9")
    folder = await_step(tiny, 12)
    while journal_of(folder)[-1]["type"] != "end":
        time.sleep(0.02)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    (result,) = map(json.loads, out.splitlines())
    assert result["status"] == "FINISHED"
    assert "records are not in MLflow yet: ftrun sync" in err
    assert len(list(tiny.parent.glob("runs/*"))) == 1
