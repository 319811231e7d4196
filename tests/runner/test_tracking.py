"""MLflow holds everything about a run, once, with no server to start; read back from a real SQLite store."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ftrun
import psutil
import pytest
from ftrun.feeder import delivery, missing_credentials, target_uri
from ftrun.journal import RunFolder
from ftrun.tracking import deliver
from helpers import Begin, Ftrun, journal_of, points_of, slow

pytestmark = pytest.mark.xdist_group("tracking")

TRACKED = {"tracking.enabled": True, "tracking.experiment_name": "paraphrases"}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> ftrun.RunResult:
    """A run that MLflow was told of, in a folder of its own."""
    from helpers import TINY

    folder = tmp_path_factory.mktemp("tracked")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = ftrun.run("tiny.toml", overrides=TRACKED, progress=False)
    assert result.status == "FINISHED", result.error
    return result


def client(result: ftrun.RunResult) -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{result.run_folder.parent.parent / 'mlflow.db'}")


def stored(result: ftrun.RunResult) -> dict[tuple[str, int], float]:
    """All points that MLflow has, each of which it must have once."""
    metrics = client(result).get_run(result.run_id).data.metrics
    history = [point for key in metrics for point in client(result).get_metric_history(result.run_id, key)]
    points = {(point.key, point.step): point.value for point in history}
    assert len(points) == len(history)
    return points


def test_mlflow_has_the_run_under_the_experiments_name(tracked: ftrun.RunResult) -> None:
    run = client(tracked).get_run(tracked.run_id)
    experiment = client(tracked).get_experiment_by_name("paraphrases")
    assert run.info.experiment_id == experiment.experiment_id
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert run.info.run_name == tracked.run == run.data.tags["ftrun.run"]
    assert run.info.status == "FINISHED"
    assert tracked.tracking_uri == f"sqlite:///{tracked.run_folder.parent.parent / 'mlflow.db'}"


def test_mlflow_has_every_point_once_and_to_the_last_bit(tracked: ftrun.RunResult) -> None:
    assert stored(tracked) == points_of(tracked.run_folder)
    assert {key for key, _ in stored(tracked)} == {
        *("train/loss", "train/learning_rate", "train/grad_norm", "epoch", "eval/loss", "eval/accuracy", "eval/f1"),
    }


def test_mlflow_has_the_settings_as_flat_parameters(tracked: ftrun.RunResult) -> None:
    params = client(tracked).get_run(tracked.run_id).data.params
    assert params["training.learning_rate"] == "0.001"
    assert params["dataset.use"] == "sample" and params["metrics.0.use"] == "glue"
    assert params["model.config.hidden_size"] == "16" and params["training.bf16"] == "false"


def test_mlflow_has_tags_for_all_that_the_numbers_depend_on(tracked: ftrun.RunResult) -> None:
    tags = client(tracked).get_run(tracked.run_id).data.tags
    for name in ("host", "device", "threads", "seed", "backend", "precision", "version.torch", "version.transformers"):
        assert tags[f"ftrun.{name}"], name
    assert tags["mlflow.source.name"] == str(tracked.run_folder.parent.parent / "tiny.toml")


def test_mlflow_has_the_data_sets(tracked: ftrun.RunResult) -> None:
    inputs = client(tracked).get_run(tracked.run_id).inputs.dataset_inputs
    found = {
        entry.dataset.name: (json.loads(entry.dataset.profile)["num_rows"], entry.tags[0].value) for entry in inputs
    }
    assert found == {"ftrun-sample/train": (44, "training"), "ftrun-sample/validation": (20, "evaluation")}
    assert all(len(entry.dataset.digest) == 36 for entry in inputs)


def test_mlflow_has_model_predictions_and_experiment(tracked: ftrun.RunResult, tmp_path: Path) -> None:
    import mlflow.artifacts
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    uri = tracked.tracking_uri
    model = mlflow.artifacts.download_artifacts(
        run_id=tracked.run_id, artifact_path="model", dst_path=str(tmp_path), tracking_uri=uri
    )
    assert AutoModelForSequenceClassification.from_pretrained(model).num_labels == 2
    assert AutoTokenizer.from_pretrained(model).pad_token == "[PAD]"
    paths = {artifact.path for artifact in client(tracked).list_artifacts(tracked.run_id)}
    assert paths == {"experiment.toml", "model", "predictions"}
    tags = client(tracked).get_run(tracked.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "predictions/validation.json", "type": "table"}]


def test_delivering_everything_again_makes_no_doubles(
    tracked: ftrun.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run_folder.parent.parent)
    before = stored(tracked)
    folder = RunFolder(tracked.run_folder)
    folder.delivery.unlink()
    again = deliver(folder)
    assert (again.pending, again.error, again.run_id) == (0, None, tracked.run_id)
    assert stored(tracked) == before
    experiment = client(tracked).get_experiment_by_name("paraphrases").experiment_id
    assert len(client(tracked).search_runs([experiment])) == 1
    assert len(client(tracked).get_run(tracked.run_id).inputs.dataset_inputs) == 2


@pytest.mark.usefixtures("store")
def test_a_store_that_is_away_stops_nothing_and_gets_everything_later(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftrun.execution.DELIVERY_PATIENCE", 6.0)
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
    assert stored(found) == points_of(result.run_folder)


@pytest.mark.usefixtures("store")
def test_a_failed_run_is_failed_in_mlflow_with_its_reason(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={**TRACKED, "training.learning_rate": 1e30}, progress=False)
    run = client(result).get_run(result.run_id)
    assert run.info.status == "FAILED" and "step 2" in run.data.tags["ftrun.error"]


def test_what_fails_before_training_is_no_run_in_mlflow(tiny: Path) -> None:
    bad = {"dataset": {"use": "glue", "task": "mrpc"}}
    result = ftrun.run(tiny, overrides={**TRACKED, **bad}, progress=False)
    assert result.status == "FAILED" and result.run_id is None
    assert not Path("mlflow.db").exists()


@pytest.mark.usefixtures("store")
def test_mlflow_is_never_imported_into_the_process_that_trains(tiny: Path, begin_python: Begin) -> None:
    code = (
        "import ftrun, sys; print(ftrun.run('tiny.toml', overrides={}, progress=False).run_id, 'mlflow' in sys.modules)"
    )
    Path("program.py").write_text(code.format(TRACKED))
    out, err = begin_python("program").communicate(timeout=120)
    assert len(out.split()[0]) == 32 and out.split()[1] == "False", err


TRACKED_COMMAND = ("tiny.toml", "--json", "--set", "tracking.enabled=true")


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


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("with_feeder", [False, True])
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
    assert stored(result) == points_of(folder)
    assert status_in_mlflow(tiny, folder) == ("FINISHED", "")
    undisturbed = ftrun.run(
        tiny, overrides={"training.num_train_epochs": 20, "training.save_strategy": "steps"}, progress=False
    )
    assert points_of(undisturbed.run_folder) == points_of(folder)


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


@pytest.mark.usefixtures("store")
def test_an_exception_in_a_part_is_failed_in_mlflow_with_its_reason(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ftrun_plugins.metrics.scores as scores

    def broken(*_: object, **__: object) -> None:
        raise ValueError("this metric is broken")

    monkeypatch.setattr(scores, "_computed", broken)
    result = ftrun.run(tiny, overrides=TRACKED, progress=False)
    assert result.status == "FAILED" and result.error and "this metric is broken" in result.error
    run = client(result).get_run(result.run_id)
    assert run.info.status == "FAILED" and "this metric is broken" in run.data.tags["ftrun.error"]


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
    assert stored(result) == points_of(result.run_folder)


def test_sync_delivers_where_the_file_says(tiny: Path, ftrun_command: Ftrun) -> None:
    other = tiny.parent / "a folder that is not there" / "other.db"
    result = ftrun.run(tiny, overrides={**TRACKED, "tracking.uri": f"sqlite:///{other}"}, progress=False)
    assert result.run_id
    other.unlink()
    (result.run_folder / "mlflow.json").unlink()  # as if it had been killed before the first connection
    done = ftrun_command("sync", env={"MLFLOW_TRACKING_URI": f"sqlite:///{tiny.parent / 'mlflow.db'}"})
    assert done.returncode == 0, done.stderr
    assert other.exists() and not (tiny.parent / "mlflow.db").exists()
    assert json.loads((result.run_folder / "mlflow.json").read_text())["uri"] == f"sqlite:///{other}"


def test_the_journal_is_sent_again_if_it_has_become_shorter(
    tracked: ftrun.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run_folder.parent.parent)
    folder = RunFolder(tracked.run_folder)
    state = json.loads(folder.delivery.read_text())
    folder.delivery.write_text(json.dumps({**state, "delivered": state["delivered"] + 1000}))
    assert delivery(folder).pending == len(journal_of(folder.path))
    before = stored(tracked)
    assert deliver(folder).pending == 0
    assert stored(tracked) == before


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


@pytest.mark.parametrize("delay", [0.1, slow(0.4), slow(0.8)])
def test_a_store_is_whole_though_the_process_that_made_it_was_killed(
    tiny: Path, delay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftrun.execution.DELIVERY_PATIENCE", 0.0)
    result = ftrun.run(tiny, overrides={**TRACKED, "tracking.uri": "http://127.0.0.1:9"}, progress=False)
    folder = RunFolder(result.run_folder)
    folder.delivery.unlink(missing_ok=True)
    store = tiny.parent / "mlflow.db"
    code = f"import sys; from pathlib import Path; from ftrun.journal import RunFolder; from ftrun.tracking import deliver; deliver(RunFolder(Path({str(folder.path)!r})), 'sqlite:///{store}')"
    maker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while maker.poll() is None and not sizes(tiny.parent.rglob("mlflow.db")):
        time.sleep(0.005)
    time.sleep(delay)
    maker.kill()
    maker.wait()
    assert delay > 0.1 or not store.exists()
    after = deliver(folder, f"sqlite:///{store}")
    assert (after.pending, after.error) == (0, None)
    assert stored(ftrun.RunResult(**{**result.__dict__, "run_id": after.run_id})) == points_of(folder.path)


def sizes(paths: Iterable[Path]) -> list[int]:
    """The sizes of files that hold something."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return [size for size in found if size]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"delivered": "all"}', "\0\0", '{"uri": 5}', '{"delivered": 1e30}', "[" * 99999]
)
def test_what_is_remembered_of_a_delivery_and_cannot_be_read_counts_as_nothing(workdir: Path, content: str) -> None:
    folder = RunFolder.create(workdir / "runs", "torn")
    folder.journal.write_text('{"type": "run", "time": 1}\n')
    folder.delivery.write_text(content)
    assert delivery(folder).pending == 1 and delivery(folder).run_id is None


