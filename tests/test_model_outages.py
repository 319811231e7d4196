"""A server that is away, killed, full, slow or deaf while a model is made has it once in the end, READY and right."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from helpers import TINY, Ftrun
from logged_models import models_held
from servers import Proxy, Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("model outages")]

LOAD = """
import json, sys, mlflow
for line in sys.stdin:
    uri, model, texts = json.loads(line)
    mlflow.set_tracking_uri(uri)
    said = mlflow.pyfunc.load_model(model).predict([dict(zip(("text", "text_pair"), texts))])
    print("said", json.dumps(said.to_dict("records")[0]), flush=True)
"""
Loader = Callable[[str, str, Sequence[str]], Mapping[str, Any]]
MADE = "POST /api/2.0/mlflow/logged-models"
FINALIZED = "PATCH /api/2.0/mlflow/logged-models/"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), new_store)
    yield server
    server.stop()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.uri, delay=7.0)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def load() -> Iterator[Loader]:
    """What a model says of a row when MLflow loads it in another process."""
    command = [sys.executable, "-c", LOAD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        ask, answers = process.stdin, process.stdout

        def load(uri: str, model: str, texts: Sequence[str]) -> Mapping[str, Any]:
            ask.write(json.dumps([uri, model, texts]) + "\n")
            ask.flush()
            said = next(line for line in answers if line.startswith("said "))
            told: dict[str, Any] = json.loads(said.removeprefix("said "))
            return told

        yield load
        ask.close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended, of which MLflow has nothing."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 0.0)
        result = ftrun.run(folder / "tiny.toml", overrides={"tracking.enabled": True}, progress=False)
    assert result.status == "FINISHED", result.error
    return result.run_folder


@pytest.fixture
def run(finished: Path, workdir: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A copy of it, under a name of its own, which goes to the proxy."""
    folder = RunFolder(workdir / "runs" / f"tiny-{workdir.name}")
    shutil.copytree(finished, folder.path)
    folder.journal.write_text(folder.journal.read_text().replace(finished.name, folder.name))
    folder.tracking_state.unlink(missing_ok=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    return folder


@pytest.fixture
def fails(run: RunFolder) -> Callable[[], None]:
    """An attempt to deliver that comes to nothing."""

    def fails() -> None:
        done = deliver(run)
        assert done.error and done.pending

    return fails


@pytest.fixture
def arrives(run: RunFolder, server: Server, proxy: Proxy, ftrun_command: Ftrun, load: Loader) -> Callable[[], None]:
    """What a person does later, and what is there then."""

    def arrives() -> None:
        proxy.answer = lambda request: "forward"
        done = ftrun_command("sync", run.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert_once_and_right(run, server, load)

    return arrives


def assert_once_and_right(run: RunFolder, server: Server, load: Loader) -> None:
    import mlflow

    client = mlflow.MlflowClient(server.uri)
    found = client.search_experiments(filter_string="name = 'tiny'")
    (told,) = client.search_runs([found[0].experiment_id], f"tags.`ftrun.run` = '{run.name}'")
    held = models_held(client, told)
    assert list(held) == ["model"]
    (model,) = held.values()
    assert model.status == "READY" and model.links == [12]
    files = {path.name for path in run.model.iterdir()}
    assert files | {"MLmodel"} <= set(model.files)
    keys = [key for key, *_ in model.metrics]
    assert sorted(set(keys)) == sorted(keys) and "eval/f1" in keys
    table = json.loads(run.predictions("validation").read_text())
    row = dict(zip(table["columns"], table["data"][0], strict=True))
    said = load(server.uri, f"runs:/{told.info.run_id}/model", [row["sentence1"], row["sentence2"]])
    assert said["label"] == row["prediction"] and said["score"] == pytest.approx(row["probability"], abs=1e-5)


def only_once(what: str, how: str) -> Callable[[str], str]:
    """The first request of a kind goes wrong."""
    left = [how]

    def answer(request: str) -> str:
        return left.pop() if left and request.split("?")[0].startswith(what) and "search" not in request else "forward"

    return answer


def test_a_server_that_is_away_before_the_model_is_made(
    server: Server, proxy: Proxy, fails: Callable[[], None], arrives: Callable[[], None]
) -> None:
    def goes(request: str) -> str:
        if request == MADE:
            server.stop()
        return "forward"

    proxy.answer = goes
    fails()
    server.start()
    arrives()


def test_a_server_that_is_killed_while_it_gets_the_weights(
    server: Server, proxy: Proxy, fails: Callable[[], None], arrives: Callable[[], None]
) -> None:
    proxy.answer = lambda request: "half" if request.endswith(f"/{WEIGHTS}") else "forward"
    proxy.on_half = server.stop
    fails()
    server.start()
    arrives()


@pytest.mark.parametrize("taken", [0, 5])
def test_a_server_without_room_after_some_files(
    proxy: Proxy, fails: Callable[[], None], arrives: Callable[[], None], taken: int
) -> None:
    """What it has is not sent again."""
    files: list[str] = []

    def full(request: str) -> str:
        if not (request.startswith("PUT") and "/models/" in request):
            return "forward"
        files.append(request)
        return "full" if len(files) > taken else "forward"

    proxy.answer = full
    fails()
    fails()
    arrives()
    sent = [line for line in proxy.asked if line.startswith("forward PUT") and line.endswith(f"artifacts/{WEIGHTS}")]
    assert len(sent) == 1
    first = [line for line in proxy.asked if line == f"forward {files[0]}"]
    assert len(first) == 1


@pytest.mark.parametrize(("what", "how"), [(MADE, "deaf"), (MADE, "slow"), (FINALIZED, "fail"), (FINALIZED, "slow")])
def test_a_creation_or_an_end_whose_answer_is_lost(
    proxy: Proxy, fails: Callable[[], None], arrives: Callable[[], None], what: str, how: str
) -> None:
    proxy.answer = only_once(what, how)
    fails()
    arrives()


def test_a_creation_that_comes_too_late_leaves_no_twin(
    proxy: Proxy, run: RunFolder, fails: Callable[[], None], arrives: Callable[[], None]
) -> None:
    proxy.answer = only_once(MADE, "late")
    fails()
    proxy.answer = only_once(FINALIZED, "fail")
    fails()
    time.sleep(8)  # now there are two, and one of them is filled
    arrives()
