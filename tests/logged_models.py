"""What MLflow holds of the models of a run, in a form that two runs can be compared by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OWN_TEXT = "MLmodel"
"""The file that holds ids and times, and so differs from run to run; it must be there."""


@dataclass(frozen=True)
class HeldModel:
    """A LoggedModel.

    Attributes:
        files: The checksum of each by its path.
        metrics: Key, step, value, and the name and digest of the data set of each point.
        links: The steps at which MLflow tells that it came of the run.
    """

    status: str
    step: str
    files: dict[str, str]
    metrics: list[tuple[Any, ...]]
    links: list[int]


def models_held(client: Any, run: Any) -> dict[str, HeldModel]:
    """All of a run by their names; of several of one name the others have a number behind it."""
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    held: dict[str, HeldModel] = {}
    for model in found:
        same = sum(name.partition(" ")[0] == model.name for name in held)
        held[f"{model.name} {same + 1}" if same else model.name] = _held(client, run, model)
    return held


def differences(held: dict[str, HeldModel], wanted: dict[str, HeldModel]) -> Iterator[str]:
    """What is not as it must be, in sentences."""
    if set(held) != set(wanted):
        yield f"MLflow has the models {sorted(held)} of {sorted(wanted)}"
    for name in sorted(set(held) & set(wanted)):
        for what in ("status", "step", "files", "metrics", "links"):
            one, other = getattr(held[name], what), getattr(wanted[name], what)
            if one != other:
                yield f"of {name} MLflow has the {what} {one} of {other}"


def _held(client: Any, run: Any, model: Any) -> HeldModel:
    outputs = run.outputs.model_outputs if run.outputs else []
    metrics = [(one.key, one.step, one.value, one.dataset_name, one.dataset_digest) for one in model.metrics or []]
    return HeldModel(
        str(model.status),
        model.tags["ftrun.step"],
        dict(sorted(_files(client, model))),
        sorted(metrics),
        [output.step for output in outputs if output.model_id == model.model_id],
    )


def _files(client: Any, model: Any, path: str | None = None) -> Iterator[tuple[str, str]]:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    repository = get_artifact_repository(model.artifact_location, tracking_uri=client.tracking_uri)
    for found in client.list_logged_model_artifacts(model.model_id, path):
        if found.is_dir:
            yield from _files(client, model, found.path)
        elif found.path == OWN_TEXT:
            yield found.path, ""
        else:
            local = Path(repository.download_artifacts(found.path))
            yield found.path, hashlib.sha256(local.read_bytes()).hexdigest()
