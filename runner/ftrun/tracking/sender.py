"""A run's journal, sent to MLflow.

Everything can be sent twice without harm: points keep their journaled timestamps, and the run is looked for by its tag
before it is created. With `stores.py` all that imports mlflow, and that in a process of its own: the feeder's, or
`ftrun sync`'s.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from ftrun.redaction import redacted_uri
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import read_journal
from ftrun.runs.records import (
    ERROR_TAG,
    NAME_TAG,
    RUN_TAG,
    ArtifactRecord,
    DatasetRecord,
    EndRecord,
    Entry,
    MeasuredRecord,
    MetricsRecord,
    ModelRecord,
    ResumedRecord,
    RunRecord,
    Status,
    TagsRecord,
)
from ftrun.tracking.deleted import refuse_deleted_experiment, refuse_deleted_run
from ftrun.tracking.models import Models
from ftrun.tracking.state import (
    Delivery,
    delivered_offset,
    delivery,
    read_state,
    remember_failure,
    tracking_lock,
    write_state,
)
from ftrun.tracking.stores import artifact_patience, artifacts_of, client_environment, default_uri, is_made, open_store
from ftrun.tracking.target import target_uri, uri_around
from ftrun.tracking.uploads import upload

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's pages show the experiment as training, not as work on prompts."""
LONGEST_WAIT = 30.0
"""Seconds that it waits for another process that sends the same run."""
PARAMS_A_BATCH, METRICS_A_BATCH, TAGS_A_BATCH, LONGEST_PARAM = 100, 1000, 100, 6000


def deliver(folder: RunFolder, uri: str | None = None) -> Delivery:
    """Send MLflow what it has not got yet; what goes wrong is in the result, never raised.

    Args:
        folder: The run's.
        uri: Where its file says it is to go; it stays where it is already.
    """
    os.environ.update(client_environment())
    try:
        Sender(folder, uri).send()
    except Timeout:
        return replace(delivery(folder), error="another process is delivering this run")
    except Exception as error:
        remember_failure(folder, error)
    return delivery(folder)


