"""Feeds MLflow from a run's journal. The only module that imports mlflow, and it does so in a process of its own.

The feeder follows the journal while the run trains: an MLflow that is slow, away or importing never holds training up,
and nothing that mlflow does to a process (telemetry, logging, environment) is done to the user's. What is delivered is
remembered in the run folder, so that `ftrun sync` or a later feeder goes on from there. Everything it sends can be sent
twice without harm: points keep their journaled timestamps, and the run is looked for by its tag before it is created.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ftrun.experiment import without_credentials
from ftrun.journal import ERROR_TAG, Record, RunFolder, mark_if_killed, read_journal, write_whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

RUN_TAG = "ftrun.run"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
"""So that MLflow's pages show the experiment as training, not as work on prompts."""
POLL_SECONDS = 1.0
TELL_SECONDS = 0.5
LONGEST_WAIT = 30.0
PATIENCE_ALONE = 120.0
NICENESS = 10
"""The feeder yields to the training: torch's threads wait for each other, so one that is held up holds up all."""
PARAMS_A_BATCH, METRICS_A_BATCH, TAGS_A_BATCH, LONGEST_PARAM = 100, 1000, 100, 6000
TELEMETRY_OFF = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
HTTP = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""Unless the user says otherwise: the feeder itself tries again, after a look at what has arrived. The client's own
retries would create a run anew whose first creation was only answered too late."""
ARTIFACT_SECONDS = "600"
"""What a store may take to answer for one file."""


@dataclass(frozen=True)
class Delivery:
    """How far MLflow has a run.

    Attributes:
        uri: Where, without credentials; None until MLflow was reached.
        run_id: MLflow's id of the run.
        pending: Records of the journal that MLflow has not got.
        error: Why the last attempt failed.
        doing: What is being sent that may take a while, such as "model".
    """

    uri: str | None = None
    run_id: str | None = None
    pending: int = 0
    error: str | None = None
    doing: str | None = None


class Feeder:
    """The process that feeds MLflow while a run goes on."""

    def __init__(self, folder: RunFolder, uri: str | None) -> None:
        self.folder = folder
        self._process = _start(folder, uri, subprocess.PIPE)

    def abandon(self) -> None:
        """End it before the run has begun to be recorded: there is nothing to deliver."""
        self._process.kill()
        self._process.communicate()

    def let_go(self) -> None:
        """Leave it to itself: it goes on for a while, and ends by itself."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()

    def finish(self, patience: float, tell: Callable[[Delivery], None]) -> Delivery:
        """Wait until MLflow has everything, at most `patience` seconds, and say how far it has it.

        Args:
            patience: What is not delivered then stays pending.
            tell: Called again and again with what is left.
        """
        self.let_go()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(TELL_SECONDS)
                return delivery(self.folder)
            tell(delivery(self.folder))
        self._process.terminate()
        self._process.wait()
        return delivery(self.folder)


def deliver_later(folder: RunFolder, uri: str | None) -> None:
    """Deliver what is pending of a run that has ended, in a process of its own that nobody waits for."""
    _start(folder, uri, subprocess.DEVNULL)


def _start(folder: RunFolder, uri: str | None, stdin: int) -> subprocess.Popen[bytes]:
    with folder.log.open("ab") as log:
        # a session of its own: Ctrl-C is for the run, which ends the feeder itself; the pipe tells it of our death
        return subprocess.Popen(
            [sys.executable, "-m", "ftrun.tracking", str(folder.path)],
            stdin=stdin,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**HTTP, **os.environ, **TELEMETRY_OFF, **({"MLFLOW_TRACKING_URI": _meant(uri)} if uri else {})},
        )


def _meant(uri: str) -> str:
    """The URI of the file; with the environment's credentials, if it is the environment's but for them."""
    around = os.environ.get("MLFLOW_TRACKING_URI", "")
    return around if without_credentials(around) == uri else uri


def delivery(folder: RunFolder) -> Delivery:
    """How far MLflow has a run, from what the run folder says; MLflow is not asked."""
    state = _read_state(folder)
    pending = sum(1 for _ in read_journal(folder.journal, _delivered(folder, state)))
    return Delivery(state.get("uri"), state.get("run_id"), pending, state.get("error"), state.get("doing"))


