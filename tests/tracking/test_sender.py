"""MLflow holds everything about a run, once, with no server to start; read back from a real SQLite store."""

from __future__ import annotations

import json
from pathlib import Path

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
    assert run.info.run_name == tracked.run == run.data.tags["ftrun.run"]
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


def test_mlflow_has_the_data_sets(tracked: ftrun.RunResult) -> None:
    inputs = mlflow_client(tracked).get_run(tracked.run_id).inputs.dataset_inputs
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
    paths = {artifact.path for artifact in mlflow_client(tracked).list_artifacts(tracked.run_id)}
    assert paths == {"experiment.toml", "model", "predictions"}
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


@pytest.mark.usefixtures("store")
def test_a_failed_run_is_failed_in_mlflow_with_its_reason(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={**TRACKED, "training.learning_rate": 1e30}, progress=False)
    run = mlflow_client(result).get_run(result.run_id)
    assert run.info.status == "FAILED" and "step 2" in run.data.tags["ftrun.error"]


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
