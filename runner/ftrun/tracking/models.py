"""A run's models in MLflow: LoggedModels, each made once whatever fails in between.

A model is looked for before it is made, and READY when all of it is there: what is not is gone on with, and what is
there twice, because an answer came too late, is deleted.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ftrun.runs.folder import RunFolder
from ftrun.runs.history import Point, read_evaluations, read_history
from ftrun.runs.journal import read_journal
from ftrun.runs.records import MODEL_NAME, RUN_TAG, DatasetRecord, ModelRecord
from ftrun.tracking.mlmodel import TOKENIZER_FOLDER, model_files, tokenizer_files, write_mlmodel

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel


CHECKPOINT = "checkpoint-"
"""How the names of checkpoints begin, in MLflow as on disk."""
RECORDED_TAG = "ftrun.recorded"
"""Tag of a LoggedModel: when the record of it was written, in milliseconds since 1970; a later one supersedes it."""
STEP_TAG = "ftrun.step"
ADAPTER_TAG = "ftrun.adapter_of"
"""Tag of a LoggedModel that is an adapter: the model that peft opens it on."""
VERSIONS_TAG = "mlflow.modelVersions"
"""MLflow's tag of a LoggedModel that somebody registered."""
TYPES = {"regression": "regressor"}
"""MLflow's word for a kind of model by the kind of task; else it is a classifier."""
FOUND_AT_ONCE = 100
LONGEST_DIGEST = 36
"""Characters of a data set's digest that MLflow keeps."""


