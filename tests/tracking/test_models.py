"""Whatever fails while a model is made in MLflow, it is there once, and READY, in the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import Point
from ftrun.runs.records import DatasetRecord
from ftrun.tracking import sender
from ftrun.tracking.models import evaluated_on
from ftrun.tracking.sender import deliver
from ftrun.tracking.stores import open_store
from helpers import journal_of

pytestmark = pytest.mark.xdist_group("tracking")

MODEL: dict[str, Any] = {
    "type": "model", "path": "model", "step": 2, "task": "classification", "texts": ["a", "b"], "max_length": 8,
    "architecture": "BertForSequenceClassification", "tokenizer": "BertTokenizer",
    "versions": {"python": "3.11.1", "torch": "2.13.0"}, "example": ["x", "y"],
}  # fmt: skip
DATA: dict[str, Any] = {
    "type": "dataset", "name": "mine/validation", "source": "here", "digest": "1" * 64, "split": "validation",
    "rows": 2, "columns": ["a", "b"], "context": "evaluation",
}  # fmt: skip
EVALUATED = {"type": "metrics", "step": 2, "values": {"eval/f1": 0.75}}
END = {"type": "end", "status": "FINISHED"}
FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


def tell(folder: RunFolder, *records: Mapping[str, Any]) -> None:
    with folder.journal.open("a") as journal:
        for record in records:
            journal.write(json.dumps({"time": (len(journal_of(folder.path)) + 1) * 1000, **record}) + "\n")
            journal.flush()


def finished(workdir: Path, *records: Mapping[str, Any]) -> RunFolder:
    """A run that has ended, whose model is on disk; MLflow has nothing of it."""
    folder = RunFolder.create(workdir / "runs", "late")
    run = {"type": "run", "experiment_name": "late", "params": {}, "tags": {"ftrun.run": folder.name}}
    folder.journal.touch()
    tell(folder, run, DATA, EVALUATED, *(records or (MODEL, END)))
    folder.model.mkdir()
    for name in (*FILES, "optimizer.pt"):
        (folder.model / name).write_text(name)
    return folder


class Failing:
    """MLflow's client, of which one call fails: it is not done, or done and answered as if it were not."""

    def __init__(self, client: Any, at: int, done: bool) -> None:
        self.client, self.left, self.done = client, at, done
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.client, name)
        return self.counted(name, found) if callable(found) else found

    def counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            self.left -= 1
            if self.left == 0 and not self.done:
                raise ConnectionError(f"{name} fails")
            answer = call(*arguments, **named)
            if self.left == 0:
                raise ConnectionError(f"{name} is answered as failed")
            return answer

        return counted


def client_of(store: Path) -> Any:
    import mlflow

    return mlflow.MlflowClient(f"sqlite:///{store}")


def models_of(store: Path, run_id: str | None) -> list[Any]:
    client = client_of(store)
    experiment = client.get_run(run_id).info.experiment_id
    return [model for model in client.search_logged_models([experiment]) if model.source_run_id == run_id]


def delivered(folder: RunFolder, store: Path) -> str | None:
    done = deliver(folder, f"sqlite:///{store}")
    assert (done.pending, done.error) == (0, None)
    return done.run_id


def assert_once_and_whole(store: Path, run_id: str | None) -> Any:
    client = client_of(store)
    (model,) = models_of(store, run_id)
    assert (str(model.status), model.name, model.tags["ftrun.step"]) == ("READY", "model", "2")
    (output,) = client.get_run(run_id).outputs.model_outputs
    assert (output.model_id, output.step) == (model.model_id, 2)
    paths = {file.path for file in client.list_logged_model_artifacts(model.model_id)}
    assert {*FILES, "MLmodel", "requirements.txt", "components"} <= paths and "optimizer.pt" not in paths
    (metric,) = model.metrics
    assert (metric.key, metric.value, metric.step, metric.timestamp) == ("eval/f1", 0.75, 2, 3000)
    assert (metric.dataset_name, metric.dataset_digest) == ("mine/validation", "1" * 36)
    (point,) = client.get_metric_history(run_id, "eval/f1")
    assert point.value == 0.75
    return model


