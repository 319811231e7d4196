"""A small experiment, run in a temporary folder, and what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ftrun.contracts import BackendSession, BuiltModel, Component, Job, Splits
from ftrun.execution.beginning import FreshStart
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.preparation import build_model, make_job, open_data, open_session
from ftrun.execution.resumption import plan_resumption
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.experiment import Experiment
from ftrun.planning.layers import Layers
from ftrun.planning.plan import Plan, make_plan
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import MODEL_STEP_TAG
from ftrun.runs.journal import read_journal
from ftrun.runs.records import CheckpointRecord, MetricsRecord, TagsRecord
from ftrun.runs.results import RunResult
from ftrun.testing.offers import catalogue_with

Table = Mapping[str, Any]

EXPERIMENT: Table = {
    "name": "tiny",
    "seed": 1,
    "dataset": {"use": "ftrun.testing:tiny"},
    "model": {"use": "ftrun.testing:tiny"},
    "collator": {"use": "ftrun:dynamic-padding"},
    "backend": {"use": "ftrun:loop"},
    "training": {
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "device": "cpu",
    },
    "metrics": [{"use": "ftrun:accuracy"}],
    "tracking": {"enabled": False, "pictures": False, "system_metrics": False},
}
"""Six steps: 20 rows are three batches of 8, the last of 4, in each of two epochs."""


@dataclass(frozen=True)
class Workshop:
    """All that a run has before it trains: the plan's parts, made."""

    plan: Plan
    session: BackendSession
    splits: Splits
    built: BuiltModel
    job: Job


