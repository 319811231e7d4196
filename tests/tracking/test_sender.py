"""MLflow holds everything about a run, once, with no server to start; read back from a real SQLite store."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from ftrun.tracking.state import delivery
from helpers import TRACKED, Ftrun, journal_of, mlflow_client, points_in_mlflow, points_of

pytestmark = pytest.mark.xdist_group("tracking")


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


def test_mlflow_has_the_run_under_the_experiments_name(tracked: ftrun.RunResult) -> None:
    run = mlflow_client(tracked).get_run(tracked.run_id)
    experiment = mlflow_client(tracked).get_experiment_by_name("paraphrases")
    assert run.info.experiment_id == experiment.experiment_id
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert run.data.tags["ftrun.run"] == tracked.run
    assert run.info.run_name == run.data.tags["mlflow.runName"] == f"loop s1 {tracked.run[-6:]}"
    assert run.info.status == "FINISHED"
    assert tracked.tracking_uri == f"sqlite:///{tracked.run_folder.parent.parent / 'mlflow.db'}"


def test_mlflow_has_every_point_once_and_to_the_last_bit(tracked: ftrun.RunResult) -> None:
    assert points_in_mlflow(tracked) == points_of(tracked.run_folder)
    assert {key for key, _ in points_in_mlflow(tracked)} == {
        *("train/loss", "train/learning_rate", "train/grad_norm", "epoch", "eval/loss", "eval/accuracy", "eval/f1"),
    }


def test_mlflow_has_the_settings_as_flat_parameters(tracked: ftrun.RunResult) -> None:
    params = mlflow_client(tracked).get_run(tracked.run_id).data.params
    assert params["training.learning_rate"] == "0.001"
    assert params["dataset.use"] == "sample" and params["metrics.0.use"] == "glue"
    assert params["model.config.hidden_size"] == "16" and params["training.bf16"] == "false"


def test_mlflow_has_tags_for_all_that_the_numbers_depend_on(tracked: ftrun.RunResult) -> None:
    tags = mlflow_client(tracked).get_run(tracked.run_id).data.tags
    for name in ("host", "device", "threads", "seed", "backend", "precision", "version.torch", "version.transformers"):
        assert tags[f"ftrun.{name}"], name
    assert tags["mlflow.source.name"] == str(tracked.run_folder.parent.parent / "tiny.toml")


def test_mlflow_describes_the_run_with_its_result_and_the_command_that_repeats_it(tracked: ftrun.RunResult) -> None:
    told = mlflow_client(tracked).get_run(tracked.run_id).data.tags["mlflow.note.content"]
    assert told.startswith("Finished after 12 steps") and f"| eval/f1 | {tracked.metrics['eval/f1']:.4f} |" in told
    assert told.endswith(f"    ftrun {tracked.run_folder}/experiment.toml")


def test_mlflow_has_the_data_sets(tracked: ftrun.RunResult) -> None:
    inputs = mlflow_client(tracked).get_run(tracked.run_id).inputs.dataset_inputs
    found = {
        entry.dataset.name: (json.loads(entry.dataset.profile)["num_rows"], entry.tags[0].value) for entry in inputs
    }
    assert found == {"ftrun-sample/train": (44, "training"), "ftrun-sample/validation": (20, "evaluation")}
    assert all(len(entry.dataset.digest) == 36 for entry in inputs)


def test_mlflow_has_model_predictions_and_experiment(
    tracked: ftrun.RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    assert tracked.tracking_uri  # where MLflow looks for models, whatever store a call names
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracked.tracking_uri)
    model = mlflow.artifacts.download_artifacts(f"runs:/{tracked.run_id}/model", dst_path=str(tmp_path))
    assert AutoModelForSequenceClassification.from_pretrained(model).num_labels == 2
    assert AutoTokenizer.from_pretrained(model).pad_token == "[PAD]"
    paths = {artifact.path for artifact in mlflow_client(tracked).list_artifacts(tracked.run_id)}
    assert paths == {"experiment.toml", "predictions", "task.json"}
    tags = mlflow_client(tracked).get_run(tracked.run_id).data.tags
    assert json.loads(tags["mlflow.loggedArtifacts"]) == [{"path": "predictions/validation.json", "type": "table"}]


def test_delivering_everything_again_makes_no_doubles(
    tracked: ftrun.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run_folder.parent.parent)
    before = points_in_mlflow(tracked)
    folder = RunFolder(tracked.run_folder)
    folder.tracking_state.unlink()
    again = deliver(folder)
    assert (again.pending, again.error, again.run_id) == (0, None, tracked.run_id)
    assert points_in_mlflow(tracked) == before
    experiment = mlflow_client(tracked).get_experiment_by_name("paraphrases").experiment_id
    assert len(mlflow_client(tracked).search_runs([experiment])) == 1
    assert len(mlflow_client(tracked).get_run(tracked.run_id).inputs.dataset_inputs) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_a_failed_run_is_failed_in_mlflow_with_its_reason(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={**TRACKED, "training.learning_rate": 1e30}, progress=False)
    run = mlflow_client(result).get_run(result.run_id)
    assert run.info.status == "FAILED" and "step 2" in run.data.tags["ftrun.error"]


@pytest.mark.slow
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
    run = mlflow_client(result).get_run(result.run_id)
    assert run.info.status == "FAILED" and "this metric is broken" in run.data.tags["ftrun.error"]


@pytest.mark.slow
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
    state = json.loads(folder.tracking_state.read_text())
    folder.tracking_state.write_text(json.dumps({**state, "delivered": state["delivered"] + 1000}))
    assert delivery(folder).pending == len(journal_of(folder.path))
    before = points_in_mlflow(tracked)
    assert deliver(folder).pending == 0
    assert points_in_mlflow(tracked) == before


def test_a_second_run_of_the_same_name_is_deleted_in_mlflow(
    tracked: ftrun.RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tracked.run_folder.parent.parent)
    experiment = mlflow_client(tracked).get_run(tracked.run_id).info.experiment_id
    twin = mlflow_client(tracked).create_run(experiment, tags={"ftrun.run": tracked.run}).info.run_id
    state = json.loads((tracked.run_folder / "mlflow.json").read_text())
    (tracked.run_folder / "mlflow.json").write_text(json.dumps({**state, "delivered": 0}))
    assert deliver(RunFolder(tracked.run_folder)).pending == 0
    stages = [mlflow_client(tracked).get_run(run_id).info.lifecycle_stage for run_id in (tracked.run_id, twin)]
    assert stages == ["active", "deleted"]


@pytest.mark.slow
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
    tell(folder, {"type": "resumed", "step": 1, "experiment": "experiment.toml", "tags": {}}, point(2))
    run = run_in(store, folder)
    assert run.info.status == "RUNNING" and "ftrun.error" not in run.data.tags
    tell(folder, {"type": "end", "status": "FINISHED"})
    assert run_in(store, folder).info.status == "FINISHED"


def test_a_run_that_mlflow_has_is_renamed_only_where_it_goes_on_under_another_name(workdir: Path, store: Path) -> None:
    import mlflow

    folder = written(workdir, tags={"ftrun.run": "late", "mlflow.runName": "loop s1 abc"})
    run = run_in(store, folder)
    assert run.info.run_name == "loop s1 abc"
    mlflow.MlflowClient(f"sqlite:///{store}").update_run(run.info.run_id, name="my own")
    folder.tracking_state.write_text(json.dumps({**json.loads(folder.tracking_state.read_text()), "delivered": 0}))
    assert run_in(store, folder).info.run_name == "my own"
    resumed = {"type": "resumed", "step": 1, "experiment": "experiment.toml"}
    tell(folder, {**resumed, "tags": {"other": "1"}})
    assert run_in(store, folder).info.run_name == "my own"
    tell(folder, {**resumed, "tags": {"mlflow.runName": "another"}})
    run = run_in(store, folder)
    assert run.info.run_name == run.data.tags["mlflow.runName"] == "another"


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
    state = json.loads(folder.tracking_state.read_text())
    folder.tracking_state.write_text(json.dumps({**state, "delivered": state["delivered"] - 3}))
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
    folder.tracking_state.write_text(json.dumps({"uri": f"sqlite:///{store}", "working_folder": str(workdir)}))
    (workdir / "elsewhere").mkdir()
    with contextlib.chdir(workdir / "elsewhere"):
        run_in(store, folder)
    assert list(workdir.glob("mlruns/**/experiment.toml")) and not list(workdir.glob("elsewhere/*"))
