"""A model that was trained: where it is, what it has learnt, and the plan to have it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftrun.contracts import Kind, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.finding import is_run, recorded_experiment
from ftrun.execution.recording import recorded_task
from ftrun.execution.recovery import find_or_fetch
from ftrun.execution.watcher import Watcher
from ftrun.planning.answers import task_of
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.experiment import Experiment, load_experiment
from ftrun.planning.plan import Plan, make_plan
from ftrun.rowfiles import Dialect
from ftrun.runs.folder import RUNS_FOLDER, RunFolder
from ftrun.runs.history import read_history

CONFIG = "config.json"
"""What transformers says of a model, in its folder."""
PLAIN: Mapping[str, Any] = {
    "name": "prediction",
    "dataset": {"use": "sample"},  # a plan has a data set; this one is never opened
    "backend": {"use": "loop"},
    "tracking": {"enabled": False},
}
"""What is made of a folder that no run is known of, but for its model."""


@dataclass(frozen=True)
class Trained:
    """A model that was trained.

    Attributes:
        name: What to call it.
        folder: Where its files are.
        plan: With the settings of its training, and the device that is asked for.
        task: What it has learnt; None where only the data set tells. Without text columns if nothing tells them.
        run: The run that it is of; None for a folder of which none is known.
    """

    name: str
    folder: Path
    plan: Plan
    task: Task | None
    run: RunFolder | None = None

    @property
    def dialect(self) -> Dialect:
        """How cells stand in files of the data set that it was trained on."""
        table = self.plan.dataset.table() if self.run else {}
        told = {name: table[name] for name in ("delimiter", "encoding", "quoting") if name in table}
        return Dialect(**told)

    @property
    def label_separator(self) -> str | None:
        """What stands between the classes of a row in the data that it was trained on, where they are in one cell."""
        told = self.plan.dataset.table().get("label_separator") if self.run else None
        return told if isinstance(told, str) else None


def find_trained(
    target: str,
    catalogue: Catalogue,
    device: str | None = None,
    runs_folder: Path = RUNS_FOLDER,
    watcher: Watcher | None = None,
) -> Trained:
    """The model that is meant by a run's name, folder or id, by what MLflow calls it, by a folder of a run's model or
    checkpoint, or by a folder that holds a model of another making.

    Args:
        target: What is said of it.
        catalogue: Where its parts are found.
        device: Where to put it; the best one there is by default.
        runs_folder: Where runs are looked for.
        watcher: Sees it fetched, where it is in MLflow alone.

    Raises:
        ExperimentError: If there is none, or its parts are not there.
        RunError: If a later version of ftrun has written the run's journal, or MLflow is out of reach.
    """
    path = Path(target).expanduser()
    if path.is_dir() and not is_run(path):
        above = next((folder for folder in path.absolute().parents[:2] if is_run(folder)), None)
        if above is None:
            return _of_folder(path.absolute(), catalogue, device)
        return _of_run(RunFolder(above), path.absolute(), catalogue, device)
    if target.endswith(".toml"):
        hint = "Name one of its runs, or its folder in runs/."
        raise ExperimentError(Problem(f"{target} is an experiment, and a run's model predicts", hint=hint))
    run = find_or_fetch(target, runs_folder, watcher or Watcher())
    return _of_run(run, run.model, catalogue, device)


def _of_run(run: RunFolder, folder: Path, catalogue: Catalogue, device: str | None) -> Trained:
    experiment = load_experiment(recorded_experiment(run, read_history(run)))
    training = experiment.tables.get("training", {})
    if device is not None or "device" in training:  # what a backend does not obey is on no record
        training = {**training, "device": device or "auto"}
    tables = {**experiment.tables, "training": training}
    asked: Sequence[Kind] = ("collator", "metric")
    plan = make_plan(replace(experiment, tables=tables), catalogue, needs_secrets=False, asked=asked, trains=False)
    task = recorded_task(run) or task_of(plan.dataset, "dataset")
    if task and task.kind == "multi_label" and task.class_names is None:
        task = None  # only the data set tells its classes
    return Trained(run.name, folder, plan, task, run)


def _of_folder(folder: Path, catalogue: Catalogue, device: str | None) -> Trained:
    model = {"use": "sequence-classification", "checkpoint": str(folder)}
    tables = {**PLAIN, "model": model, "training": {"device": device or "auto"}}
    task = _task_of_config(folder)
    plan = make_plan(Experiment(folder, tables), catalogue, asked=())
    return Trained(folder.name, folder, plan, task)


def _task_of_config(folder: Path) -> Task:
    """What a model's own configuration says of its task."""
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        names = config.get("id2label") or {str(place): f"LABEL_{place}" for place in range(config.get("num_labels", 2))}
        classes = tuple(str(names[str(place)]) for place in range(len(names)))
    except FileNotFoundError:
        hint = "Name a run, or a folder that `save_pretrained` wrote."
        raise ExperimentError(
            Problem(f"{folder} is no run, and holds no model: there is no {CONFIG}", hint=hint)
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        message = f"{folder / CONFIG} does not name the classes of a model: {error}"
        raise ExperimentError(Problem(message)) from error
    if config.get("problem_type") == "multi_label_classification":
        return Task("multi_label", (), class_names=classes)
    if len(classes) == 1 or config.get("problem_type") == "regression":
        return Task("regression", ())
    return Task("classification", (), class_names=classes)
