"""The process that fetches a run and its model from MLflow.

    python -m ftrun.tracking.fetcher TARGET FOLDER

It says in lines of JSON on standard output what it does, and at the end what came of it; `fetching.py` reads them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock

from ftrun.errors import ExperimentError, FtrunError, Problem, RunError
from ftrun.redaction import address, redacted, redacted_uri
from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.glance import MODEL_STEP_TAG
from ftrun.runs.records import (
    RUN_TAG,
    DatasetRecord,
    EndRecord,
    MetricsRecord,
    Record,
    RunRecord,
    TagsRecord,
    encode,
)
from ftrun.tracking.deleted import GONE
from ftrun.tracking.fetching import MODEL, OF_REGISTRY, OF_RUN, PARTIAL, fetched_runs, forget
from ftrun.tracking.mlmodel import NOT_THE_MODELS
from ftrun.tracking.models import STEP_TAG, Models, is_ready
from ftrun.tracking.stores import artifact_patience, default_uri, is_missing, open_store
from ftrun.tracking.target import uri_around

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

RUNS_KEPT = 10
"""Fetched runs that are kept; the least recently used goes first."""
Say = Callable[..., None]
ENDED = ("FINISHED", "FAILED", "KILLED")


@dataclass(frozen=True)
class Source:
    """Where the files of a model are.

    Attributes:
        repository: That holds them; folder: in it, "" being its root.
        key: What is never the same for other files.
        model: MLflow's, if it is one; else they are artifacts of the run.
    """

    repository: ArtifactRepository
    folder: str
    key: str
    model: LoggedModel | None

    def files(self) -> Mapping[str, int]:
        """The names of the model's own files, and their bytes."""
        found = self.repository.list_artifacts(self.folder or None)
        names = {file.path.rpartition("/")[2]: file.file_size or 0 for file in found if not file.is_dir}
        return {name: size for name, size in names.items() if not self.model or name not in NOT_THE_MODELS}


