"""From an experiment and the catalogue to a plan: every part found, every setting validated, nothing heavy imported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ftrun.contracts import Backend, BestBy, Component, Dataset, Direction, Kind, Metric, Model, Task
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.experiment import Experiment, ExperimentSettings, TrackingSettings, without_credentials
from ftrun.plugins import Catalogue, Offer
from ftrun.settings import OTHER_SPELLINGS, Settings, TrainingSettings, validate
from ftrun.training_arguments import NOT_TAKEN, Refusal

C = TypeVar("C", bound=Component)
S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Part:
    """A component that the experiment uses, with its settings."""

    use: str
    offer: Offer
    settings: Settings

    def component(self, kind: type[C]) -> C:
        """The component as what it is known to be."""
        return cast(C, self.offer.component)

    def table(self) -> dict[str, Any]:
        """The table as a file has it, every default filled in."""
        return {"use": self.use, **self.settings.model_dump(exclude_none=True)}


@dataclass(frozen=True)
class Plan:
    """An experiment that can be run: all its parts are there and all its settings are sound.

    Attributes:
        task: What is to be learnt, where that is known without opening the data.
        metrics: With `yields`, their numbers and better directions by key, as far as they are known.
    """

    name: str
    seed: int
    dataset: Part
    model: Part
    collator: Part
    backend: Part
    training: TrainingSettings
    metrics: tuple[Part, ...]
    tracking: TrackingSettings
    path: Path
    profile: str | None
    task: Task | None

    @property
    def experiment_name(self) -> str:
        """What MLflow calls the experiment."""
        return self.tracking.experiment_name or self.name

    @property
    def parts(self) -> Mapping[str, Part]:
        """Every part by its place in the file."""
        metrics = {f"metrics[{index}]": part for index, part in enumerate(self.metrics)}
        named = {"dataset": self.dataset, "model": self.model, "collator": self.collator, "backend": self.backend}
        return {**named, **metrics}

    def resolved(self) -> dict[str, Any]:
        """The whole experiment as a file would have it, every default filled in; it runs as it stands."""
        return {
            "format": 1,
            "name": self.name,
            "seed": self.seed,
            "dataset": self.dataset.table(),
            "model": self.model.table(),
            "collator": self.collator.table(),
            "backend": self.backend.table(),
            "training": self.training.model_dump(exclude_none=True),
            "metrics": [part.table() for part in self.metrics],
            "tracking": self._public_tracking(),
        }

    def _public_tracking(self) -> dict[str, Any]:
        """The `[tracking]` table without credentials: it is recorded, and shown."""
        uri = without_credentials(self.tracking.uri) if self.tracking.uri else None
        public = self.tracking.model_copy(update={"experiment_name": self.experiment_name, "uri": uri})
        return public.model_dump(exclude_none=True)


def make_plan(experiment: Experiment, catalogue: Catalogue) -> Plan:
    """Find every part of an experiment and validate every setting.

    Raises:
        ExperimentError: With all that is wrong at once.
    """
    planner = _Planner(experiment, catalogue)
    plan = planner.plan()
    if planner.problems or plan is None:
        raise ExperimentError(*(_with_origin(problem, experiment) for problem in planner.problems))
    return plan


def metric_directions(metrics: tuple[Part, ...], task: Task) -> dict[str, Direction]:
    """The numbers that an evaluation yields on `task`, `loss` among them, and their better directions.

    Raises:
        ExperimentError: If a metric does not suit the task, or two yield the same number.
    """
    directions: dict[str, Direction] = {"loss": "min"}
    problems: list[Problem] = []
    for index, part in enumerate(metrics):
        try:
            yields = part.component(Metric).yields(part.settings, task)
        except ExperimentError as error:
            problems += [Problem(problem.message, f"metrics[{index}]", problem.hint) for problem in error.problems]
            continue
        if refused := [name for name in yields if not re.fullmatch(r"[\w .:/-]+", name)]:
            problems.append(Problem(f"MLflow takes no metric with the name {refused[0]!r}", f"metrics[{index}]"))
        if twice := sorted(set(yields) & set(directions)):
            problems.append(Problem(f"{', '.join(twice)} is already measured", f"metrics[{index}]", "Leave one out."))
        directions.update(yields)
    if problems:
        raise ExperimentError(*problems)
    return directions


def best_by(training: TrainingSettings, directions: Mapping[str, Direction], splits: Sequence[str]) -> BestBy | None:
    """What makes one evaluation better than another, where anybody asks.

    Args:
        training: Says the metric as transformers does: "f1" or "eval_f1"; with several splits, that of the first, or of
            the one that is named ("validation_mismatched/f1").
        directions: The numbers that an evaluation yields, and their better directions.
        splits: The evaluation splits, the main one first.

    Raises:
        ExperimentError: If no metric yields that number.
    """
    if not training.looks_for_best and training.metric_for_best_model is None:
        return None
    told = training.metric_for_best_model or "loss"
    split, _, name = told.removeprefix("eval_").removeprefix("eval/").rpartition("/")
    place = "training.metric_for_best_model"
    if name not in directions:
        close = nearest(name, directions)
        hint = f"Did you mean {close}? " if close else ""
        raise ExperimentError(
            Problem(f'no metric here yields "{name}"', place, f"{hint}There are: {', '.join(directions)}.")
        )
    if split and split not in splits:
        raise ExperimentError(Problem(f'there is no split "{split}"', place, f"There are: {', '.join(splits)}."))
    prefix = "eval/" if len(splits) == 1 else f"eval/{split or splits[0]}/"
    greater = directions[name] == "max" if training.greater_is_better is None else training.greater_is_better
    return BestBy(f"{prefix}{name}", greater)


def _with_origin(problem: Problem, experiment: Experiment) -> Problem:
    origin = problem.origin or experiment.origin(problem.place)
    return Problem(problem.message, problem.place, problem.hint, origin or str(experiment.path))


class _Planner:
    """Gathers problems instead of stopping at the first."""

    def __init__(self, experiment: Experiment, catalogue: Catalogue) -> None:
        self.experiment = experiment
        self.catalogue = catalogue
        self.problems: list[Problem] = []

    def plan(self) -> Plan | None:
        tables = dict(self.experiment.tables)
        if "sweep" in tables:
            self.problems.append(Problem("sweeps are not there yet; the word is reserved", "sweep"))
            tables.pop("sweep")
        settings = self.settings(ExperimentSettings, tables)
        if settings is None:  # still say what is wrong inside the tables that are there
            settings = ExperimentSettings.model_construct(
                **{"name": "", "seed": 0, "metrics": [], **self.sound(tables)}
            )
        training = self.settings(TrainingSettings, settings.training, "training", OTHER_SPELLINGS, NOT_TAKEN)
        tracking = self.settings(TrackingSettings, settings.tracking, "tracking")
        parts = {kind: self.part(kind, getattr(settings, kind, None), kind) for kind in _SINGLE}
        metrics = [self.part("metric", table, f"metrics[{index}]") for index, table in enumerate(settings.metrics)]
        if self.problems or training is None or tracking is None:
            return None
        dataset, model, collator, backend = (cast(Part, parts[kind]) for kind in _SINGLE)
        task = self.task(dataset)
        plan = Plan(
            settings.name, settings.seed, dataset, model, collator, backend, training,
            tuple(cast(list[Part], metrics)), tracking, self.experiment.path, self.experiment.profile, task,
        )  # fmt: skip
        self.cross_check(plan)
        return plan

    def settings(
        self,
        model: type[S],
        values: Mapping[str, Any],
        place: str = "",
        spellings: Mapping[str, str] | None = None,
        not_taken: Mapping[str, Refusal] | None = None,
    ) -> S | None:
        settings, problems = validate(model, values, place, spellings, not_taken)
        self.problems += problems
        return settings

    def sound(self, tables: Mapping[str, Any]) -> dict[str, Any]:
        """The top-level values that are of the right form, for a look inside them."""
        kept: dict[str, Any] = {key: value for key, value in tables.items() if isinstance(value, dict)}
        metrics = tables.get("metrics")
        if isinstance(metrics, list) and all(isinstance(metric, dict) for metric in metrics):
            kept["metrics"] = metrics
        return {key: value for key, value in kept.items() if key in ExperimentSettings.model_fields}

    def part(self, kind: Kind, table: Mapping[str, Any] | None, place: str) -> Part | None:
        if table is None:  # said already: a required table that is missing
            return None
        use = table.get("use")
        if not isinstance(use, str):
            names = ", ".join(sorted(self.catalogue.offers(kind)))
            message = "this key is required" if use is None else f"must be the name of a {kind}, not {use!r}"
            self.problems.append(Problem(message, f"{place}.use", f"Installed: {names or 'none'}."))
            return None
        try:
            offer = self.catalogue.find(kind, use, f"{place}.use")
        except ExperimentError as error:
            self.problems += error.problems
            return None
        values = {key: value for key, value in table.items() if key != "use"}
        settings = self.settings(offer.component.settings, values, place)
        if settings is None:
            return None
        if offer.component.check:
            for problem in offer.component.check(settings):
                inside = f"{place}.{problem.place}" if problem.place else place
                self.problems.append(Problem(problem.message, inside, problem.hint))
        return Part(use, offer, settings)

    def task(self, dataset: Part) -> Task | None:
        component = dataset.component(Dataset)
        return component.task(dataset.settings) if component.task else None

    def cross_check(self, plan: Plan) -> None:
        """What the parts must have in common."""
        backend = plan.backend.component(Backend)
        if plan.training.bf16 and "bfloat16" not in backend.precisions:
            self.problems.append(Problem(f'the backend "{plan.backend.use}" cannot train in bfloat16', "training.bf16"))
        if plan.training.device not in ("auto", *backend.devices):
            self.problems.append(
                Problem(
                    f'the backend "{plan.backend.use}" cannot train on "{plan.training.device}"',
                    "training.device",
                    f"It can on: {', '.join(sorted(backend.devices))}.",
                )
            )
        if plan.task is None:
            return
        if plan.task.kind not in plan.model.component(Model).kinds:
            message = f'the model "{plan.model.use}" does not take the data set\'s kind of task, {plan.task.kind}'
            self.problems.append(Problem(message, "model.use"))
        try:
            directions = metric_directions(plan.metrics, plan.task)
            told = plan.training.metric_for_best_model
            if told is None or "/" not in told.removeprefix("eval/"):  # else the opened data tells
                best_by(plan.training, directions, [""])
        except ExperimentError as error:
            self.problems += error.problems


_SINGLE: tuple[Kind, ...] = ("dataset", "model", "collator", "backend")
