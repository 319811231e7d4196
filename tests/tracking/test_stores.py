"""A new store is whole or not there."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import ftrun
import pytest
from ftrun.planning.experiment import absolute_store
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from ftrun.tracking.stores import artifacts_of, client_environment, is_made, open_store
from helpers import TRACKED, points_in_mlflow, points_of, slow

pytestmark = pytest.mark.xdist_group("tracking")


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, slow(0.4), slow(0.8)])
def test_a_store_is_whole_though_the_process_that_made_it_was_killed(
    tiny: Path, delay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 0.0)
    result = ftrun.run(tiny, overrides={**TRACKED, "tracking.uri": "http://127.0.0.1:9"}, progress=False)
    folder = RunFolder(result.run_folder)
    folder.tracking_state.unlink(missing_ok=True)
    store = tiny.parent / "mlflow.db"
    code = f"import sys; from pathlib import Path; from ftrun.runs.folder import RunFolder; from ftrun.tracking.sender import deliver; deliver(RunFolder(Path({str(folder.path)!r})), 'sqlite:///{store}')"
    maker = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while maker.poll() is None and not sizes(tiny.parent.rglob("mlflow.db")):
        time.sleep(0.005)
    time.sleep(delay)
    maker.kill()
    maker.wait()
    assert delay > 0.1 or not store.exists()
    after = deliver(folder, f"sqlite:///{store}")
    assert (after.pending, after.error) == (0, None)
    assert points_in_mlflow(ftrun.RunResult(**{**result.__dict__, "run_id": after.run_id})) == points_of(folder.path)


def sizes(paths: Iterable[Path]) -> list[int]:
    """The sizes of files that hold something."""
    found = []
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return [size for size in found if size]


def test_a_store_is_opened_beforehand_only_if_that_makes_nothing(workdir: Path) -> None:
    assert is_made("https://mlflow.example")
    assert not is_made("sqlite:///new.db") and not is_made("sqlite:///:memory:") and not is_made("databricks")
    Path("new.db").touch()
    assert not is_made("sqlite:///new.db")
    Path("new.db").write_text("tables")
    assert is_made("sqlite:///new.db")


def test_the_user_has_the_last_word_on_retries_and_none_on_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    environment = client_environment()
    assert environment["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "3" and environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "20"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == environment["DO_NOT_TRACK"] == "true"


@pytest.mark.parametrize("name", ["my wörk", slow("a b"), "50%20 #1?"])
def test_a_folder_by_any_name_holds_its_store_and_artifacts_and_nothing_stands_beside_it(
    workdir: Path, name: str
) -> None:
    folder = workdir / name
    folder.mkdir()
    uri = absolute_store(f"sqlite:///{quote(name)}/mlflow.db")
    client = open_store(uri, folder)
    assert [found.name for found in client.search_experiments()] == ["Default"]
    run = client.create_run(client.create_experiment("mine", artifacts_of("mine", uri, folder)))
    client.log_text(run.info.run_id, "all", "some.txt")
    assert [found.path for found in client.list_artifacts(run.info.run_id)] == ["some.txt"]
    assert (folder / "mlflow.db").stat().st_size and [path.name for path in workdir.iterdir()] == [name]
    assert [path.read_text() for path in folder.glob("mlruns/**/some.txt")] == ["all"]