class Fetcher:
    """Fetches from one store.

    Args:
        uri: The store's, with its credentials.
        cache: The folder that holds what is fetched.
        say: Called with what whoever waits is to know.
    """

    def __init__(self, uri: str, cache: Path, say: Say) -> None:
        self._uri = uri
        self._cache = cache
        self._say = say
        self.where = address(redacted_uri(uri))

    def fetch(self, target: str) -> RunFolder:
        """The run's folder with the model.

        Raises:
            ExperimentError: If there is no such run or model, or it is none that can be taken.
        """
        if is_missing(self._uri):
            hint = "MLFLOW_TRACKING_URI says which MLflow has it."
            raise ExperimentError(Problem(f"there is no run {target} here, and no MLflow at {self.where}", hint=hint))
        self._client = open_store(self._uri, Path.cwd())
        run_id, name, model_id = self._meant(target)
        run = self._run(run_id, target)
        told = self._name(run)
        experiment = self._experiment(run, told)
        source = self._source(run, told, name, model_id, experiment)
        folder = RunFolder(self._cache / source.key / told)
        folder.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self._cache / source.key / ".lock"):
            self._write_record(folder, run, experiment, source.model)
            self._take_model(folder, source)
        os.utime(folder.path)
        for old in [kept for kept in fetched_runs() if kept != folder][: -(RUNS_KEPT - 1)]:
            forget(old)
        return folder

    def _meant(self, target: str) -> tuple[str, str, str | None]:
        """The id of a run, the name of its model, and the model's id where it is known."""
        if target.startswith("models:/"):
            model = self._registered(target)
            return model.source_run_id or "", model.name, model.model_id
        found = OF_RUN.fullmatch(target)
        if target.startswith("runs:/") and not found:
            raise ExperimentError(Problem(f"{target} names no model of a run", hint="So: runs:/ID/model."))
        return (found["run_id"], found["name"] or MODEL, None) if found else (target, MODEL, None)

    def _registered(self, target: str) -> LoggedModel:
        from mlflow.exceptions import MlflowException

        found = OF_REGISTRY.fullmatch(target)
        hint = "So: models:/NAME/VERSION, models:/NAME@ALIAS or models:/m-ID."
        if not found:
            raise ExperimentError(Problem(f"{target} names no model of MLflow", hint=hint))
        name, version, alias = found["name"], found["version"], found["alias"]
        try:
            if version is None and alias is None:
                return self._client.get_logged_model(name)
            client = self._client
            known = client.get_model_version_by_alias(name, alias) if alias else client.get_model_version(name, version)
            model_id = known.model_id or str(known.source).removeprefix("models:/")  # SQL stores keep the source alone
            if "/" not in model_id:
                return client.get_logged_model(model_id)
            message = f"{target} is of {known.source}, and not a model that ftrun has put into MLflow"
            raise ExperimentError(Problem(message, hint="Name a run that ftrun made, or a folder with a model."))
        except MlflowException as error:
            if error.error_code not in (GONE, "INVALID_PARAMETER_VALUE"):
                raise
            raise ExperimentError(Problem(f"MLflow at {self.where} has no {target}", hint=hint)) from error

    def _run(self, run_id: str, target: str) -> Run:
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in (GONE, "INVALID_PARAMETER_VALUE"):
                raise
            hint = "Check the id, and MLFLOW_TRACKING_URI, which says which MLflow is asked."
            message = f"there is no run {target} here, and MLflow at {self.where} has none"
            raise ExperimentError(Problem(message, hint=hint)) from error
        if run.info.lifecycle_stage == "deleted":
            hint = f"To have it back: mlflow runs restore --run-id {run_id}."
            raise ExperimentError(Problem(f"the run {run_id} is deleted in MLflow at {self.where}", hint=hint))
        return run

    def _name(self, run: Run) -> str:
        """The run's name, which is that of its folder."""
        name = run.data.tags.get(RUN_TAG, "")
        if re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
            return name
        message = (
            f"the run {run.info.run_id} in MLflow at {self.where} is not one of ftrun's: no tag {RUN_TAG} names it"
        )
        raise ExperimentError(Problem(message, hint="Name a run that ftrun made, or a folder with a model."))

    def _experiment(self, run: Run, told: str) -> bytes:
        """What the run runs: the experiment that it was begun with, or last gone on with."""
        there = [file.path for file in self._client.list_artifacts(run.info.run_id)]
        resumed = [name for name in there if name.startswith("experiment-resumed-")]
        name = max(resumed, key=lambda name: int("".join(filter(str.isdecimal, name)) or 0), default="experiment.toml")
        if name not in there:
            message = f"MLflow at {self.where} has no experiment.toml of the run {told}: not all of it is there"
            hint = f"Where its folder is: ftrun sync {told}."
            raise ExperimentError(Problem(message, hint=hint))
        return self._artifact(run, name)

    def _artifact(self, run: Run, name: str) -> bytes:
        with tempfile.TemporaryDirectory() as beside, artifact_patience():
            return Path(self._client.download_artifacts(run.info.run_id, name, beside)).read_bytes()

    def _source(self, run: Run, told: str, name: str, model_id: str | None, experiment: bytes) -> Source:
        run_id = run.info.run_id
        models = Models(self._client, RunFolder(Path(told)), run_id, run.info.experiment_id)
        found = models.named(name) if model_id is None else [self._client.get_logged_model(model_id)]
        if ready := [model for model in found if is_ready(model)]:
            model = ready[-1]
            return Source(self._repository(model.artifact_location), "", model.model_id, model)
        if found:
            message = f"MLflow at {self.where} has not got all of the model of the run {told} yet"
            hint = f"If the run has ended, where its folder is: ftrun sync {told}."
            raise ExperimentError(Problem(f"{message}: it is {found[-1].status}", hint=hint))
        if name == MODEL and self._client.list_artifacts(run_id, MODEL):  # one that MLflow cannot serve
            key = f"{run_id}-{run.info.end_time}"
            return Source(self._repository(run.info.artifact_uri or ""), MODEL, key, None)
        raise self._without_model(run, told, name, experiment)

    def _without_model(self, run: Run, told: str, name: str, experiment: bytes) -> ExperimentError:
        message = f'MLflow at {self.where} has no "{name}" of the run {told}'
        tracking = tomllib.loads(experiment.decode()).get("tracking", {})
        if name == MODEL and not tracking.get("model", True):
            hint = "Name the run's folder, on the machine that has it."
            return ExperimentError(Problem(f"{message}: [tracking] model = false keeps it with the run", hint=hint))
        if run.info.status not in ENDED:
            return ExperimentError(Problem(f"{message}: the run goes on", hint="Wait for its end."))
        hint = f"Where its folder is: ftrun sync {told}, or if it has not come to its end: ftrun resume {told}."
        return ExperimentError(Problem(f"{message}, which is {run.info.status}", hint=hint))

    def _repository(self, location: str) -> ArtifactRepository:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        return get_artifact_repository(location, tracking_uri=self._uri)

    def _write_record(self, folder: RunFolder, run: Run, experiment: bytes, model: LoggedModel | None) -> None:
        write_whole(folder.experiment, experiment)
        if folder.task.name in [file.path for file in self._client.list_artifacts(run.info.run_id)]:
            write_whole(folder.task, self._artifact(run, folder.task.name))
        at = run.info.start_time or 0
        write_whole(folder.journal, b"".join(encode(record, at) for record in records_of(run, model)))

    def _take_model(self, folder: RunFolder, source: Source) -> None:
        """All files of a model; they have their folder's name from when they are whole."""
        partial = folder.model.with_name(f"{MODEL}{PARTIAL}")
        files = source.files()
        if not files and not folder.model.is_dir():
            location = source.model.artifact_location if source.model else source.repository.artifact_uri
            message = (
                f"MLflow keeps the model of the run {folder.name} at {redacted(location)}, which is not seen from here"
            )
            raise ExperimentError(Problem(message, hint="Is that a folder of another machine? Say it there."))
        self._say(run=folder.name, folder=str(folder.path), bytes=sum(files.values()))
        if folder.model.is_dir():
            return
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        self._say(partial=str(partial))
        with artifact_patience():
            for name, size in files.items():
                self._take_file(source, name, size, partial)
        partial.rename(folder.model)

    def _take_file(self, source: Source, name: str, size: int, folder: Path) -> None:
        path = f"{source.folder}/{name}" if source.folder else name
        taken = Path(source.repository.download_artifacts(path, str(folder)))  # type: ignore[no-untyped-call]
        if size and taken.stat().st_size != size:
            message = f"{name} came with {taken.stat().st_size:,} bytes of {size:,} from MLflow at {self.where}"
            raise RunError(Problem(message, hint="Say it again."))
        if taken.parent != folder:
            taken.rename(folder / name)
            shutil.rmtree(folder / source.folder, ignore_errors=True)


