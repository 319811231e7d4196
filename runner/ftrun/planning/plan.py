"""From an experiment and the catalogue to a plan: every part found, every setting validated, nothing heavy imported."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from ftrun.contracts import KINDS, Backend, Collator, Component, Kind, Model, Task
from ftrun.errors import ExperimentError, FtrunError, Problem, nearest
from ftrun.planning.answers import problems_of, problems_of_environment, task_of, unrecordable, validated
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.experiment import Experiment, ExperimentSettings, PushSettings, TrackingSettings, flat
from ftrun.planning.measures import check_measures
from ftrun.planning.objective import objective_problems
from ftrun.planning.parts import METRIC_NAME, Part
from ftrun.planning.surroundings import with_surroundings
from ftrun.redaction import is_redacted, redacted_uri, redacted_values
from ftrun.settings import OTHER_SPELLINGS, RUNNER_KEYS, Settings, TrainingSettings, float16_problem, shown, validate
from ftrun.training_arguments import NOT_TAKEN, Refusal

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Plan:
    """An experiment that can be run: all its parts are there and all its settings are sound.

    Attributes:
        path: The file; the working folder where there is none.
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
    push: PushSettings = field(default_factory=PushSettings)

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
        """The whole experiment as a file would have it, every default filled in, and without secrets: it is recorded,
        and shown. It runs as it stands, but for what needed a secret.
        """
        tables: dict[str, Any] = redacted_values(self._tables())
        return tables

    def _tables(self) -> dict[str, Any]:
        return {
            "format": 1,
            "name": self.name,
            "seed": self.seed,
            "dataset": self.dataset.table(),
            "model": self.model.table(),
            "collator": self.collator.table(),
            "backend": self.backend.table(),
            "training": self._honoured_training(),
            "metrics": [part.table() for part in self.metrics],
            "tracking": self._public_tracking(),
            **({"push": self.push.model_dump(exclude_none=True)} if self.push != PushSettings() else {}),
        }

    def _honoured_training(self) -> dict[str, Any]:
        """What the backend obeys: anything else would be a setting on the record that had no effect."""
        honours = self.backend.component(Backend).honours
        table = self.training.model_dump(exclude_none=True)
        return {key: value for key, value in table.items() if honours is None or key in honours | RUNNER_KEYS}

    def _public_tracking(self) -> dict[str, Any]:
        uri = redacted_uri(self.tracking.uri) if self.tracking.uri else None
        public = self.tracking.model_copy(update={"experiment_name": self.experiment_name, "uri": uri})
        return public.model_dump(exclude_none=True)


def make_plan(
    experiment: Experiment,
    catalogue: Catalogue,
    environ: Mapping[str, str] = os.environ,
    needs_secrets: bool = True,
    asked: Collection[Kind] = KINDS,
    trains: bool = True,
    is_record: bool = False,
) -> Plan:
    """Find every part of an experiment and validate every setting.

    Args:
        experiment: What a file declares.
        catalogue: Where its parts are found.
        environ: The environment variables that it would run under.
        needs_secrets: Whether a setting that a record holds without its secret is refused, as it is of no use.
        asked: The kinds of part that are asked whether what their settings name is there: those that are to be used.
        trains: Whether it is to train, for which its device must have the precision.
        is_record: Whether it is the record of a run, in which every key is set, whoever set it.

    Raises:
        ExperimentError: With all that is wrong at once.
    """
    planner = _Planner(experiment, catalogue, environ, needs_secrets, asked, trains, is_record)
    plan = planner.plan()
    if planner.problems or plan is None:
        raise ExperimentError(*(_with_origin(problem, experiment) for problem in planner.problems))
    return plan


def _with_origin(problem: Problem, experiment: Experiment) -> Problem:
    origin = problem.origin or experiment.origin(problem.place)
    return Problem(problem.message, problem.place, problem.hint, origin or experiment.called)