def deliver(folder: RunFolder, uri: str | None = None) -> Delivery:
    """Deliver what MLflow has not got yet; what goes wrong is in the result, never raised.

    Args:
        folder: The run's.
        uri: Where its file says it is to go; it stays where it is already.
    """
    os.environ.update({key: os.environ.get(key, value) for key, value in HTTP.items()})
    try:
        _Delivery(folder, uri).deliver()
    except Exception as error:
        _remember_failure(folder, error)
    return delivery(folder)


def _read_state(folder: RunFolder) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(folder.delivery.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return state


def _delivered(folder: RunFolder, state: Mapping[str, Any]) -> int:
    """Up to where the journal is delivered; 0 if that is no place between two records.

    After a loss of power the journal may be shorter than it was. To send all of it again does no harm.
    """
    offset = int(state.get("delivered", 0))
    if offset == 0:
        return 0
    with folder.journal.open("rb") as journal:
        journal.seek(offset - 1)
        return offset if journal.read(1) == b"\n" else 0


def _write_state(folder: RunFolder, **changes: Any) -> None:
    write_whole(folder.delivery, json.dumps({**_read_state(folder), **changes}, indent=2) + "\n")


def _remember_failure(folder: RunFolder, error: Exception) -> None:
    with folder.log.open("a", encoding="utf-8") as log:
        log.write(without_credentials(traceback.format_exc()))
    with contextlib.suppress(Timeout), _delivery_lock(folder, timeout=1.0):
        _write_state(folder, error=without_credentials(f"{type(error).__name__}: {error}"))


def _delivery_lock(folder: RunFolder, timeout: float) -> FileLock:
    """Held by whoever delivers a run, and writes down how far."""
    return FileLock(folder.path / ".mlflow.lock", timeout=timeout)


class _Delivery:
    """One connection to MLflow, for one run."""

    def __init__(self, folder: RunFolder, uri: str | None = None) -> None:
        self.folder = folder
        self.uri = uri
        self.state = _read_state(folder)
        self._client: MlflowClient | None = None

    def deliver(self) -> None:
        """Send every whole record that is not sent yet, remembering each batch.

        Raises:
            filelock.Timeout: If another process delivers the same run, such as the feeder that a killed process left.
        """
        with _delivery_lock(self.folder, timeout=LONGEST_WAIT):
            self.state = _read_state(self.folder)
            self._deliver()

    def _deliver(self) -> None:
        batch: list[tuple[Record, int]] = []
        points = 0
        for record, offset in read_journal(self.folder.journal, _delivered(self.folder, self.state)):
            batch.append((record, offset))
            points += len(record.get("values", ()))
            if record["type"] != "metrics" or points > METRICS_A_BATCH // 2:
                self._send(batch)
                batch, points = [], 0
        if batch:
            self._send(batch)

    def _send(self, batch: list[tuple[Record, int]]) -> None:
        _sync_to_disk(self.folder.journal)  # what MLflow has, the journal must not lose
        self._metrics([record for record, _ in batch if record["type"] == "metrics"])
        for record, _ in batch:
            if record["type"] != "metrics":
                self._send_record(record)
        self._remember(delivered=batch[-1][1], error=None)

    def _remember(self, **changes: Any) -> None:
        self.state.update(changes)
        _write_state(self.folder, **changes)

    @property
    def client(self) -> MlflowClient:
        if self._client is None:
            os.environ.update(TELEMETRY_OFF)
            import mlflow

            uri = self._uri(mlflow.get_tracking_uri())
            self._remember(uri=without_credentials(uri))
            with _first_opening(uri):
                self._client = mlflow.MlflowClient(tracking_uri=uri)
                self._client.search_experiments(max_results=1)
        return self._client

    def _uri(self, current: str) -> str:
        """Where the run is already; else where the environment says; else where it was meant to go."""
        known = self.state.get("uri")
        if known is None and self.uri is not None:
            return _meant(self.uri)
        is_meant = known is None or without_credentials(current) == known
        may_move = "run_id" not in self.state and "MLFLOW_TRACKING_URI" in os.environ
        return current if is_meant or may_move else str(known)

    @property
    def run_id(self) -> str:
        return str(self.state["run_id"])

    def _send_record(self, record: Record) -> None:
        if record["type"] != "run" and "run_id" not in self.state:
            return  # of an attempt that ended before there was anything to track
        match record["type"]:
            case "run":
                self._run(record)
            case "resumed":
                self._resumed(record)
            case "tags":
                self._tags(record)
            case "dataset":
                self._dataset(record)
            case "artifact":
                self._artifact(record)
            case "end":
                self._end(record)
            case _:  # such as a checkpoint: for ftrun alone
                pass

    def _run(self, record: Record) -> None:
        if "run_id" not in self.state:
            experiment_id = self._experiment(record["experiment_name"])
            run_ids = self._found(experiment_id)
            run_id = run_ids[0] if run_ids else self._create(experiment_id, record["time"])
            self._remember(run_id=run_id, experiment_id=experiment_id)
        self._params(record["params"])
        self._tags(record)

    def _resumed(self, record: Record) -> None:
        self.client.update_run(self.run_id, "RUNNING")
        if ERROR_TAG in self.client.get_run(self.run_id).data.tags:
            self.client.delete_tag(self.run_id, ERROR_TAG)
        self._tags(record)

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

    def _tags(self, record: Record) -> None:
        from mlflow.entities import RunTag

        for part in _parts([RunTag(key, value) for key, value in record["tags"].items()], TAGS_A_BATCH):
            self.client.log_batch(self.run_id, tags=part)

    def _metrics(self, records: list[Record]) -> None:
        from mlflow.entities import Metric

        points = [
            Metric(key, float(value), record["time"], record["step"])
            for record in records
            for key, value in record["values"].items()
        ]
        for part in _parts(points, METRICS_A_BATCH):
            self.client.log_batch(self.run_id, metrics=part)

    def _dataset(self, record: Record) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=record["name"],
            digest=record["digest"][:36],  # MLflow's column is that long
            source_type="ftrun",
            source=json.dumps({"source": record["source"], "revision": record["digest"]}),
            schema=json.dumps({"columns": record["columns"]}),
            profile=json.dumps({"num_rows": record["rows"], "split": record["split"]}),
        )
        context = InputTag("mlflow.data.context", record["context"])
        self.client.log_inputs(self.run_id, [DatasetInput(dataset, [context])])

    def _artifact(self, record: Record) -> None:
        path = self.folder.path / record["path"]
        self._remember(doing=record["path"])
        with _artifact_patience():
            if path.is_dir():
                self.client.log_artifacts(self.run_id, str(path), record["path"])
            else:
                parent = Path(record["path"]).parent.as_posix()
                self.client.log_artifact(self.run_id, str(path), None if parent == "." else parent)
        self._remember(doing=None)

    def _end(self, record: Record) -> None:
        self.client.set_terminated(self.run_id, record["status"], record["time"])
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
    """Two processes that open a new store at once break it: the tables are made by whoever comes first."""
    if uri.startswith("http"):
        yield
        return
    name = f"ftrun-{os.getuid()}-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
    with FileLock(Path(tempfile.gettempdir()) / name):
        yield


