"""Feeds MLflow from a run's journal. The only module that imports mlflow, and it does so in a process of its own.

The feeder (see `feeder.py`) follows the journal while the run trains: an MLflow that is slow, away or importing never
holds training up, and nothing that mlflow does to a process (telemetry, logging, environment) is done to the user's.
Everything it sends can be sent twice without harm: points keep their journaled timestamps, and the run is looked for by
its tag before it is created.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ftrun.errors import FtrunError
from ftrun.planning.experiment import absolute_store
from ftrun.redaction import RedactedStream, redacted, redacted_uri
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import mark_if_killed
from ftrun.runs.journal import read_journal
from ftrun.runs.records import (
    ERROR_TAG,
    RUN_TAG,
    ArtifactRecord,
    DatasetRecord,
    EndRecord,
    Entry,
    MetricsRecord,
    ResumedRecord,
    RunRecord,
    Status,
    TagsRecord,
)
from ftrun.tracking.feeder import (
    HTTP,
    TELEMETRY_OFF,
    Delivery,
    MissingCredentialsError,
    delivered_offset,
    delivery,
    delivery_lock,
    read_state,
    target_uri,
    write_state,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's pages show the experiment as training, not as work on prompts."""
POLL_SECONDS = 3.0
"""How far MLflow is behind a training: a delivery costs the same for few points as for many."""
RETRY_SECONDS, LONGEST_WAIT = 2.0, 30.0
PATIENCE_ALONE = 120.0
NICENESS = 10
"""The feeder yields to the training: torch's threads wait for each other, so one that is held up holds up all."""
PARAMS_A_BATCH, METRICS_A_BATCH, TAGS_A_BATCH, LONGEST_PARAM = 100, 1000, 100, 6000
STORE_SECONDS = 600.0
"""What the making of a store never takes."""
ARTIFACT_SECONDS = "600"
"""What a store may take to answer for one file."""