def records_of(run: Run, model: LoggedModel | None) -> Iterator[Record]:
    """What MLflow tells of a run, as its journal would: what it ran on, and what came of the model's step."""
    tags = run.data.tags
    yield RunRecord("", dict(run.data.params), dict(tags))
    for entry in run.inputs.dataset_inputs if run.inputs else ():
        if entry.dataset.source_type == "ftrun":
            context = next((tag.value for tag in entry.tags if tag.key == "mlflow.data.context"), "")
            yield _dataset(entry.dataset, context)
    step = str(model.tags.get(STEP_TAG) or "") if model else tags.get(MODEL_STEP_TAG, "")
    if step.isdecimal():
        points = _at_step(model, int(step)) if model else dict(run.data.metrics)
        yield MetricsRecord(int(step), {key: value for key, value in points.items() if key.startswith("eval/")})
        yield TagsRecord({MODEL_STEP_TAG: step})
    if run.info.status in ENDED:
        yield EndRecord(run.info.status)


def _at_step(model: LoggedModel, step: int) -> Mapping[str, float]:
    return {metric.key: metric.value for metric in model.metrics or () if metric.step == step}


def _dataset(told: Any, context: str) -> DatasetRecord:
    source, profile = json.loads(told.source), json.loads(told.profile or "{}")
    return DatasetRecord(
        name=told.name,
        source=source["source"],
        digest=source["revision"],
        split=profile["split"],
        rows=profile["num_rows"],
        columns=json.loads(told.schema or "{}").get("columns", []),
        context=context,
    )


def problem_of(error: Exception, where: str) -> Mapping[str, Any]:
    """What went wrong, for whoever waits."""
    if isinstance(error, FtrunError):
        problem = error.problems[0]
        return {"problem": problem.message, "hint": problem.hint, "wrong": isinstance(error, ExperimentError)}
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    if any(type(cause).__module__.startswith(("requests", "urllib3")) for cause in _causes(error)):
        *_, innermost = _causes(error)
        why = getattr(innermost, "strerror", None) or next(iter(str(innermost).splitlines()), "") or first
        hint = "Is it running, and is MLFLOW_TRACKING_URI right?"
        return {"problem": redacted(f"MLflow at {where} is out of reach: {why}"), "hint": hint}
    if isinstance(error, OSError) and error.strerror:
        return {"problem": f"what MLflow has cannot be written here: {error.strerror}: {error.filename}"}
    return {"problem": redacted(f"MLflow at {where} does not give it: {first}")}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def main(target: str, cache: str, out: IO[bytes]) -> None:
    """Fetch, and say what came of it."""

    def say(**facts: Any) -> None:
        out.write(json.dumps(facts).encode() + b"\n")
        out.flush()

    fetcher = Fetcher(uri_around() or default_uri(), Path(cache), say)
    try:
        say(folder=str(fetcher.fetch(target).path), whole=True)
    except Exception as error:
        traceback.print_exc()
        say(**problem_of(error, fetcher.where))


if __name__ == "__main__":
    with os.fdopen(os.dup(1), "wb") as told:
        os.dup2(2, 1)  # what mlflow prints is not for whoever waits
        main(sys.argv[1], sys.argv[2], told)