def _sync_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _parts(entities: list[Any], size: int) -> Iterable[list[Any]]:
    return (entities[start : start + size] for start in range(0, len(entities), size))


def _follow(folder: RunFolder) -> None:
    """Feed MLflow until the run has ended, or the process that runs it is gone, and everything is delivered."""
    import select

    os.nice(NICENESS)
    import mlflow  # noqa: F401  # while the run imports and opens its own, before there is anything to send

    connection = _Delivery(folder)
    wait = POLL_SECONDS
    deadline: float | None = None
    while folder.journal.exists() and (deadline is None or time.monotonic() < deadline):
        if deadline is not None:
            time.sleep(wait)
        elif select.select([sys.stdin], [], [], wait)[0]:  # end of file: the run's process let go, or is gone
            deadline = time.monotonic() + PATIENCE_ALONE
            mark_if_killed(folder, patience=POLL_SECONDS)
        try:
            connection.deliver()
            wait = POLL_SECONDS
            if deadline is not None:
                return
        except Exception as error:
            if not folder.journal.exists():  # the run folder was removed
                return
            _remember_failure(folder, error)
            connection = _Delivery(folder)
            wait = min(wait * 2, LONGEST_WAIT)


if __name__ == "__main__":
    _follow(RunFolder(Path(sys.argv[1])))