def deliver(folder: RunFolder, uri: str | None = None) -> Delivery:
    """Deliver what MLflow has not got yet; what goes wrong is in the result, never raised.

    Args:
        folder: The run's.
        uri: Where its file says it is to go; it stays where it is already.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in HTTP.items()})
    try:
        _Delivery(folder, uri).deliver()
    except Timeout:
        return replace(delivery(folder), error="another process is delivering this run")
    except Exception as error:
        _remember_failure(folder, error)
    return delivery(folder)


def _remember_failure(folder: RunFolder, error: Exception) -> None:
    expected = isinstance(error, FtrunError)
    with folder.log.open("a", encoding="utf-8") as log:
        log.write(f"{error}\n" if expected else redacted(traceback.format_exc()))
    with contextlib.suppress(Timeout), delivery_lock(folder, timeout=1.0):
        write_state(folder, error=str(error) if expected else f"{type(error).__name__}: {error}")


class _Delivery:
    """One connection to MLflow, for one run."""

    def __init__(self, folder: RunFolder, uri: str | None = None) -> None:
        self.folder = folder
        self.uri = uri
        self.state = read_state(folder)
        self._client: MlflowClient | None = None
        self._target: str | None = None

    def deliver(self) -> None:
        """Send every whole record that is not sent yet, remembering each batch.

        Raises:
            filelock.Timeout: If another process delivers the same run, such as the feeder that a killed process left.
        """
        with delivery_lock(self.folder, timeout=LONGEST_WAIT):
            before, self.state = self.state, read_state(self.folder)
            if self.state.get("uri") != before.get("uri"):  # another process has delivered meanwhile, elsewhere
                self._client = self._target = None
            self._deliver()

    def _deliver(self) -> None:
        offset = delivered_offset(self.folder, self.state)
        batch: list[Entry] = []
        points = 0
        for entry, offset in read_journal(self.folder.journal, offset):  # noqa: B020  # from where it stands
            batch.append(entry)
            match entry.record:
                case MetricsRecord(_, values) if (points := points + len(values)) <= METRICS_A_BATCH // 2:
                    continue
            self._send(batch, offset)
            batch, points = [], 0
        if batch:
            self._send(batch, offset)

    def _send(self, batch: list[Entry], end: int) -> None:
        """Send records, all of metrics but the last, and remember that the journal is delivered up to an offset."""
        _sync_to_disk(self.folder.journal)  # what MLflow has, the journal must not lose
        self._metrics(batch)
        for entry in batch:
            self._send_record(entry)
        self._remember(delivered=end, error=None)

    def _remember(self, **changes: Any) -> None:
        self.state.update(changes)
        write_state(self.folder, **changes)

    def open(self) -> None:
        """Import and open what sending needs while there is nothing to send, but nothing that opening would make: a run
        may fail before there is anything to track. What cannot be opened now is told when there is.
        """
        with contextlib.suppress(Exception):
            self._remember_target()
            file = _sqlite_file(self.target)
            if self.target.startswith("http") or (file and file.stat().st_size):
                self.client.search_experiments(max_results=1)

    def _remember_target(self) -> None:
        """Where the run goes, before MLflow is asked: so it goes there, too, when gone on with in another folder."""
        with delivery_lock(self.folder, timeout=LONGEST_WAIT):
            self.state = read_state(self.folder)
            if "uri" not in self.state:
                self._remember(uri=redacted_uri(self.target), working_folder=str(Path.cwd()))

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            with _first_opening(self.target), self._in_working_folder():
                self._client = _opened(self.target)
        return self._client

    def _in_working_folder(self) -> contextlib.AbstractContextManager[None]:
        """MLflow puts the artifacts of a new SQLite store's experiments below the working folder."""
        folder = Path(self.state.get("working_folder", "."))
        return contextlib.chdir(folder) if folder.is_dir() else contextlib.nullcontext()

    @property
    def target(self) -> str:
        """The URI that it delivers to, chosen once."""
        if self._target is None:
            self._target = self._choose()
        return self._target

    def _choose(self) -> str:
        os.environ.update(TELEMETRY_OFF)
        import mlflow

        around = absolute_store(os.environ.get("MLFLOW_TRACKING_URI", ""))
        return target_uri(self.state, self.uri, around) or mlflow.get_tracking_uri()

    @property
    def run_id(self) -> str:
        return str(self.state["run_id"])

    def _send_record(self, entry: Entry) -> None:
        if not isinstance(entry.record, RunRecord) and "run_id" not in self.state:
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
            case EndRecord(status):
                self._end(status, entry.time)
            case _:  # metrics are sent together, and all else, such as a checkpoint, is for ftrun alone
                pass

    def _run(self, begun: RunRecord, time: int) -> None:
        if "run_id" not in self.state:
            self._remember(uri=redacted_uri(self.target))
            experiment_id = self._experiment(begun.experiment_name)
            run_ids = self._found(experiment_id)
            run_id = run_ids[0] if run_ids else self._create(experiment_id, time)
            self._remember(run_id=run_id, experiment_id=experiment_id)
        self._params(begun.params)
        self._tags(begun.tags)

    def _resumed(self, tags: Mapping[str, str]) -> None:
        self.client.update_run(self.run_id, "RUNNING")
        if ERROR_TAG in self.client.get_run(self.run_id).data.tags:
            self.client.delete_tag(self.run_id, ERROR_TAG)
        self._tags(tags)

    def _found(self, experiment_id: str) -> list[str]:
        found = self.client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{self.folder.name}'")
        return [run.info.run_id for run in found]

    def _create(self, experiment_id: str, start_time: int) -> str:
        name = self.folder.name
        return str(self.client.create_run(experiment_id, start_time, {RUN_TAG: name}, name).info.run_id)

    def _delete_twins(self) -> None:
        """A creation that was answered too late, and so was asked for again, has made two runs."""
        for run_id in self._found(self.state["experiment_id"]):
            if run_id != self.run_id:
                self.client.delete_run(run_id)

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if found := self.client.get_experiment_by_name(name):
            return str(found.experiment_id)
        try:
            return self.client.create_experiment(name, tags=EXPERIMENT_TAGS)
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

        for part in _parts([RunTag(key, value) for key, value in tags.items()], TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=part)

    def _metrics(self, batch: list[Entry]) -> None:
        from mlflow.entities import Metric

        points = [
            Metric(key, value, entry.time, entry.record.step)
            for entry in batch
            if isinstance(entry.record, MetricsRecord)
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
        local = self.folder.path / path
        self._remember(doing=path)
        with _artifact_patience():
            if local.is_dir():
                self.client.log_artifacts(self.run_id, str(local), path)
            else:
                parent = Path(path).parent.as_posix()
                self.client.log_artifact(self.run_id, str(local), None if parent == "." else parent)
        self._remember(doing=None)

    def _end(self, status: Status, time: int) -> None:
        self.client.set_terminated(self.run_id, status, time)
        self._delete_twins()


@contextlib.contextmanager
def _artifact_patience() -> Iterator[None]:
    """The client reads its timeout from the environment at every call; a file may take longer than a few numbers."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ.get(name)
    if before == HTTP[name]:
        os.environ[name] = ARTIFACT_SECONDS
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before


@contextlib.contextmanager
def _first_opening(uri: str) -> Iterator[None]:
    """Two processes that open a new store at once break it, and one that dies while its tables are made leaves one that
    nobody can open: the first to come makes them all, aside.
    """
    if uri.startswith("http"):
        yield
        return
    file = _sqlite_file(uri)
    store = str(file.resolve()) if file else redacted_uri(uri)
    name = f"ftrun-{os.getuid()}-{hashlib.sha256(store.encode()).hexdigest()[:16]}.lock"
    with FileLock(Path(tempfile.gettempdir()) / name):
        if file and not file.exists():
            _make_sqlite_store(file, uri)
        yield


def _make_sqlite_store(path: Path, uri: str) -> None:
    """Make a SQLite store; it has its name from when it is whole, unless somebody else was faster."""
    from sqlalchemy.engine import make_url

    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.new-"
    for left in path.parent.glob(f"{prefix}*"):
        if time.time() - left.stat().st_mtime > STORE_SECONDS:  # by one that died
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent, ignore_cleanup_errors=True) as aside:
        made = Path(aside) / path.name
        _opened(make_url(uri).set(database=str(made)).render_as_string(hide_password=False))
        try:
            os.link(made, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not path.exists():
                made.rename(path)


def _sqlite_file(uri: str) -> Path | None:
    """The file of a SQLite store, there or not; None for any other store."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    database = make_url(uri).database or ":memory:"
    return None if database.startswith((":", "file:")) else Path(database)


def _opened(uri: str) -> MlflowClient:
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _sync_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _parts(entities: list[Any], size: int) -> Iterable[list[Any]]:
    return (entities[start : start + size] for start in range(0, len(entities), size))


def _follow(folder: RunFolder) -> None:
    """Feed MLflow until the run has ended, or the process that runs it is gone, and everything is delivered."""
    import select

    os.nice(NICENESS)
    connection = _Delivery(folder)
    connection.open()  # while the run imports and opens its own
    wait, retry = POLL_SECONDS, RETRY_SECONDS
    deadline: float | None = None
    while folder.journal.exists() and (deadline is None or time.monotonic() < deadline):
        if deadline is not None:
            time.sleep(wait)
        elif select.select([sys.stdin], [], [], wait)[0]:  # end of file: the run's process let go, or is gone
            deadline = time.monotonic() + PATIENCE_ALONE
            mark_if_killed(folder, patience=1.0)
        try:
            connection.deliver()
            wait, retry = POLL_SECONDS, RETRY_SECONDS
            if deadline is not None:
                return
        except Exception as error:
            if not folder.journal.exists():  # the run folder was removed
                return
            _remember_failure(folder, error)
            if deadline is not None and isinstance(error, MissingCredentialsError):
                return  # which no waiting brings
            connection = _Delivery(folder)
            wait, retry = retry, min(retry * 2, LONGEST_WAIT)


if __name__ == "__main__":
    sys.stdout = sys.stderr = output = RedactedStream(sys.stderr)
    atexit.register(output.finish)
    _follow(RunFolder(Path(sys.argv[1])))