class Models:
    """The LoggedModels of one run.

    Args:
        client: MLflow's.
        folder: The run's.
        run_id: MLflow's id of the run; experiment_id: of its experiment.
    """

    def __init__(self, client: MlflowClient, folder: RunFolder, run_id: str, experiment_id: str) -> None:
        self._client = client
        self._folder = folder
        self._run_id = run_id
        self._experiment_id = experiment_id

    def take(self, record: ModelRecord, recorded: int) -> None:
        """Deliver a run's model, or a checkpoint's unless it is superseded already; then what this one supersedes goes.

        Args:
            record: What is known of it.
            recorded: When that was written, in milliseconds since 1970.
        """
        place = self._place(record, recorded)
        if place == "told again":  # by an attempt that went on; the later record is delivered
            return
        if record.name == MODEL_NAME:
            self.deliver(record, recorded)
            self._delete(self.named(f"{CHECKPOINT}{record.step}"))  # the same weights
            return
        aside = self._folder.path / record.path
        if place == "superseded":
            self._delete(model for model in self.named(record.name) if _recorded(model) <= recorded)
        elif aside.is_dir():
            self.deliver(record, recorded)
        else:  # it was uploaded, or taken away for a later one
            self._delete(model for model in self.named(record.name) if not is_ready(model))
        if record.supersedes:
            self._delete(model for model in self.all() if self._is_older_checkpoint(model, record, recorded))
        shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):  # there are others, or none was kept
            aside.parent.rmdir()

    def _is_older_checkpoint(self, model: LoggedModel, record: ModelRecord, recorded: int) -> bool:
        is_other = model.name.startswith(CHECKPOINT) and model.name != record.name
        return is_other and _recorded(model) <= recorded

    def _place(self, record: ModelRecord, recorded: int) -> Literal["newest", "superseded", "told again"]:
        """What the journal has in a model's place: nothing; a later checkpoint, or the run's model of the same step; or
        the same once more.
        """
        entries = (entry for entry, _ in read_journal(self._folder.journal))
        others = [(entry.record, entry.time) for entry in entries if isinstance(entry.record, ModelRecord)]
        if any(other.name == record.name and time > recorded for other, time in others):
            return "told again"
        if record.name == MODEL_NAME:
            return "newest"
        is_model = [other.step for other, _ in others if other.name == MODEL_NAME][-1:] == [record.step]
        later = any(other.supersedes and other != record and time >= recorded for other, time in others)
        return "superseded" if is_model or later else "newest"

    def deliver(self, record: ModelRecord, recorded: int) -> LoggedModel:
        """Have MLflow hold a model, READY and once.

        Args:
            record: What is known of it.
            recorded: When that was written, in milliseconds since 1970.
        """
        name = record.name
        found = self.named(name)
        whole = [model for model in found if is_ready(model) and _recorded(model) >= recorded]
        begun = [model for model in found if not is_ready(model) and _recorded(model) == recorded]
        model = next(iter([*whole, *begun]), None) or self._create(record, recorded, name)
        if not is_ready(model):
            self._fill(model, record, dict(self._sizes(model)) if begun else {})
            model = self._client.finalize_logged_model(model.model_id, "READY")
        self._delete(other for other in found if other.model_id != model.model_id)
        return model

    def named(self, name: str) -> list[LoggedModel]:
        """Those of the run with a name, the oldest first."""
        return [model for model in self.all() if model.name == name]

    def all(self) -> list[LoggedModel]:
        """All of the run, the oldest first."""
        of_run, token = f"source_run_id = '{self._run_id}'", None
        found: list[LoggedModel] = []
        while True:
            page = self._client.search_logged_models(
                [self._experiment_id], of_run, max_results=FOUND_AT_ONCE, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def settle(self) -> None:
        """What is left at the end of a run is told as what came of it. A creation that was answered too late, and so
        was asked for again, has left a model that nobody fills.
        """
        found = self.all()
        self._delete(model for model in found if not is_ready(model))
        self._link([model for model in found if is_ready(model)])

    def _create(self, record: ModelRecord, recorded: int, name: str) -> LoggedModel:
        tags = {RUN_TAG: self._folder.name, RECORDED_TAG: str(recorded), STEP_TAG: str(record.step or "")}
        if record.adapter_of:
            tags[ADAPTER_TAG] = record.adapter_of
        kind = TYPES.get(record.task, "classifier")
        return self._client.create_logged_model(self._experiment_id, name, self._run_id, tags, model_type=kind)

    def _fill(self, model: LoggedModel, record: ModelRecord, there: Mapping[str, int | None]) -> None:
        self._upload(model, record, there)
        is_model = record.name == MODEL_NAME
        if is_model:  # a checkpoint may be superseded, and MLflow takes no word back of what came of a run
            self._link([model])
        self._log_metrics(model, record.step, ("eval/", "test/") if is_model else ("eval/",))

    def _upload(self, model: LoggedModel, record: ModelRecord, there: Mapping[str, int | None]) -> None:
        """Every file by its path: no copy of the weights is made on this disk.

        Args:
            model: MLflow's; record: what is known of it.
            there: The files that an earlier attempt has brought there, with their sizes in bytes, where that is known.
        """
        own = self._folder.path / record.path
        files = list(model_files(own))
        apart = tokenizer_files(own) if record.adapter_of is None else ()
        placed = [(file, "") for file in files] + [(file, TOKENIZER_FOLDER) for file in apart]
        for file, folder in placed:
            if there.get(f"{folder}/{file.name}".lstrip("/")) != file.stat().st_size:
                self._client.log_model_artifact(model.model_id, str(file), folder or None)
        with tempfile.TemporaryDirectory() as beside:
            write_mlmodel(Path(beside), record, model, sum(file.stat().st_size for file in files))
            for file in sorted(Path(beside).iterdir()):
                self._client.log_model_artifact(model.model_id, str(file))

    def _sizes(self, model: LoggedModel, path: str | None = None) -> Iterator[tuple[str, int | None]]:
        """The files that MLflow has of a model, with their sizes in bytes, where it knows them."""
        for found in self._client.list_logged_model_artifacts(model.model_id, path):
            if found.is_dir:
                yield from self._sizes(model, found.path)
            else:
                yield found.path, found.file_size

    def _link(self, models: Iterable[LoggedModel]) -> None:
        """Tell MLflow that they came of the run; the store refuses to be told twice."""
        from mlflow.entities import LoggedModelOutput

        outputs = self._client.get_run(self._run_id).outputs
        known = {output.model_id for output in outputs.model_outputs} if outputs else set()
        new = [LoggedModelOutput(model.model_id, _step(model)) for model in models if model.model_id not in known]
        if new:
            self._client.log_outputs(self._run_id, new)

    def _log_metrics(self, model: LoggedModel, step: int | None, begins: tuple[str, ...]) -> None:
        """The evaluation of its step, as points of the run, which has them already, and of the model and the data."""
        from mlflow.entities import Metric

        if step is None:
            return
        points = read_evaluations(self._folder, begins).get(step, [])
        datasets = evaluated_on(points, read_history(self._folder).datasets)
        metrics = []
        for key, value, time in points:
            dataset = datasets.get(key)
            name, digest = (dataset.name, dataset.digest[:LONGEST_DIGEST]) if dataset else (None, None)
            metrics.append(Metric(key, value, time, step, model.model_id, name, digest, self._run_id))
        if metrics:
            self._client.log_batch(self._run_id, metrics=metrics)

    def _delete(self, models: Iterable[LoggedModel]) -> None:
        for model in models:
            if not self._is_registered(model):
                self._remove_files(model)
                self._client.delete_logged_model(model.model_id)

    def _is_registered(self, model: LoggedModel) -> bool:
        """Whether somebody registered it, here or in another registry that tells it so."""
        source = f"source_path = 'models:/{model.model_id}'"
        return VERSIONS_TAG in model.tags or bool(self._client.search_model_versions(source, max_results=1))

    def _remove_files(self, model: LoggedModel) -> None:
        """MLflow keeps the files of a model that it deletes."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository = get_artifact_repository(model.artifact_location, tracking_uri=self._client.tracking_uri)
        with contextlib.suppress(NotImplementedError):  # some stores keep what they have
            repository.delete_artifacts()  # type: ignore[no-untyped-call]


def is_ready(model: LoggedModel) -> bool:
    """Whether all of a model is there."""
    return str(model.status) == "READY"


def _recorded(model: LoggedModel) -> int:
    return _number(model, RECORDED_TAG)


def _step(model: LoggedModel) -> int:
    return _number(model, STEP_TAG)


def _number(model: LoggedModel, tag: str) -> int:
    told = str(model.tags.get(tag, ""))
    return int(told) if told.isdecimal() else 0


def evaluated_on(points: Iterable[Point], datasets: Iterable[DatasetRecord]) -> Mapping[str, DatasetRecord]:
    """The data set that each point of an evaluation was measured on: the only one, or that which its key names."""
    contexts = {"eval": "evaluation", "test": "test"}
    by_context: dict[str, dict[str, DatasetRecord]] = {context: {} for context in contexts.values()}
    for dataset in datasets:
        by_context.setdefault(dataset.context, {})[dataset.split] = dataset
    found = {}
    for point in points:
        room, name = point.key.split("/")[:2]
        splits = by_context[contexts[room]]
        found[point.key] = next(iter(splits.values())) if len(splits) == 1 else splits.get(name)
    return {key: dataset for key, dataset in found.items() if dataset}
