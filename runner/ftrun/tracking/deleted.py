"""What is deleted in MLflow, where a run was to go: only a person can help, so it is said and not waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ftrun.errors import RunError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

GONE = "RESOURCE_DOES_NOT_EXIST"
"""MLflow's code for what is not there at all."""


class DeletedError(RunError):
    """The experiment or the run is deleted in MLflow."""


def refuse_deleted_experiment(experiment: Experiment) -> None:
    """Refuse an experiment in which MLflow makes no run.

    Raises:
        DeletedError: With what to do.
    """
    if experiment.lifecycle_stage == "deleted":
        ways = f"mlflow experiments restore --experiment-id {experiment.experiment_id}"
        raise DeletedError(
            f'MLflow\'s experiment "{experiment.name}" is deleted; restore it with "{ways}", and then say ftrun sync'
        )


def refuse_deleted_run(client: MlflowClient, run_id: str, run: str) -> None:
    """Refuse a run of which MLflow takes nothing more.

    Args:
        client: MLflow's.
        run_id: MLflow's id of the run.
        run: The name of its folder.

    Raises:
        DeletedError: With what to do.
    """
    try:
        found = client.get_run(run_id)
    except Exception as error:
        if getattr(error, "error_code", None) != GONE:
            raise
        hint = f"to deliver it anew, remove runs/{run}/mlflow.json, and then say ftrun sync {run}"
        raise DeletedError(f"the run {run_id} is not in MLflow any more; {hint}") from error
    refuse_deleted_experiment(client.get_experiment(found.info.experiment_id))
    if found.info.lifecycle_stage == "deleted":
        ways = f"mlflow runs restore --run-id {run_id}"
        raise DeletedError(
            f'the run {run_id} is deleted in MLflow; restore it with "{ways}", and then say ftrun sync {run}'
        )