class _Planner:
    """Gathers problems instead of stopping at the first."""

    def __init__(
        self,
        experiment: Experiment,
        catalogue: Catalogue,
        environ: Mapping[str, str],
        needs_secrets: bool,
        asked: Collection[Kind],
        trains: bool,
        is_record: bool,
    ) -> None:
        self.experiment = experiment
        self.is_record = is_record
        self.trains = trains
        self.asked = asked
        self.needs_secrets = needs_secrets
        self.catalogue = catalogue
        self.environ = environ
        self.problems: list[Problem] = []

    def plan(self) -> Plan | None:
        tables = self.experiment.tables
        settings = self.settings(ExperimentSettings, tables, "", TOP_SPELLINGS, NOT_AT_TOP)
        self.problems = [_as_to_write(problem, tables) for problem in self.problems]
        if settings is None:  # still say what is wrong inside the tables that are there
            settings = ExperimentSettings.model_construct(
                **{"name": "", "seed": 0, "metrics": [], **self.sound(tables)}
            )
        training = self.settings(TrainingSettings, settings.training, "training", OTHER_SPELLINGS, NOT_TAKEN)
        tracking = self.settings(TrackingSettings, settings.tracking, "tracking")
        if tracking:
            tracking, problems = with_surroundings(tracking, self.environ)
            self.problems += problems
        push = self.settings(PushSettings, settings.push, "push")
        parts = {kind: self.part(kind, getattr(settings, kind, None), kind) for kind in _SINGLE}
        metrics = [self.part("metric", table, f"metrics[{index}]") for index, table in enumerate(settings.metrics)]
        self.check_unset(parts)
        self.check_honoured(parts["backend"], settings.training)
        task = self.task(parts["dataset"])
        self.check_backend(parts["backend"], training)
        self.check_tokenizer(parts["model"], parts["collator"])
        self.check_checkpoints(training, tracking)
        if settings.metrics == tables.get("metrics", []):  # else some of them are of no form that can be read
            self.check_measured(task, training, metrics)
        self.check_task(task, parts["model"], training)
        if self.problems or training is None or tracking is None or push is None:
            return None
        dataset, model, collator, backend = (cast(Part, parts[kind]) for kind in _SINGLE)
        return Plan(
            settings.name, settings.seed, dataset, model, collator, backend, training,
            tuple(cast(list[Part], metrics)), tracking, self.experiment.path, self.experiment.profile, task, push,
        )  # fmt: skip

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
        kept: dict[str, Any] = {
            key: value for key, value in tables.items() if isinstance(value, dict) and key != "metrics"
        }
        metrics = tables.get("metrics")
        if isinstance(metrics, list) and all(isinstance(metric, dict) for metric in metrics):
            kept["metrics"] = metrics
        return {key: value for key, value in kept.items() if key in ExperimentSettings.model_fields}

    def part(self, kind: Kind, table: Mapping[str, Any] | None, place: str) -> Part | None:
        if table is None:  # said already: a required table that is missing
            return None
        use = table.get("use")
        is_default = kind == "collator" and "collator" not in self.experiment.tables
        if is_default and len(self.catalogue.offers(kind).get(use or "", ())) > 1:
            use = f"{BUILT_IN}:{use}"  # no package changes what a file has that names none
        if not isinstance(use, str):
            names = ", ".join(sorted(self.catalogue.offers(kind)))
            message = "this key is required" if use is None else f"must be the name of a {kind}, not {shown(use)}"
            self.problems.append(Problem(message, f"{place}.use", f"Installed: {names or 'none'}."))
            return None
        try:
            offer = self.catalogue.find(kind, use, f"{place}.use")
        except ExperimentError as error:
            told = [problem for problem in error.problems if problem not in self.problems]
            causes = [problem for problem in told if problem.place is None]  # of others that are found missing, too
            self.problems = [*causes, *self.problems, *(problem for problem in told if problem.place is not None)]
            return None
        values = {key: value for key, value in table.items() if key != "use"}
        name = self.metric_name(values, place) if kind == "metric" else None
        if self.needs_secrets:
            self.refuse_redacted(values, place)
        settings, problems = validated(offer, values, place)
        self.problems += problems
        if settings is None:
            return None
        part = Part(use, offer, settings, name, is_default)
        self.problems += unrecordable(part, place)
        if kind in self.asked and kind != "backend":  # whose check is of [training], too
            self.problems += problems_of(part, place)
        return part

    def metric_name(self, values: dict[str, Any], place: str) -> str | None:
        """Takes `name` out of a metric's table: it is the runner's, and no setting of the metric's."""
        name = values.pop("name", None)
        if name is None or (isinstance(name, str) and re.fullmatch(METRIC_NAME, name)):
            return name
        message = f"must be at most 100 letters, digits, _, . and -, not {shown(name)}"
        self.problems.append(Problem(message, f"{place}.name", 'Such as name = "f1_macro".'))
        return None

    def check_unset(self, parts: Mapping[Kind, Part | None]) -> None:
        """Keys that were to be taken out may be absent, but not unknown: that is a slip, and changes nothing."""
        tables: dict[str, type[Settings]] = {"training": TrainingSettings, "tracking": TrackingSettings}
        tables |= {"push": PushSettings}
        tables |= {kind: part.offer.component.settings for kind, part in parts.items() if part}
        for dotted in self.experiment.missed:
            table, _, key = dotted.partition(".")
            if table not in ExperimentSettings.model_fields:
                known: Collection[str] = ExperimentSettings.model_fields
            elif not key or table not in tables:
                continue
            else:
                known = [f"{table}.{name}" for name in (*tables[table].model_fields, "use")]
            if not any(dotted == name or dotted.startswith(f"{name}.") for name in known):
                close = nearest(dotted if table in tables else table, known)
                hint = f"Did you mean {close}?" if close else f"The keys there: {', '.join(known)}."
                self.problems.append(Problem(f"there is no such key as {dotted}", "--unset", hint, "--unset"))

    def refuse_redacted(self, values: Mapping[str, Any], place: str) -> None:
        for key, value in flat(values, f"{place}."):
            if is_redacted(value):
                hint = f"Give it anew, with --set {key}=VALUE, or run or resume by the file that it came from."
                self.problems.append(Problem("is recorded without its secret", key, hint))

    def check_honoured(self, backend: Part | None, training: Mapping[str, Any]) -> None:
        """Keys that are set and would have no effect."""
        honours = backend.component(Backend).honours if backend else None
        if backend is None or honours is None:
            return
        unused = [key for key in training if key in TrainingSettings.model_fields and key not in honours | RUNNER_KEYS]
        if self.is_record:
            recorded = [key for key in unused if self.experiment.origin(f"training.{key}") != "--set"]
            unused = [key for key in unused if key not in recorded]
            self.refuse_recorded(backend, recorded)
        hint = f"Leave it out. It uses: {', '.join(sorted(honours)) or 'none of these keys'}."
        for key in unused:
            message = f"{backend.offer.who} does not use training.{key}"
            self.problems.append(Problem(message, f"training.{key}", hint))

    def refuse_recorded(self, backend: Part, keys: Sequence[str]) -> None:
        """Keys of a record that another backend does not use: most of them nobody has set."""
        if keys:
            message = f"{backend.offer.who} does not use what the run was begun with: {', '.join(keys)}"
            hint = "Take them out: " + " ".join(f"--unset training.{key}" for key in keys) + " --allow-changes"
            self.problems.append(Problem(message, "training", hint))

    def task(self, dataset: Part | None) -> Task | None:
        if dataset is None:
            return None
        try:
            return task_of(dataset, "dataset")
        except FtrunError as error:  # what its check has said is not said again
            self.problems += [problem for problem in error.problems if problem not in self.problems]
            return None

    def check_task(self, task: Task | None, model: Part | None, training: TrainingSettings | None) -> None:
        """What training and model have in common with the task, where the settings tell it."""
        if task is None:
            return
        if training:
            self.problems += objective_problems(training, task)
        if model and task.kind not in model.component(Model).kinds:
            message = f"{model.who} does not take the data set's kind of task, {task.kind}"
            takes = ", ".join(sorted(model.component(Model).kinds))
            self.problems.append(Problem(message, "model.use", f"It takes: {takes or 'none'}."))

    def check_measured(
        self, task: Task | None, training: TrainingSettings | None, metrics: Sequence[Part | None]
    ) -> None:
        """What the metrics yield, where all of them are there: else a number may be that of the one that is not."""
        found = [part for part in metrics if part]
        if task and training and len(found) == len(metrics):
            self.problems += check_measures(found, task, training)

    def check_backend(self, part: Part | None, training: TrainingSettings | None) -> None:
        """What the backend can, and what it says of its settings, those of [training] and the environment."""
        if part is None or training is None:
            return
        backend = part.component(Backend)
        key = {"bfloat16": "bf16", "float16": "fp16"}.get(training.precision)
        if key and training.precision not in backend.precisions:
            message = f"{part.who} cannot train in {training.precision}"
            self.problems.append(Problem(message, f"training.{key}"))
        elif self.trains and training.fp16 and training.device != "auto":
            self.problems += [problem for problem in [float16_problem(training.device)] if problem]
        if training.device not in ("auto", *backend.devices):
            message = f'{part.who} cannot train on "{training.device}"'
            hint = f"It can on: {', '.join(sorted(backend.devices))}."
            self.problems.append(Problem(message, "training.device", hint))
        self.problems += problems_of(part, "backend", training)
        self.problems += problems_of_environment(part, "backend", training, self.environ)

    def check_checkpoints(self, training: TrainingSettings | None, tracking: TrackingSettings | None) -> None:
        if training is None or tracking is None or tracking.checkpoints != "best":
            return
        if not (training.looks_for_best or training.metric_for_best_model):
            hint = 'Set training.metric_for_best_model, or take "last" or "all".'
            self.problems.append(Problem("nothing tells which checkpoint is the best", "tracking.checkpoints", hint))

    def check_tokenizer(self, model: Part | None, collator: Part | None) -> None:
        if model is None or collator is None or model.component(Model).has_tokenizer:
            return
        if problem := missing_tokenizer(model, collator):
            offers = self.catalogue.offers("collator")
            others = sorted(name for name, (offer, *_) in offers.items() if not _needs_tokenizer(offer.component))
            listed = f" Collators that need none: {', '.join(others)}." if others else ""
            self.problems.append(replace(problem, hint=f"{problem.hint}{listed}"))