def test_a_model_is_made_with_what_it_was_measured_on(workdir: Path, store: Path) -> None:
    folder = finished(workdir)
    run_id = delivered(folder, store)
    model = assert_once_and_whole(store, run_id)
    assert model.model_type == "classifier" and model.tags["ftrun.run"] == folder.name
    folder.tracking_state.unlink()
    assert delivered(folder, store) == run_id
    assert assert_once_and_whole(store, run_id).model_id == model.model_id


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_a_call_that_fails_leaves_one_model_in_the_end(
    workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Each call in turn, with another run for each."""
    at, names = 1, set()
    while True:
        folder = finished(workdir)
        clients: list[Failing] = []

        def failing(uri: str, working_folder: Path, at: int = at, clients: list[Failing] = clients) -> Any:
            clients.append(Failing(open_store(uri, working_folder), 0 if clients else at, done))
            return clients[-1]

        monkeypatch.setattr(sender, "open_store", failing)
        first = deliver(folder, f"sqlite:///{store}")
        if first.error is None:
            break
        names.add(clients[0].calls[-1])
        assert "ConnectionError" in first.error and first.pending
        assert_once_and_whole(store, delivered(folder, store))
        at += 1
    assert {"create_logged_model", "log_model_artifact", "log_outputs", "finalize_logged_model"} <= names


def test_a_model_that_broke_off_goes_on_with_the_files_that_are_missing(
    workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(workdir)
    sent: list[str] = []

    class Counting(Failing):
        def counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def counted(*arguments: Any, **named: Any) -> Any:
                if name == "log_model_artifact":
                    path = Path(arguments[1])
                    if path.name == "tokenizer.json" and sent.count("tokenizer.json") == 0:
                        sent.append("tokenizer.json")
                        raise ConnectionError("no room")
                    sent.append(path.name)
                return call(*arguments, **named)

            return counted

    monkeypatch.setattr(sender, "open_store", lambda uri, at: Counting(open_store(uri, at), 0, False))
    assert "no room" in str(deliver(folder, f"sqlite:///{store}").error)
    assert sent == ["config.json", "model.safetensors", "tokenizer.json"]
    assert_once_and_whole(store, delivered(folder, store))
    assert sent.count("model.safetensors") == 1 and sent.count("config.json") == 1


def test_a_model_that_is_told_twice_before_it_is_sent_is_sent_once(workdir: Path, store: Path) -> None:
    killed = {"type": "end", "status": "KILLED"}
    resumed = {"type": "resumed", "step": 1, "experiment": "experiment.toml", "tags": {}}
    folder = finished(workdir, MODEL, killed, resumed, MODEL, END)
    model = assert_once_and_whole(store, delivered(folder, store))
    assert model.tags["ftrun.recorded"] == "7000"


def test_a_model_that_was_made_too_late_is_deleted(workdir: Path, store: Path) -> None:
    folder = finished(workdir, MODEL)
    run_id = delivered(folder, store)
    client = client_of(store)
    experiment = client.get_run(run_id).info.experiment_id
    client.create_logged_model(experiment, "model", run_id, {"ftrun.recorded": "4000"})
    assert len(models_of(store, run_id)) == 2
    tell(folder, END)
    delivered(folder, store)
    assert_once_and_whole(store, run_id)


def test_a_model_that_is_made_anew_takes_the_place_of_the_former(workdir: Path, store: Path) -> None:
    folder = finished(workdir, MODEL, {"type": "end", "status": "KILLED"})
    (before,) = models_of(store, delivered(folder, store))
    files = Path(before.artifact_location)
    assert (files / "MLmodel").is_file()
    tell(folder, {"type": "resumed", "step": 1, "experiment": "experiment.toml", "tags": {}}, MODEL, END)
    (after,) = models_of(store, delivered(folder, store))
    assert after.model_id != before.model_id and str(after.status) == "READY"
    assert not files.exists()


def test_what_somebody_registered_stays(workdir: Path, store: Path) -> None:
    folder = finished(workdir, MODEL, {"type": "end", "status": "KILLED"})
    client = client_of(store)
    run_id = delivered(folder, store)
    (before,) = models_of(store, run_id)
    client.create_registered_model("kept")
    client.create_model_version("kept", f"models:/{before.model_id}", run_id)
    tell(folder, {"type": "resumed", "step": 1, "experiment": "experiment.toml", "tags": {}}, MODEL, END)
    delivered(folder, store)
    found = models_of(store, run_id)
    assert len(found) == 2 and before.model_id in {model.model_id for model in found}
    assert (Path(before.artifact_location) / "MLmodel").is_file()


def test_a_model_of_before_is_delivered_as_files(workdir: Path, store: Path) -> None:
    folder = finished(workdir, {"type": "artifact", "path": "model"}, END)
    run_id = delivered(folder, store)
    assert models_of(store, run_id) == []
    assert "model" in {file.path for file in client_of(store).list_artifacts(run_id)}


def test_a_point_belongs_to_the_split_that_its_key_names() -> None:
    hard, soft = (DatasetRecord(f"m/{name}", "", "1", name, 1, [], "evaluation") for name in ("hard", "soft"))
    train = DatasetRecord("m/train", "", "1", "train", 1, [], "training")
    one, two = Point("eval/f1", 1.0, 1), Point("eval/soft/f1", 1.0, 1)
    assert evaluated_on([one], [train, hard]) == {"eval/f1": hard}
    assert evaluated_on([two, one], [train, hard, soft]) == {"eval/soft/f1": soft}


def checkpoint(step: int, supersedes: bool = True) -> dict[str, Any]:
    name = f"checkpoint-{step}"
    return {**MODEL, "path": f"uploads/{name}", "step": step, "name": name, "supersedes": supersedes}


def kept(folder: RunFolder, *steps: int) -> None:
    """The checkpoints of these steps wait for MLflow."""
    for step in steps:
        aside = folder.uploads / f"checkpoint-{step}"
        aside.mkdir(parents=True)
        for name in FILES:
            (aside / name).write_text(name)


def names_of(store: Path, run_id: str | None) -> set[str]:
    found = models_of(store, run_id)
    assert {str(model.status) for model in found} <= {"READY"}
    return {model.name for model in found}


def test_a_checkpoint_takes_the_place_of_those_before(workdir: Path, store: Path) -> None:
    folder = finished(workdir, checkpoint(2))
    kept(folder, 2)
    run_id = delivered(folder, store)
    (first,) = models_of(store, run_id)
    assert first.name == "checkpoint-2" and not folder.uploads.exists()
    assert [(metric.key, metric.value) for metric in first.metrics] == [("eval/f1", 0.75)]
    kept(folder, 4, 6)
    tell(folder, checkpoint(4), checkpoint(6))
    delivered(folder, store)
    assert names_of(store, run_id) == {"checkpoint-6"} and not folder.uploads.exists()
    assert not Path(first.artifact_location).exists()


def test_all_checkpoints_stay_where_all_are_asked_for(workdir: Path, store: Path) -> None:
    folder = finished(workdir, *(checkpoint(step, False) for step in (1, 3, 5)), END)
    kept(folder, 1, 3, 5)
    run_id = delivered(folder, store)
    assert names_of(store, run_id) == {"checkpoint-1", "checkpoint-3", "checkpoint-5"}
    outputs = client_of(store).get_run(run_id).outputs.model_outputs
    assert sorted(output.step for output in outputs) == [1, 3, 5]
    folder.tracking_state.unlink()
    delivered(folder, store)
    assert len(models_of(store, run_id)) == 3


def test_the_models_of_a_step_are_one(workdir: Path, store: Path) -> None:
    late = finished(workdir, checkpoint(2), MODEL, END)
    kept(late, 2)
    assert names_of(store, delivered(late, store)) == {"model"}
    soon = finished(workdir, checkpoint(2))
    kept(soon, 2)
    assert names_of(store, delivered(soon, store)) == {"checkpoint-2"}
    tell(soon, MODEL, END)
    assert_once_and_whole(store, delivered(soon, store))


@pytest.mark.parametrize("model_first", [False, True])
def test_the_last_checkpoint_supersedes_though_its_weights_are_the_model_s(
    workdir: Path, store: Path, model_first: bool
) -> None:
    folder = finished(workdir, checkpoint(1))
    kept(folder, 1)
    run_id = delivered(folder, store)
    assert names_of(store, run_id) == {"checkpoint-1"}
    last = [MODEL, checkpoint(2)] if model_first else [checkpoint(2), MODEL]
    tell(folder, *last, END)
    assert_once_and_whole(store, delivered(folder, store))


def test_a_checkpoint_that_was_taken_away_before_it_was_uploaded_is_none(workdir: Path, store: Path) -> None:
    folder = finished(workdir, checkpoint(2), END)
    run_id = delivered(folder, store)
    assert models_of(store, run_id) == []


def test_a_checkpoint_that_somebody_registered_stays(workdir: Path, store: Path) -> None:
    folder = finished(workdir, checkpoint(2))
    kept(folder, 2, 4)
    run_id = delivered(folder, store)
    (first,) = models_of(store, run_id)
    client = client_of(store)
    client.create_registered_model("kept")
    client.create_model_version("kept", f"models:/{first.model_id}", run_id)
    tell(folder, checkpoint(4), {**MODEL, "step": 2}, END)
    delivered(folder, store)
    assert names_of(store, run_id) == {"checkpoint-2", "checkpoint-4", "model"}


@pytest.mark.slow
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_a_call_that_fails_leaves_each_checkpoint_once(
    workdir: Path, store: Path, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    for at in range(1, 100):
        folder = finished(workdir, checkpoint(2))
        kept(folder, 2)
        run_id = delivered(folder, store)
        kept(folder, 4)
        tell(folder, checkpoint(4), END)
        clients: list[Failing] = []

        def failing(uri: str, working_folder: Path, at: int = at, clients: list[Failing] = clients) -> Any:
            clients.append(Failing(open_store(uri, working_folder), 0 if clients else at, done))
            return clients[-1]

        with monkeypatch.context() as patch:
            patch.setattr(sender, "open_store", failing)
            first = deliver(folder, f"sqlite:///{store}")
        assert delivered(folder, store) == run_id
        assert names_of(store, run_id) == {"checkpoint-4"} and len(models_of(store, run_id)) == 1
        if first.error is None:
            return
    raise AssertionError("it never ends")
