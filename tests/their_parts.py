"""Parts of a package that is not there, without torch, and a run of them: each can be broken in a test."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy
import pytest
from ftrun import hookimpl
from ftrun.contracts import (
    Backend,
    BuiltModel,
    Collator,
    Dataset,
    EvaluationReport,
    FitResult,
    Job,
    Metric,
    Model,
    Predictions,
    Reporter,
    Splits,
    StepReport,
    Task,
)
from ftrun.execution.beginning import FreshStart
from ftrun.execution.outcome import Outcome
from ftrun.execution.story import execute
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.experiment import load_experiment
from ftrun.planning.installed import Installed, installed
from ftrun.planning.plan import Plan, make_plan

TASK = Task("classification", ("text",), "label", ("even", "odd"))
FILE = """
name = "numbers"
dataset = { use = "numbers" }
model = { use = "parity" }
collator = { use = "lists" }
backend = { use = "abacus" }
metrics = [{ use = "hits" }]
tracking = { enabled = false }
"""


def rows(label: Callable[[int], Any] = lambda number: number % 2, count: int = 10) -> Any:
    from datasets import Dataset

    return Dataset.from_dict({"text": [str(n) for n in range(count)], "label": [label(n) for n in range(count)]})


def of_splits() -> Any:
    from datasets import DatasetDict

    return DatasetDict({"train": rows()})


def splits(**changed: Any) -> Splits:
    sound = Splits(
        task=TASK, train=rows(), evaluation={"validation": rows()}, name="numbers", source="here", digest="1"
    )
    return replace(sound, **changed)


class Parity:
    """Gives logits of the right shape, and a loss; and can be kept."""

    def __call__(self, number: list[float], labels: list[int] | None = None) -> Any:
        logits = numpy.eye(2, dtype="float32")[[int(n) % 2 for n in number]]
        return types.SimpleNamespace(logits=logits, loss=None if labels is None else 0.5)

    def save_pretrained(self, folder: Path) -> None:
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "model.txt").write_text("parity")


def encode(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"number": [float(text) for text in batch["text"]], "labels": list(batch["label"])}


def built(**changed: Any) -> BuiltModel:
    return replace(BuiltModel(Parity(), None, encode, "parity-1", "nowhere"), **changed)  # type: ignore[arg-type]


def collate(rows: Any) -> Mapping[str, Any]:
    return {name: [row[name] for row in rows] for name in ("number", "labels")}


def hits(predictions: Predictions) -> Mapping[str, float]:
    return {"hits": float((predictions.values == predictions.labels).sum())}


def predicted(job: Job, rows: Any) -> Predictions:
    batch = job.collate([rows[row] for row in range(len(rows))])
    output: Any = job.model(**batch)
    return Predictions(output.logits, numpy.array(batch["labels"]), output.loss)


def trained(job: Job, reporter: Reporter) -> FitResult:
    """Three steps, the second with a checkpoint, and an evaluation."""
    reporter.training_started(3)
    for step in (1, 2, 3):
        reporter.stepped(StepReport(step, step / 3, 1 / step, 0.1, 1.0, 1))
        if step == 2:
            with reporter.checkpoint(step) as folder:
                (folder / "weights.txt").write_text("parity")
    return evaluated(job, reporter)


def evaluated(job: Job, reporter: Reporter, **changed: Any) -> FitResult:
    predictions = {split: predicted(job, rows) for split, rows in job.evaluation.items()}
    metrics = {f"eval/{name}": value for e in job.evaluators for name, value in e(predictions["validation"]).items()}
    reporter.evaluated(EvaluationReport(3, 1.0, metrics))  # type: ignore[arg-type]
    reporter.settle()
    job.model.save_pretrained(job.run_folder / "model")
    fit = FitResult(3, 1.0, True, metrics, predictions, job.run_folder / "model", 3)  # type: ignore[arg-type]
    return replace(fit, **changed)


class Session:
    """Trains without torch."""

    told: Any = {"device": "abacus", "threads": "1", "precision": "beads"}
    train: Any = staticmethod(trained)
    say: Any = staticmethod(predicted)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def environment(self) -> Any:
        return self.told

    def seed(self, seed: int) -> None:
        pass

    def fit(self, job: Job, reporter: Reporter) -> Any:
        return self.train(job, reporter)

    def predict(self, job: Job, rows: Any) -> Any:
        return self.say(job, rows)


Parts = Mapping[str, Callable[..., Any]]
SOUND: Parts = {
    "dataset": lambda settings: splits(),
    "model": lambda settings, splits: built(),
    "collator": lambda settings, tokenizer: collate,
    "metric": lambda settings, task: hits,
    "backend": lambda settings, training: Session(),
}


def run(
    parts: Parts,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    watcher: Watcher | None = None,
    file: str = FILE,
    kinds: frozenset[str] = frozenset({"classification", "regression"}),
) -> Outcome:
    """An experiment made of these parts, all of one package."""
    plan, catalogue = planned(parts, folder, monkeypatch, file, kinds)
    return execute(plan, catalogue, watcher or Watcher(), FreshStart(plan))


def planned(
    parts: Parts, folder: Path, monkeypatch: pytest.MonkeyPatch, file: str, kinds: frozenset[str]
) -> tuple[Plan, Catalogue]:
    """The plan of such an experiment, and what it was made from.

    Args:
        parts: What each component's `build` is, by kind.
        file: The experiment's, as text.
        kinds: Of task, that the model takes.
    """
    module = types.ModuleType("their_package")
    parts = {**SOUND, **parts}
    offers: dict[str, Any] = {
        "ftrun_datasets": Dataset(name="numbers", summary="Numbers", build=parts["dataset"], task=parts.get("task")),
        "ftrun_models": Model(
            name="parity",
            summary="Knows",
            build=parts["model"],
            has_tokenizer=False,
            kinds=kinds,
            load=parts.get("load"),
        ),
        "ftrun_collators": Collator(name="lists", summary="No tensors", build=parts["collator"]),
        "ftrun_metrics": Metric(
            name="hits", summary="Right rows", yields=lambda s, t: {"hits": "max"}, build=parts["metric"]
        ),
        "ftrun_backends": Backend(
            name="abacus", summary="No torch", build=parts["backend"], checkpoint_format="beads 1"
        ),
    }
    for hook, component in offers.items():
        setattr(module, hook, hookimpl(specname=hook)(lambda component=component: [component]))
    monkeypatch.setitem(sys.modules, "their_package", module)
    theirs = Installed("their-package", "3", [EntryPoint("main", "their_package", "ftrun")])
    ours = [] if "abacus" in file else [one for one in installed("ftrun") if one.name == BUILT_IN]
    catalogue = load_catalogue(there=[*ours, theirs])
    (folder / "numbers.toml").write_text(file)
    return make_plan(load_experiment(folder / "numbers.toml"), catalogue), catalogue


def session(**changed: Any) -> Parts:
    """A backend that does one thing otherwise."""
    functions = {name: staticmethod(value) if callable(value) else value for name, value in changed.items()}
    return {"backend": lambda settings, training: type("Other", (Session,), functions)()}