def _needs_tokenizer(collator: Component) -> bool:
    return isinstance(collator, Collator) and collator.needs_tokenizer


def missing_tokenizer(model: Part, collator: Part) -> Problem | None:
    """What is wrong with a model that comes without a tokenizer; None if the collator does without one."""
    if not _needs_tokenizer(collator.offer.component):
        return None
    message = f"{collator.who} needs a tokenizer, and {model.who} comes without one"
    named = "The file names no collator: name one" if collator.is_default else "Take another collator"
    return Problem(message, "collator.use", f"{named} by [collator] use = NAME, or take another model.")


def _as_to_write(problem: Problem, tables: Mapping[str, Any]) -> Problem:
    """With how a top-level table or name is written, where a file has another form of it."""
    key, _, entry = (problem.place or "").partition("[")
    value = tables.get(key)
    if key == "name" and value is None:
        return Problem("this key is required", key, "Its runs' folders begin with it.")
    if key == "name":
        message = f"must be letters, digits, ., _ and -, at most 128, the first a letter or digit, not {shown(value)}"
        return Problem(message, key, 'Write name = "..." at the top of the file: its runs\' folders begin with it.')
    if key == "metrics" and isinstance(value, dict):
        hint = "Write [[metrics]], in double brackets, once for each metric."
        return Problem("must be a list of tables, not one table", key, hint)
    if key == "metrics" and value is not None:
        one = value[int(entry.rstrip("]"))] if entry else value
        use = one if isinstance(one, str) else "accuracy"
        return replace(problem, hint=f'Write [[metrics]], and below it use = "{use}", once for each metric.')
    if key not in (*_SINGLE, "training", "tracking", "push") or value is None:
        return problem
    if isinstance(value, list):
        return Problem("must be one table, not a list", key, f"Write [{key}], in single brackets.")
    below = f'use = "{value}"' if isinstance(value, str) and key in _SINGLE else "its keys"
    return replace(problem, hint=f"Write [{key}], and below it {below}.")


_SINGLE: tuple[Kind, ...] = ("dataset", "model", "collator", "backend")
_BELOW_TRAINING = Refusal("it is a setting of the training", "Write it below [training].")
TOP_SPELLINGS = {"metric": "metrics", "data": "dataset", "data_set": "dataset", "train": "training"}
"""What people may write for a key of the top level, and the key that is meant."""
NOT_AT_TOP: Mapping[str, Refusal] = {
    **dict.fromkeys([*TrainingSettings.model_fields, *OTHER_SPELLINGS], _BELOW_TRAINING),
    **{key: Refusal(refusal.reason, refusal.instead) for key, refusal in NOT_TAKEN.items() if key != "seed"},
    "sweep": Refusal("sweeps are not there yet; the word is reserved"),
    "extends": Refusal("only a file extends another", "Write extends at the top of the file, in no profile."),
    "profile": Refusal("profiles are a file's, and hold no profiles", "Choose one by --profile NAME."),
}
"""Keys that have no place at the top level, and why."""