def test_runs_are_synced_beside_one_whose_delivery_cannot_be_read(tiny: Path, ftrun_command: Ftrun) -> None:
    torn = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    sound = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    for result in (torn, sound):
        (result.run_folder / "mlflow.json").write_bytes(b"\xff{" if result is torn else b"{}")
    done = ftrun_command("sync")
    assert done.returncode == 0, done.stderr
    for result in (torn, sound):
        assert f"{result.run}: all of it is in MLflow, as {result.run_id}" in done.stdout


def test_a_second_run_of_the_same_name_is_deleted_in_mlflow(
    tracked: ftrun.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run_folder.parent.parent)
    experiment = client(tracked).get_run(tracked.run_id).info.experiment_id
    twin = client(tracked).create_run(experiment, tags={"ftrun.run": tracked.run}).info.run_id
    state = json.loads((tracked.run_folder / "mlflow.json").read_text())
    (tracked.run_folder / "mlflow.json").write_text(json.dumps({**state, "delivered": 0}))
    assert deliver(RunFolder(tracked.run_folder)).pending == 0
    stages = [client(tracked).get_run(run_id).info.lifecycle_stage for run_id in (tracked.run_id, twin)]
    assert stages == ["active", "deleted"]


def test_a_run_whose_experiment_cannot_be_read_goes_nowhere_and_the_others_are_synced(
    tiny: Path, ftrun_command: Ftrun
) -> None:
    torn = ftrun.run(tiny, overrides={"training.max_steps": 1}, progress=False)
    sound = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    (torn.run_folder / "experiment.toml").write_text("[[[")
    (sound.run_folder / "mlflow.json").unlink()
    done = ftrun_command("sync")
    assert done.returncode == 1 and f"{torn.run} cannot be delivered" in done.stderr
    assert f"{sound.run}: all of it is in MLflow" in done.stdout
    assert not (torn.run_folder / "mlflow.json").exists()


