"""An MLflow that is stopped, hung, refusing, failing or locked holds nothing up, and gets all of it exactly once."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from ftrun.tracking.state import delivery
from helpers import SHARED, Begin, Ftrun, curves, journal_of, points_of, slow
from servers import Proxy, Server

pytestmark = pytest.mark.xdist_group("outages")

LONG = {"training.num_train_epochs": 40, "training.eval_strategy": "steps", "training.eval_steps": 60}

MRPC = f"""
use = "files"
train = "{SHARED}/hub/datasets/nyu-mll/glue/mrpc/train-00000-of-00001.parquet"
validation = "{SHARED}/hub/datasets/nyu-mll/glue/mrpc/validation-00000-of-00001.parquet"
text_columns = ["sentence1", "sentence2"]
"""


@pytest.fixture(params=["sample", pytest.param("mrpc", marks=pytest.mark.by_hand)])
def experiment(request: pytest.FixtureRequest, tiny: Path) -> Path:
    """The tiny experiment, on the sample or on MRPC."""
    if request.param == "mrpc":
        if not SHARED:
            pytest.skip("FTRUN_TEST_SHARED names no folder with MRPC")
        text = tiny.read_text().replace('use = "sample"', MRPC).replace('use = "glue"', 'use = "accuracy"')
        tiny.write_text(text)
    return tiny


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), new_store)
    yield server
    server.stop()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.uri, delay=30.0)
    yield proxy
    proxy.stop()


@contextlib.contextmanager
def when(came: Callable[[], Any], act: Callable[[], Any]) -> Iterator[None]:
    """Do something, in a thread, once something has come."""
    over = threading.Event()

    def watch() -> None:
        while not over.is_set() and not came():
            time.sleep(0.02)
        if not over.is_set():
            act()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def state() -> dict[str, Any]:
    """What the feeder remembers of the one run here."""
    (path,) = list(Path("runs").glob("*/mlflow.json")) or [None]
    return json.loads(path.read_text()) if path else {}


def steps() -> int:
    (folder,) = list(Path("runs").glob("*")) or [None]
    return (
        max((step for _, step in points_of(folder)), default=0) if folder and (folder / "journal.jsonl").exists() else 0
    )


def tracked() -> dict[str, Any]:
    """An experiment of its own for each test: they share a server."""
    return {"tracking.enabled": True, "tracking.experiment_name": Path.cwd().name}


def run(tiny: Path, uri: str, monkeypatch: pytest.MonkeyPatch, patience: float = 4.0) -> ftrun.RunResult:
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", patience)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    result = ftrun.run(tiny, overrides={**tracked(), **LONG}, progress=False)
    assert result.status == "FINISHED", result.error
    assert max(step for _, step in points_of(result.run_folder)) == 240
    return result


def assert_delivered_once(result: ftrun.RunResult, store: str) -> None:
    import mlflow

    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name(Path.cwd().name)
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["ftrun.run"]) == ("FINISHED", result.run)
    metrics = run.data.metrics
    history = [point for key in curves(metrics) for point in client.get_metric_history(run.info.run_id, key)]
    points = {(point.key, point.step): point.value for point in history}
    assert len(points) == len(history)
    assert points == points_of(result.run_folder)
    assert len(run.inputs.dataset_inputs) == 2
    assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} == {
        "experiment.toml",
        "task.json",
        "predictions",
    }
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert (model.name, str(model.status)) == ("model", "READY")
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def delivered_later(result: ftrun.RunResult) -> None:
    folder = RunFolder(result.run_folder)
    assert delivery(folder).pending > 0
    after = deliver(folder)
    assert (after.pending, after.error) == (0, None)


@pytest.mark.slow
def test_a_server_gets_everything(experiment: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(experiment, server.uri, monkeypatch, patience=60)
    assert result.tracking_uri == server.uri and result.run_id
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
def test_a_server_that_is_stopped_gets_the_rest_when_it_is_back(
    experiment: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with when(lambda: state().get("run_id") and steps() > 30, server.stop):
        result = run(experiment, server.uri, monkeypatch)
    server.start()
    delivered_later(result)
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the run is there", "while it is told of steps"])
def test_a_server_that_hangs_gets_the_rest_when_it_answers_again(
    experiment: Path, server: Server, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    came = (lambda: state().get("run_id")) if "told" in moment else (lambda: Path("runs").exists())
    with when(came, lambda: server.signal(signal.SIGSTOP)):
        result = run(experiment, server.uri, monkeypatch)
    assert delivery(RunFolder(result.run_folder)).pending > 0
    server.signal(signal.SIGCONT)
    time.sleep(2)  # what it had in its queue is done now
    delivered_later(result)
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
def test_a_server_that_fails_for_a_while_gets_everything(
    experiment: Path, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy.answer = lambda path: "fail" if len(proxy.asked) > 40 or 5 < len(proxy.asked) < 9 else "forward"
    result = run(experiment, proxy.uri, monkeypatch)
    proxy.answer = lambda path: "forward"
    if delivery(RunFolder(result.run_folder)).pending:
        delivered_later(result)
    assert [line for line in proxy.asked if line.startswith("fail")]
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
def test_what_a_server_did_and_answered_as_failed_is_not_there_twice(
    experiment: Path, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf: set[str] = set()

    def once_deaf(path: str) -> str:
        """The first call of every kind is done, and answered as if it had not been."""
        kind = path.split("?")[0]
        if kind in deaf:
            return "forward"
        deaf.add(kind)
        return "deaf"

    proxy.answer = once_deaf
    result = run(experiment, proxy.uri, monkeypatch, patience=1.0)
    for _ in range(60):  # every file of the model fails once
        if not deliver(RunFolder(result.run_folder)).pending:
            break
    assert any("runs/create" in line for line in proxy.asked if line.startswith("deaf"))
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
def test_a_run_that_was_created_too_late_is_no_second_one(
    experiment: Path, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter(["late"])

    def answer(path: str) -> str:
        if "log-batch" in path:  # the second creation is done
            proxy.caught_up.set()
        return next(late, "forward") if "runs/create" in path else "forward"

    proxy.answer = answer
    result = run(experiment, proxy.uri, monkeypatch, patience=60)
    created = [line for line in proxy.asked if "runs/create" in line]
    assert [line.split()[0] for line in created] == ["late", "forward"]
    assert_delivered_once(result, server.uri)


@pytest.mark.slow
def test_a_store_that_somebody_else_has_locked_gets_everything(
    experiment: Path, store: Path, monkeypatch: pytest.MonkeyPatch, ftrun_command: Ftrun
) -> None:
    uri = f"sqlite:///{store}?timeout=1"
    locks: list[sqlite3.Connection] = []

    def lock() -> None:
        connection = sqlite3.connect(store, timeout=10, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
        locks.append(connection)

    with when(lambda: state().get("run_id"), lock):
        result = run(experiment, uri, monkeypatch)
    assert locks and delivery(RunFolder(result.run_folder)).pending > 0
    done = ftrun_command("sync", env={"MLFLOW_TRACKING_URI": uri})
    assert done.returncode == 1 and "records are still pending" in done.stderr and "locked" in done.stderr
    locks[0].rollback()
    locks[0].close()
    done = ftrun_command("sync", env={"MLFLOW_TRACKING_URI": uri})
    assert done.returncode == 0 and f"{result.run}: all of it is in MLflow" in done.stdout
    assert_delivered_once(result, uri)
    assert ftrun_command("sync").stdout == ""


@pytest.mark.slow
def test_a_slow_artifact_store_is_told_of(
    experiment: Path, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(path: str) -> str:
        if "mlflow-artifacts" in path and "model" in path:
            time.sleep(3)
        return "forward"

    proxy.answer = slow
    monkeypatch.setattr("ftrun.screen.watchers.LINE_SECONDS", 1.0)
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 6.0)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    result = ftrun.run(experiment, overrides=tracked())
    told = capsys.readouterr().out
    assert "delivering to MLflow: " in told and "now model" in told
    assert f"records are not in MLflow yet: ftrun sync runs/{result.run}" in told


@pytest.mark.slow
@pytest.mark.parametrize("where", ["a new SQLite store", slow("a server")])
def test_two_runs_at_once_do_not_disturb_each_other(
    experiment: Path, where: str, request: pytest.FixtureRequest, begin_ftrun: Begin
) -> None:
    import mlflow

    store = f"sqlite:///{experiment.parent / 'mlflow.db'}"
    if where == "a server":
        store = request.getfixturevalue("server").uri
    settings = [f"--set={key}={json.dumps(value)}" for key, value in tracked().items()]
    both = [
        begin_ftrun("tiny.toml", "--json", *settings, f"--set=seed={seed}", env={"MLFLOW_TRACKING_URI": store})
        for seed in (1, 2)
    ]
    results = []
    for process in both:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        results.append(json.loads(out))
    client = mlflow.MlflowClient(store)
    for result in results:
        folder = Path(result["run_folder"])
        found = client.get_run(result["run_id"])
        assert (found.info.status, found.data.tags["ftrun.run"]) == ("FINISHED", result["run"])
        history = [
            (point.key, point.step, point.value)
            for key in curves(found.data.metrics)
            for point in client.get_metric_history(result["run_id"], key)
        ]
        assert sorted(history) == sorted((key, step, value) for (key, step), value in points_of(folder).items())
        assert not [record for record in journal_of(folder) if record["type"] == "differing"]
        assert json.loads((folder / "mlflow.json").read_text())["error"] is None
    assert points_of(Path(results[0]["run_folder"])) != points_of(Path(results[1]["run_folder"]))