class Sender:
    """Sends one run to MLflow, over one connection.

    Args:
        folder: The run's.
        uri: Where its file says it is to go; it stays where it is already.
    """

    def __init__(self, folder: RunFolder, uri: str | None = None) -> None:
        self._folder = folder
        self._uri = uri
        self._state = read_state(folder)
        self._target: str | None = None
        self._client: MlflowClient | None = None
        self._is_there = False

    def prepare(self) -> None:
        """Import and open what sending needs while there is nothing to send, but nothing that opening would make: a run
        may fail before there is anything to track. What cannot be opened now is told when there is.
        """
        with contextlib.suppress(Exception):
            self._remember_target()
            if is_made(self.target):
                self.client.search_experiments(max_results=1)

    def send(self) -> None:
        """Send every whole record that is not sent yet, remembering each batch.

        Raises:
            filelock.Timeout: If another process sends the same run, such as the feeder that a killed process left.
            MissingCredentialsError: If the store's are not on record, and the environment does not have them.
            DeletedError: If the experiment or the run is deleted there.
            Exception: Whatever else the store says.
        """
        with tracking_lock(self._folder, timeout=LONGEST_WAIT):
            before, self._state = self._state, read_state(self._folder)
            if self._state.uri != before.uri:  # another process has sent it meanwhile, elsewhere
                self._client = self._target = None
            self._send_rest()

    def _send_rest(self) -> None:
        reached = delivered_offset(self._folder, self._state)
        batch: list[Entry] = []
        points = 0
        for entry, end in read_journal(self._folder.journal, reached):
            reached = end
            batch.append(entry)
            match entry.record:
                case MetricsRecord(_, values) | MeasuredRecord(_, values):
                    points += len(values)
                    if points <= METRICS_A_BATCH // 2:
                        continue
            self._send_batch(batch, reached)
            batch, points = [], 0
        if batch:
            self._send_batch(batch, reached)

    def _send_batch(self, batch: list[Entry], end: int) -> None:
        """Send records, all of metrics but the last, which ends at a byte offset of the journal."""
        if self._state.run_id and not self._is_there:
            refuse_deleted_run(self.client, self.run_id, self._folder.name)
            self._is_there = True
        _sync_to_disk(self._folder.journal)  # what MLflow has, the journal must not lose
        self._metrics(batch)
        self._record(batch[-1])
        self._remember(delivered=end, error=None)

    def _remember(self, **changes: Any) -> None:
        self._state = replace(self._state, **changes)
        write_state(self._folder, self._state)

    def _remember_target(self) -> None:
        """Where the run goes, before MLflow is asked: so it goes there, too, when gone on with in another folder."""
        with tracking_lock(self._folder, timeout=LONGEST_WAIT):
            self._state = read_state(self._folder)
            if self._state.uri is None:
                self._remember(uri=redacted_uri(self.target), working_folder=str(Path.cwd()))

    @property
    def target(self) -> str:
        """The URI that it sends to, chosen once."""
        if self._target is None:
            self._target = target_uri(self._state, self._uri, uri_around()) or default_uri()
        return self._target

    @property
    def client(self) -> MlflowClient:
        """MLflow's client, opened once."""
        if self._client is None:
            self._client = open_store(self.target, Path(self._state.working_folder or "."))
        return self._client

    @property
    def run_id(self) -> str:
        """MLflow's id of the run; there must be one."""
        assert self._state.run_id is not None
        return self._state.run_id

    def _record(self, entry: Entry) -> None:
        if self._state.run_id is None and not isinstance(entry.record, RunRecord):
            return  # of an attempt that ended before there was anything to track
        match entry.record:
            case RunRecord() as begun:
                self._run(begun, entry.time)
            case ResumedRecord(tags=tags):
                self._resumed(tags)
            case TagsRecord(tags):
                self._tags(tags)
            case DatasetRecord() as dataset:
                self._dataset(dataset)
            case ArtifactRecord(path):
                self._artifact(path)
            case ModelRecord(path) as model:
                with self._uploading(path):
                    self._models.take(model, entry.time)
            case EndRecord(status):
                self._end(status, entry.time)
            case _:  # metrics are sent already, and all else, such as a checkpoint, is for ftrun alone
                pass

    def _run(self, begun: RunRecord, time: int) -> None:
        if self._state.run_id is None:
            self._remember(uri=redacted_uri(self.target))
            experiment_id = self._experiment(begun.experiment_name)
            run_ids = self._found(experiment_id)
            run_id = run_ids[0] if run_ids else self._create(experiment_id, time, begun.tags)
            self._remember(run_id=run_id, experiment_id=experiment_id)
        self._params(begun.params)
        self._tags(begun.tags)

    def _resumed(self, tags: Mapping[str, str]) -> None:
        self.client.update_run(self.run_id, "RUNNING", tags.get(NAME_TAG))
        if ERROR_TAG in self.client.get_run(self.run_id).data.tags:
            self.client.delete_tag(self.run_id, ERROR_TAG)
        self._tags(tags)

    def _found(self, experiment_id: str) -> list[str]:
        found = self.client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{self._folder.name}'")
        return [run.info.run_id for run in found]

    def _create(self, experiment_id: str, start_time: int, tags: Mapping[str, str]) -> str:
        own = self._folder.name
        created = self.client.create_run(experiment_id, start_time, {RUN_TAG: own}, tags.get(NAME_TAG, own))
        return str(created.info.run_id)

    def _delete_twins(self) -> None:
        """A creation that was answered too late, and so was asked for again, has made two runs."""
        assert self._state.experiment_id is not None
        for run_id in self._found(self._state.experiment_id):
            if run_id != self.run_id:
                self.client.delete_run(run_id)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if found := self.client.get_experiment_by_name(name):
            refuse_deleted_experiment(found)
            return str(found.experiment_id)
        try:
            place = artifacts_of(name, self.target, Path(self._state.working_folder or "."))
            return self.client.create_experiment(name, place, EXPERIMENT_TAGS)
        except MlflowException:  # made by another run since we looked
            if found := self.client.get_experiment_by_name(name):
                return str(found.experiment_id)
            raise

    def _params(self, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        entities = [Param(key, value[:LONGEST_PARAM]) for key, value in params.items()]
        for part in _parts(entities, PARAMS_A_BATCH):
            self.client.log_batch(self.run_id, params=part)

    def _tags(self, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        for part in _parts([RunTag(key, value) for key, value in tags.items() if key != NAME_TAG], TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=part)

    def _metrics(self, batch: list[Entry]) -> None:
        from mlflow.entities import Metric

        points = [
            Metric(key, value, entry.time, entry.record.step)
            for entry in batch
            if isinstance(entry.record, MetricsRecord | MeasuredRecord)
            for key, value in entry.record.values.items()
        ]
        for part in _parts(points, METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=part)

    def _dataset(self, record: DatasetRecord) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=record.name,
            digest=record.digest[:36],  # MLflow's column is that long
            source_type="ftrun",
            source=json.dumps({"source": record.source, "revision": record.digest}),
            schema=json.dumps({"columns": record.columns}),
            profile=json.dumps({"num_rows": record.rows, "split": record.split}),
        )
        context = InputTag("mlflow.data.context", record.context)
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [context])])

    def _artifact(self, path: str) -> None:
        begun = self._state.doing
        with artifact_patience():
            upload(self.client, self.run_id, self._folder.path, path, lambda file: self._remember(doing=file), begun)
        self._remember(doing=None)

    @contextlib.contextmanager
    def _uploading(self, path: str) -> Iterator[None]:
        """Whoever waits is told what takes a while."""
        self._remember(doing=path)
        with artifact_patience():
            yield
        self._remember(doing=None)

    @property
    def _models(self) -> Models:
        assert self._state.experiment_id is not None
        return Models(self.client, self._folder, self.run_id, self._state.experiment_id)

    def _end(self, status: Status, time: int) -> None:
        self.client.set_terminated(self.run_id, status, time)
        self._delete_twins()
        self._models.settle()


def _sync_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _parts(entities: list[Any], size: int) -> Iterable[list[Any]]:
    return (entities[start : start + size] for start in range(0, len(entities), size))