def written(workdir: Path, *records: Mapping[str, Any], **run: Any) -> RunFolder:
    """The folder of a run of which these records are told after that of its beginning, a second after another."""
    folder = RunFolder.create(workdir / "runs", "late")
    begun = {"type": "run", "experiment_name": "late", "params": {}, "tags": {"ftrun.run": folder.name}, **run}
    tell(folder, begun, *records)
    return folder


def tell(folder: RunFolder, *records: Mapping[str, Any]) -> None:
    with folder.journal.open("a") as journal:
        for record in records:
            journal.write(json.dumps({"time": (len(journal_of(folder.path)) + 1) * 1000, **record}) + "\n")
            journal.flush()


def run_in(store: Path, folder: RunFolder) -> Any:
    """The run in MLflow, once all of it is delivered."""
    import mlflow

    done = deliver(folder, f"sqlite:///{store}")
    assert (done.pending, done.error) == (0, None)
    return mlflow.MlflowClient(f"sqlite:///{store}").get_run(done.run_id)


def point(step: int) -> dict[str, Any]:
    return {"type": "metrics", "step": step, "values": {"train/loss": 1 / step}}


def test_a_run_that_is_delivered_late_began_and_ended_when_it_did(workdir: Path, store: Path) -> None:
    run = run_in(store, written(workdir, point(1), {"type": "end", "status": "FINISHED"}))
    assert (run.info.start_time, run.info.end_time) == (1000, 3000)


