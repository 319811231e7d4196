"""A run as MLflow has it is laid out as it was; what cannot be had is a sentence with what to do."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError, RunError
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import glance_at
from ftrun.runs.history import read_history
from ftrun.tracking import fetcher
from ftrun.tracking.fetcher import Fetcher, main, problem_of
from tracking.test_models import END, FILES, MODEL, client_of, delivered, finished

pytestmark = pytest.mark.xdist_group("tracking")
EXPERIMENT = {"type": "artifact", "path": "experiment.toml"}
TASK = {"type": "artifact", "path": "task.json"}
ALL = (EXPERIMENT, TASK, MODEL, {"type": "tags", "tags": {"ftrun.model_step": "2"}}, END)


@pytest.fixture(autouse=True)
def cache(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(workdir / "hf"))
    return workdir / "hf" / "ftrun-models"


def written(workdir: Path, *records: Any, experiment: str = 'name = "late"\n') -> RunFolder:
    folder = finished(workdir, *(records or ALL))
    folder.experiment.write_text(experiment)
    folder.task.write_text('{"kind": "classification"}')
    return folder


def fetch(target: str | None, store: Path, cache: Path, said: list[Any] | None = None) -> RunFolder:
    told = [] if said is None else said
    return Fetcher(f"sqlite:///{store}", cache, lambda **facts: told.append(facts)).fetch(str(target))


def test_a_run_is_laid_out_as_it_was(workdir: Path, store: Path, cache: Path) -> None:
    own = written(workdir)
    run_id = delivered(own, store)
    said: list[Any] = []
    folder = fetch(run_id, store, cache, said)
    assert folder.name == own.name and folder.path.is_relative_to(cache)
    assert {file.name: file.read_text() for file in folder.model.iterdir()} == {name: name for name in FILES}
    assert said[0]["bytes"] == sum(map(len, FILES)) and said[0]["run"] == own.name
    for file in ("experiment", "task"):
        assert getattr(folder, file).read_text() == getattr(own, file).read_text()
    history = read_history(folder)
    assert history.status == "FINISHED" and history.tags["ftrun.run"] == own.name
    (dataset,) = history.datasets
    assert (dataset.digest, dataset.rows, dataset.split, dataset.columns) == ("1" * 64, 2, "validation", ["a", "b"])
    assert (glance_at(folder).model_step, glance_at(folder).metrics) == (2, {"eval/f1": 0.75})

    (folder.model / "config.json").write_text("taken once")
    for name in (f"runs:/{run_id}/model", f"models:/{folder.path.parent.name}"):
        assert fetch(name, store, cache) == folder
    assert (folder.model / "config.json").read_text() == "taken once"


@pytest.mark.slow
def test_a_registered_model_is_the_runs(workdir: Path, store: Path, cache: Path) -> None:
    own = written(workdir)
    delivered(own, store)
    client = client_of(store)
    client.create_registered_model("mine")
    (model,) = client.search_logged_models(["1"])
    client.create_model_version("mine", f"models:/{model.model_id}", model_id=model.model_id)
    client.set_registered_model_alias("mine", "best", "1")
    assert fetch("models:/mine/1", store, cache).name == fetch("models:/mine@best", store, cache).name == own.name
    with pytest.raises(ExperimentError, match="has no models:/mine/7"):
        fetch("models:/mine/7", store, cache)
    client.create_model_version("mine", str(workdir))
    with pytest.raises(
        ExperimentError, match=r"models:/mine/2 is of \S+, and not a model that ftrun has put into MLflow"
    ):
        fetch("models:/mine/2", store, cache)


def test_a_model_that_mlflow_cannot_serve_is_taken_from_the_runs_files(workdir: Path, store: Path, cache: Path) -> None:
    own = written(workdir, EXPERIMENT, {"type": "artifact", "path": "model"}, END)
    folder = fetch(delivered(own, store), store, cache)
    assert {file.name for file in folder.model.iterdir()} == {*FILES, "optimizer.pt"} and not folder.task.exists()


def test_the_experiment_is_the_one_that_it_was_last_gone_on_with(workdir: Path, store: Path, cache: Path) -> None:
    resumed = [f"experiment-resumed-{number}.toml" for number in (2, 10)]
    own = written(workdir, EXPERIMENT, *({"type": "artifact", "path": name} for name in resumed), MODEL, END)
    for name in resumed:
        (own.path / name).write_text(name)
    assert fetch(delivered(own, store), store, cache).experiment.read_text() == resumed[1]


def not_ftruns(own: RunFolder, store: Path) -> str:
    return str(client_of(store).create_run("0").info.run_id)


def deleted(own: RunFolder, store: Path) -> str | None:
    run_id = delivered(own, store)
    client_of(store).delete_run(run_id)
    return run_id


def not_ready(own: RunFolder, store: Path) -> str | None:
    run_id = delivered(own, store)
    client = client_of(store)
    (model,) = client.search_logged_models(["1"])
    client.delete_logged_model(model.model_id)
    client.create_logged_model("1", "model", run_id)
    return run_id


CASES: dict[str, tuple[Callable[[RunFolder, Path], str | None], str]] = {
    "no such run": (lambda own, store: "0" * 32, r"there is no run 0{32} here, and MLflow at sqlite:\S+ has none"),
    "another's": (not_ftruns, "is not one of ftrun's: no tag ftrun.run names it"),
    "deleted": (deleted, r"is deleted in MLflow(.|\n)*mlflow runs restore --run-id"),
    "not whole": (not_ready, r"has not got all of the model of the run late\S+ yet: it is PENDING(.|\n)*ftrun sync"),
    "no model of the name": (lambda own, store: f"runs:/{delivered(own, store)}/checkpoint-1", 'has no "checkpoint-1"'),
    "no name": (lambda own, store: "runs:/", "names no model of a run"),
    "none of the registry's": (lambda own, store: "models:/a/b/c", "names no model of MLflow"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_had_is_told_with_what_to_do(workdir: Path, store: Path, cache: Path, case: str) -> None:
    make, told = CASES[case]
    target = make(written(workdir), store)
    with pytest.raises(ExperimentError, match=told):
        fetch(target, store, cache)
    assert not list(cache.glob("*/*"))


def test_a_model_that_was_not_uploaded_says_where_it_is(workdir: Path, store: Path, cache: Path) -> None:
    own = written(workdir, EXPERIMENT, END, experiment='name = "late"\n[tracking]\nmodel = false\n')
    with pytest.raises(ExperimentError, match=r"\[tracking\] model = false keeps it(.|\n)*Name the run's folder"):
        fetch(delivered(own, store), store, cache)
    going = written(workdir, EXPERIMENT)
    with pytest.raises(ExperimentError, match=r'has no "model" of the run late\S+: the run goes on'):
        fetch(delivered(going, store), store, cache)
    nothing = written(workdir, MODEL, END)
    with pytest.raises(ExperimentError, match=r"has no experiment.toml(.|\n)*ftrun sync"):
        fetch(delivered(nothing, store), store, cache)


def test_a_store_that_is_not_there_is_not_made(workdir: Path, cache: Path) -> None:
    with pytest.raises(ExperimentError, match=r"no MLflow at sqlite:\S+none.db(.|\n)*MLFLOW_TRACKING_URI"):
        fetch("0" * 32, workdir / "none.db", cache)
    assert not (workdir / "none.db").exists()


def test_a_download_that_breaks_off_leaves_no_model(
    workdir: Path, store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = delivered(written(workdir), store)
    monkeypatch.setattr(fetcher.Source, "files", lambda self: {"config.json": 999})
    with pytest.raises(RunError, match=r"config\.json came with 11 bytes of 999"):
        fetch(run_id, store, cache)
    monkeypatch.undo()
    monkeypatch.setenv("HF_HOME", str(workdir / "hf"))
    assert len(list(fetch(run_id, store, cache).model.iterdir())) == len(FILES)


@pytest.mark.slow
def test_so_many_are_kept(workdir: Path, store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "RUNS_KEPT", 2)
    runs = [delivered(written(workdir), store) for _ in range(3)]
    kept = [fetch(run_id, store, cache) for run_id in runs]
    assert [folder.model.is_dir() for folder in kept] == [False, True, True]


def test_what_went_wrong_is_a_sentence_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    from requests.exceptions import ConnectionError as Unreachable

    away = Unreachable("long story")
    away.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert problem_of(away, "http://here")["problem"] == "MLflow at http://here is out of reach: Connection refused"
    full = problem_of(OSError(28, "No space left on device", "/full"), "http://here")
    assert full == {"problem": "what MLflow has cannot be written here: No space left on device: /full"}
    assert problem_of(ValueError("http://me:secret@there"), "x")["problem"].endswith("http://***@there")


def test_what_came_of_it_is_the_last_line(
    workdir: Path, store: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}")
    run_id = str(delivered(written(workdir), store))
    for target, key in ((run_id, "whole"), ("1" * 32, "problem")):
        out = io.BytesIO()
        main(target, str(cache), out)
        assert key in json.loads(out.getvalue().splitlines()[-1])
