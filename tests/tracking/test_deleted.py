"""What is deleted in MLflow is said at once, with what to do, and goes on when that is done."""

from __future__ import annotations

import time
from pathlib import Path

import ftrun
import mlflow
import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from helpers import TRACKED, mlflow_client, points_in_mlflow, points_of

pytestmark = pytest.mark.xdist_group("tracking")


@pytest.mark.slow
def test_a_run_into_a_deleted_experiment_says_so_and_is_delivered_once_it_is_restored(
    tiny: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    experiment_id = client.create_experiment("paraphrases")
    client.delete_experiment(experiment_id)
    began = time.monotonic()
    result = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 2})
    assert result.status == "FINISHED" and result.run_id is None and time.monotonic() - began < 50
    told = " ".join("".join(capsys.readouterr()).split())
    way = f"mlflow experiments restore --experiment-id {experiment_id}"
    assert told.count(f'MLflow\'s experiment "paraphrases" is deleted; restore it with "{way}"') == 1, told
    client.restore_experiment(experiment_id)
    done = deliver(RunFolder(result.run_folder))
    assert (done.pending, done.error) == (0, None)
    found = ftrun.RunResult(**{**result.__dict__, "run_id": done.run_id})
    assert points_in_mlflow(found) == points_of(result.run_folder)


@pytest.mark.slow
def test_a_run_that_is_deleted_or_gone_takes_nothing_more_and_says_what_to_do(tiny: Path, store: Path) -> None:
    result = ftrun.run(tiny, overrides={**TRACKED, "training.max_steps": 1}, progress=False)
    folder, client = RunFolder(result.run_folder), mlflow_client(result)
    assert deliver(folder).error is None
    with folder.journal.open("a") as journal:
        journal.write('{"type": "tags", "time": 1, "tags": {"late": "1"}}\n')
    client.delete_run(result.run_id)
    told = deliver(folder)
    assert told.pending == 1 and told.error
    assert told.error.startswith(f'the run {result.run_id} is deleted in MLflow; restore it with "mlflow runs restore')
    client.restore_run(result.run_id)
    assert deliver(folder).pending == 0 and client.get_run(result.run_id).data.tags["late"] == "1"
    state = folder.tracking_state.read_text()
    folder.tracking_state.write_text(
        state.replace(result.run_id or "", "0" * 32).replace('"delivered": ', '"delivered": -')
    )
    told = deliver(folder)
    assert told.error and told.error.startswith(
        f"the run {'0' * 32} is not in MLflow any more; to deliver it anew, remove"
    )