def test_a_run_that_goes_on_is_running_in_mlflow_until_it_ends_again(workdir: Path, store: Path) -> None:
    error = {"type": "tags", "tags": {"ftrun.error": "interrupted"}}
    folder = written(workdir, point(1), error, {"type": "end", "status": "KILLED"})
    assert run_in(store, folder).info.status == "KILLED"
    tell(folder, {"type": "resumed", "tags": {}}, point(2))
    run = run_in(store, folder)
    assert run.info.status == "RUNNING" and "ftrun.error" not in run.data.tags
    tell(folder, {"type": "end", "status": "FINISHED"})
    assert run_in(store, folder).info.status == "FINISHED"


def test_many_and_long_settings_are_delivered_too(workdir: Path, store: Path) -> None:
    params = {f"dataset.option_{number}": str(number) for number in range(250)}
    run = run_in(store, written(workdir, params={**params, "dataset.text": "x" * 7000}))
    assert run.data.params == {**params, "dataset.text": "x" * 6000}


def test_what_mlflow_is_told_is_on_disk_in_the_journal_before(
    workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    folder = written(workdir)
    run_in(store, folder)
    told: list[str] = []
    fsync, log_batch = os.fsync, mlflow.MlflowClient.log_batch

    def synced(descriptor: int) -> None:
        told.append("journal" if os.path.samestat(os.fstat(descriptor), folder.journal.stat()) else "other")
        fsync(descriptor)

    def logged(*arguments: Any, **named: Any) -> None:
        told.append("MLflow")
        log_batch(*arguments, **named)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(mlflow.MlflowClient, "log_batch", logged)
    for step in (1, 2):
        told.clear()
        tell(folder, point(step))
        run_in(store, folder)
        assert told[:2] == ["journal", "MLflow"]


@pytest.mark.parametrize(("asked", "waits"), [(None, "600"), ("5", "5")])
def test_a_file_may_take_longer_than_numbers_unless_a_time_is_set(
    workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, waits: str
) -> None:
    import mlflow

    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    if asked:
        monkeypatch.setenv(name, asked)
    folder = written(workdir, {"type": "artifact", "path": "experiment.toml"})
    folder.experiment.write_text("seed = 1")
    seen: list[tuple[str | None, str | None]] = []
    monkeypatch.setattr(
        mlflow.MlflowClient,
        "log_artifact",
        lambda *_: seen.append((os.environ.get(name), delivery(folder).doing)),
    )
    run_in(store, folder)
    assert seen == [(waits, "experiment.toml")]
    assert os.environ[name] == (asked or "20") and delivery(folder).doing is None


def test_the_journal_is_sent_again_if_what_was_sent_is_no_whole_records(workdir: Path, store: Path) -> None:
    folder = written(workdir, point(1), point(2))
    run_in(store, folder)
    state = json.loads(folder.delivery.read_text())
    folder.delivery.write_text(json.dumps({**state, "delivered": state["delivered"] - 3}))
    assert delivery(folder).pending == 3
    run_in(store, folder)


def test_a_run_stays_in_the_store_where_it_is(workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(workdir, point(1))
    run = run_in(store, folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workdir / 'other.db'}")
    tell(folder, {"type": "end", "status": "FINISHED"})
    assert deliver(folder).pending == 0 and not (workdir / "other.db").exists()
    assert run_in(store, folder).info.run_id == run.info.run_id
    assert run_in(store, folder).info.status == "FINISHED"


def test_artifacts_go_below_the_folder_that_the_run_was_begun_in(workdir: Path, store: Path) -> None:
    folder = written(workdir, {"type": "artifact", "path": "experiment.toml"})
    folder.experiment.write_text("seed = 1")
    folder.delivery.write_text(json.dumps({"uri": f"sqlite:///{store}", "working_folder": str(workdir)}))
    (workdir / "elsewhere").mkdir()
    with contextlib.chdir(workdir / "elsewhere"):
        run_in(store, folder)
    assert list(workdir.glob("mlruns/**/experiment.toml")) and not list(workdir.glob("elsewhere/*"))


def test_credentials_are_asked_for_unless_the_environment_has_them(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(workdir)
    known = {"uri": "http://***@127.0.0.1:9"}
    folder.delivery.write_text(json.dumps(known))
    for around in ("", "http://***@127.0.0.1:9"):  # the latter is copied from what is shown
        monkeypatch.setenv("MLFLOW_TRACKING_URI", around)
        told = deliver(folder).error or ""
        assert told.startswith("what *** stands for in http://***@127.0.0.1:9 is not on record")
        assert "http://127.0.0.1:9 with MLFLOW_TRACKING_USERNAME" in told and told == missing_credentials(folder, None)
    whole = "http://me:hunter2@127.0.0.1:9"
    assert target_uri(known, None, whole) == whole
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "me")
            assert target_uri(known, None, "") == "http://127.0.0.1:9" and missing_credentials(folder, None) is None
