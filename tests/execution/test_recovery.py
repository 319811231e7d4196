"""A run whose folder, or whose model, is gone is had from MLflow; what is not there either says so."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import ftrun
import pytest
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.errors import ExperimentError, RunError
from ftrun.execution.recovery import find_or_fetch
from ftrun.execution.watcher import Watcher
from ftrun.runs.folder import RunFolder
from ftrun.tracking.fetching import is_fetched
from helpers import TRACKED, run
from servers import Server

SHORT = {"training.max_steps": 2, "training.save_strategy": "steps", "training.save_steps": 1}
PAIRS = [("one", "two"), ("three", "four")]


def test_a_run_that_has_no_model_says_what_it_has(tiny: Path) -> None:
    folder = run(tiny, SHORT).run_folder
    shutil.rmtree(folder / "model")
    with pytest.raises(ExperimentError, match=r"model is gone, and MLflow has not got the run.*\n.*checkpoint-2"):
        find_or_fetch(folder.name, Path("runs"), Watcher())
    journal = (folder / "journal.jsonl").read_text()
    (folder / "journal.jsonl").write_text(journal.replace('"status": "FINISHED"', '"status": "KILLED"'))
    with pytest.raises(ExperimentError, match=r"has no model: it has not come.*\n.*ftrun resume .*checkpoint-2"):
        find_or_fetch(folder.name, Path("runs"), Watcher())
    with RunFolder(folder).locked(), pytest.raises(ExperimentError, match=r"is still going on\n.*Wait for it; or name"):
        find_or_fetch(folder.name, Path("runs"), Watcher())


@pytest.mark.slow
def test_without_its_folder_a_run_says_the_same(tiny: Path, store: Path) -> None:
    result = run(tiny, {**TRACKED, "training.max_steps": 4})
    before = ftrun.predict(result.run_folder, "validation", device="cpu", progress=False)
    shutil.rmtree(result.run_folder / "model")
    assert ftrun.predict(result.run, PAIRS, progress=False).run == result.run, "its model alone is gone"
    shutil.rmtree("runs")
    for name in (result.run_id, f"runs:/{result.run_id}/model"):
        assert ftrun.predict(str(name), "validation", device="cpu", progress=False) == before
    numbers = ftrun.evaluate(str(result.run_id), "validation", device="cpu", progress=False)
    assert numbers == {key.removeprefix("eval/"): value for key, value in result.metrics.items()}
    done = CliRunner().invoke(group, ["evaluate", str(result.run_id), "--data", "validation"])
    assert "it is on no record: the run's own folder is not here" in done.stderr, done.output


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"), new_store)
    yield server
    server.stop()


@pytest.mark.slow
@pytest.mark.xdist_group("outages")
def test_a_server_gives_it_too_and_one_that_is_gone_is_told(
    tiny: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    result = run(tiny, {**TRACKED, "training.max_steps": 4})
    before = ftrun.predict(result.run_folder, PAIRS, device="cpu", progress=False)
    shutil.rmtree("runs")
    assert ftrun.predict(str(result.run_id), PAIRS, device="cpu", progress=False) == before
    folder = find_or_fetch(str(result.run_id), Path("runs"), Watcher())
    assert is_fetched(folder) and folder.name == result.run
    server.stop()
    with pytest.raises(RunError, match=f"MLflow at {server.uri} is out of reach"):
        ftrun.predict(str(result.run_id), PAIRS, progress=False)