@dataclass(frozen=True)
class TinyRun:
    """A run of the tiny experiment, as it ended.

    Attributes:
        folder: The run folder.
        result: As `ftrun.run` returns it: `status`, `error`, `steps`, `metrics`.
    """

    folder: Path
    result: RunResult

    @cached_property
    def points(self) -> Mapping[tuple[str, int], float]:
        """All numbers of the run by name and step, such as ("train/loss", 1) and ("eval/accuracy", 3)."""
        records = [record for record in self._records if isinstance(record, MetricsRecord)]
        return {(key, record.step): value for record in records for key, value in record.values.items()}

    @property
    def curve(self) -> Mapping[int, float]:
        """The loss of every step."""
        return {step: value for (key, step), value in self.points.items() if key == "train/loss"}

    @property
    def checkpoints(self) -> Sequence[int]:
        """The steps whose checkpoints were published, in that order."""
        return [record.step for record in self._records if isinstance(record, CheckpointRecord)]

    @property
    def model_step(self) -> int | None:
        """The step that the run's model is of; None if the run was stopped."""
        told = [record.tags for record in self._records if isinstance(record, TagsRecord)]
        steps = [int(tags[MODEL_STEP_TAG]) for tags in told if MODEL_STEP_TAG in tags]
        return steps[-1] if steps else None

    @property
    def model(self) -> Mapping[str, bytes]:
        """The files of the trained model and its tokenizer, by their names; empty if the run was stopped."""
        folder = self.folder / "model"
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    @property
    def predictions(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """What the model said of each evaluation split, row by row: the text, `label`, `prediction`."""
        tables = {path.stem: json.loads(path.read_text()) for path in self._predicted("json")}
        return {
            split: [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
            for split, table in tables.items()
        }

    @property
    def logits(self) -> Mapping[str, Sequence[Sequence[float]]]:
        """The numbers behind predictions of classes, by evaluation split: one a class, for each row."""
        import numpy as np

        return {path.stem: np.load(path).tolist() for path in self._predicted("npy")}

    @property
    def log(self) -> str:
        """What the libraries had to say, and every traceback."""
        path = self.folder / "log.txt"
        return path.read_text() if path.is_file() else ""

    def died_after(self, step: int) -> Path:
        """A copy of the run folder as it would be had the process died right after the checkpoint of a step stood."""
        folder = self.folder.with_name(f"{self.folder.name}-died-after-{step}")
        shutil.copytree(self.folder, folder)
        for leftover in ("model", "predictions", "checkpoints.json"):
            path = folder / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
            if int(checkpoint.name.rpartition("-")[2]) > step:
                shutil.rmtree(checkpoint)
        _cut_journal(folder / "journal.jsonl", step)
        return folder

    @cached_property
    def _records(self) -> Sequence[Any]:
        return [entry.record for entry, _ in read_journal(RunFolder(self.folder).journal)]

    def _predicted(self, suffix: str) -> Sequence[Path]:
        return sorted((self.folder / "predictions").glob(f"*.{suffix}"))


def _cut_journal(journal: Path, step: int) -> None:
    kept = []
    for line in journal.read_text().splitlines(keepends=True):
        kept.append(line)
        record = json.loads(line)
        if record["type"] == "checkpoint" and record["step"] == step:
            break
    journal.write_text("".join(kept))


def run_tiny(
    folder: str | os.PathLike[str],
    overrides: Table | None = None,
    backend: str = "loop",
    components: Sequence[Component] = (),
) -> TinyRun:
    """Run a small experiment, six steps on a few rows, in a second or less once the libraries are imported.

    Nothing outside the folder is written, and neither the Hub nor MLflow is asked.

    Args:
        folder: Where its run folder is made.
        overrides: Values by dotted key, laid over the experiment, such as `{"metrics": [{"use": "kappa"}]}` or
            `{"training.max_steps": 2}`; None takes a key out. Its data set and model are `ftrun.testing:tiny`: three
            classes of pairs, or as `dataset.kind`, `dataset.columns`, `dataset.classes` and `dataset.rows` say.
        backend: The backend's name.
        components: Offered besides the installed ones, each by `use = "under-test:NAME"`.

    Raises:
        ExperimentError: If the experiment is wrong; nothing was run then.
        RuntimeError: If the run does not come to its end, with why.
    """
    run = attempt(Path(folder), {"backend.use": backend, **(overrides or {})}, catalogue_with(components))
    if run.result.status != "FINISHED":
        raise RuntimeError(f"the run {run.result.status}: {run.result.error}\n{run.log}")
    return run


def plan_of(overrides: Table, catalogue: Catalogue) -> Plan:
    """The plan of the tiny experiment.

    Raises:
        ExperimentError: If it is wrong.
    """
    layers = Layers()
    layers.add(EXPERIMENT, "the tiny experiment")
    layers.override({key: value for key, value in overrides.items() if value is not None})
    layers.remove([key for key, value in overrides.items() if value is None])
    return make_plan(Experiment(Path("tiny.toml"), layers.tables, None, layers.origins), catalogue)


def attempt(
    folder: Path,
    overrides: Table,
    catalogue: Catalogue,
    watcher: Watcher | None = None,
) -> TinyRun:
    """Run the tiny experiment to whatever end it comes to.

    Args:
        folder: Where its run folder is made.
        overrides: As `run_tiny` has them.
        catalogue: Where its parts are found.
        watcher: Who watches.

    Raises:
        ExperimentError: If it is wrong.
    """
    plan = plan_of(overrides, catalogue)
    with _kept_small(folder):
        outcome = execute(plan, catalogue, watcher or Watcher(), FreshStart(plan, folder / "runs"))
    return TinyRun(outcome.result.run_folder, outcome.result)


@contextlib.contextmanager
def open_workshop(folder: Path, plan: Plan) -> Iterator[Workshop]:
    """Open the data, build the model and make a job, as a run does.

    Args:
        folder: For a run folder that nothing is written into.
        plan: Whose parts.

    Raises:
        ExperimentError: If one of them is not what the contract says.
    """
    watcher = Watcher()
    with _kept_small(folder), open_session(plan) as session, EncodedCache() as cache:
        splits, best = open_data(plan, watcher)
        session.seed(plan.seed)
        built = build_model(plan, splits, watcher)
        job = make_job(plan, splits, built, best, cache, watcher, FreshStart(plan, folder / "runs"))
        yield Workshop(plan, session, splits, built, job)


def go_on(run_folder: Path, catalogue: Catalogue) -> TinyRun:
    """Go on with a run that stopped.

    Raises:
        ExperimentError: If something has changed that may not.
        RunError: If nothing is left to do.
    """
    plan, resumption = plan_resumption(str(run_folder), catalogue, {}, run_folder.parent)
    with _kept_small(run_folder.parent.parent):
        outcome = execute(plan, catalogue, Watcher(), resumption)
    return TinyRun(outcome.result.run_folder, outcome.result)


class StoppingAfter(Watcher):
    """Asks the run to stop after a step, as a terminal or a scheduler does.

    Args:
        step: The step; it must be watched in the main thread.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        """Sends SIGTERM, which the run catches."""
        if step == self.step:
            signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def _kept_small(folder: Path) -> Iterator[None]:
    """Keep what is encoded out of the user's cache, and so little work to one thread: others may test beside it."""
    import torch

    name = "HF_DATASETS_CACHE"
    before, threads = os.environ.get(name), torch.get_num_threads()
    os.environ[name] = str(folder / "cache")
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def difference(one: TinyRun, other: TinyRun, names: tuple[str, str], tolerance: float = 0.0) -> str | None:
    """The first number that two runs do not have alike, or the first file of their models, as a sentence; None if all
    is alike.

    Args:
        one: A run.
        other: Another one.
        names: What to call them.
        tolerance: By what share numbers may differ; models may then, too.
    """
    every = dict.fromkeys([*one.points, *other.points])  # in the order in which they were told: the loss comes first
    order = sorted(every, key=lambda point: (point[1], not point[0].startswith("train")))
    for key, step in order:
        first, second = one.points.get((key, step)), other.points.get((key, step))
        if first is None or second is None or not is_close(first, second, tolerance):
            return f"{key} at step {step} is {first!r} {names[0]}, and {second!r} {names[1]}"
    if tolerance or one.model == other.model:
        return None
    files = {*one.model, *other.model}
    unlike = sorted(name for name in files if one.model.get(name) != other.model.get(name))
    return f"all numbers are alike, but {', '.join(unlike)} of the model differs {names[0]} and {names[1]}"


def is_close(one: float, other: float, tolerance: float) -> bool:
    """Whether two numbers are alike; what is no number is alike to another that is none."""
    return (
        one == other
        or abs(one - other) <= tolerance * max(abs(one), abs(other)) + tolerance / 100
        or one != one != other
    )
