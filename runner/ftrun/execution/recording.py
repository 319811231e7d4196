"""What a run writes down of itself, beside the points that the reporter journals."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import tomlkit

from ftrun.contracts import BuiltModel, FitResult, Predictions, Splits, Task
from ftrun.execution.decoding import PREDICTED
from ftrun.execution.encoded_labels import KNOWN
from ftrun.execution.model_facts import model_facts
from ftrun.execution.provenance import git_state, machine, plugin_code, versions
from ftrun.execution.row_sample import sample_checksum
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.experiment import flat
from ftrun.planning.measures import rows_without_numbers
from ftrun.planning.plan import Plan
from ftrun.runs.arrays import write_array
from ftrun.runs.checkpoints import sync_folder
from ftrun.runs.folder import RunFolder, write_whole
from ftrun.runs.journal import Journal
from ftrun.runs.records import (
    GROUP_TAG,
    NAME_TAG,
    RUN_TAG,
    TABLES_TAG,
    ArtifactRecord,
    DatasetRecord,
    RunRecord,
    TagsRecord,
)

MODEL_SOURCE_TAG = "ftrun.model.source"
MODEL_DIGEST_TAG = "ftrun.model.digest"
CODE_TAG = "ftrun.code."
MODEL_CLASSES_TAG = "ftrun.model.classes"
"""Which weights, and the order of their classes where it is not the task's."""
LONGEST_TAG = 5000
NO_LABEL = -100
"""What stands in `Predictions.labels` at a place without a label."""


def as_toml(table: Mapping[str, Any]) -> str:
    """A resolved experiment as TOML."""
    return tomlkit.dumps(table)


def record_experiment(folder: RunFolder, plan: Plan) -> None:
    """The resolved experiment: the first thing that a run folder holds."""
    write_whole(folder.experiment, as_toml(plan.resolved()))


def record_start(journal: Journal, folder: RunFolder, plan: Plan, tags: Mapping[str, str]) -> None:
    """What runs, and on what: the first record of a run, from which MLflow's is made."""
    resolved = plan.resolved()
    params = dict(flat({key: value for key, value in resolved.items() if key not in ("format", "tracking", "push")}))
    journal.append(RunRecord(plan.experiment_name, params, tags))
    journal.append(ArtifactRecord(folder.experiment.name))


def is_sampled(plan: Plan) -> bool:
    """Whether rows are recorded by more than what their data set says: ftrun's own say a commit, or a checksum."""
    return plan.dataset.offer.distribution != BUILT_IN


def record_data(
    journal: Journal, splits: Splits, recorded: Collection[tuple[str, str]] = (), sampled: bool = False
) -> None:
    """The data set as MLflow's datasets: one record a split, but for those that are recorded already.

    Args:
        recorded: These, by context and split.
        sampled: Whether a resumed run is to compare a sample of the rows, too: a digest may not tell them apart.
    """
    for (context, split), rows in splits.used.items():
        if (context, split) in recorded:
            continue
        dataset = DatasetRecord(
            name=f"{splits.name}/{split}",
            source=splits.source,
            digest=splits.digest_of(split),
            split=split,
            rows=len(rows),
            columns=list(rows.column_names),
            context=context,
            sample=sample_checksum(rows, splits.task) if sampled else None,
        )
        journal.append(dataset)


def record_task(journal: Journal, folder: RunFolder, task: Task) -> None:
    """What the data set asks of a model, for whoever predicts with it when the data is no longer there."""
    write_whole(folder.task, json.dumps(asdict(task), ensure_ascii=False))
    journal.append(ArtifactRecord(folder.task.name))


def recorded_task(folder: RunFolder) -> Task | None:
    """What was recorded so; None if there is nothing, as in runs of before."""
    try:
        facts: dict[str, Any] = json.loads(folder.task.read_text(encoding="utf-8"))
        names = facts.pop("class_names")
        return Task(
            **{**facts, "text_columns": tuple(facts["text_columns"])},
            class_names=None if names is None else tuple(names),
        )
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def record_predictions(
    journal: Journal, folder: RunFolder, splits: Splits, predictions: Mapping[str, Predictions]
) -> Sequence[str]:
    """The predictions on each evaluation and test split as a table, in the form that MLflow shows as one, and with one
    class a row or any number the logits as an array; of a task that only plugins know, as the model's `decode` tells
    them, where there is one. Returns the paths of the tables.
    """
    paths = []
    folder.predictions_folder.mkdir(exist_ok=True)
    for split, predicted in predictions.items():
        path = folder.predictions(split)
        table = _prediction_table(splits, split, predicted)
        write_whole(path, json.dumps(table, ensure_ascii=False, default=str, allow_nan=False))  # such as a date in idx
        paths.append(path.relative_to(folder.path).as_posix())
        journal.append(ArtifactRecord(paths[-1]))
        if splits.task.kind in ("classification", "multi_label"):
            write_array(folder.logits(split), predicted.logits)
            journal.append(ArtifactRecord(folder.logits(split).relative_to(folder.path).as_posix()))
    record_tables(journal, paths)
    return paths


def record_tables(journal: Journal, paths: Sequence[str]) -> None:
    """All the tables of a run by their paths, for MLflow to show them."""
    journal.append(TagsRecord({TABLES_TAG: json.dumps([{"path": path, "type": "table"} for path in paths])}))


def record_pictures(journal: Journal, folder: RunFolder, tables: Sequence[str]) -> None:
    """The folder of pictures, and all the tables of the run, those in it among them."""
    journal.append(ArtifactRecord(folder.pictures.name))
    record_tables(journal, tables)


def record_model(journal: Journal, folder: RunFolder, fit: FitResult, built: BuiltModel, splits: Splits) -> str | None:
    """The trained model; it is on disk before the journal says so.

    Returns:
        A sentence that a person should read where MLflow can have no more than its files.
    """
    assert fit.model_folder is not None
    sync_folder(fit.model_folder)
    path = fit.model_folder.relative_to(folder.path).as_posix()
    facts = model_facts(path, fit.model_step, built, splits, fit.model_folder)
    journal.append(ArtifactRecord(path) if isinstance(facts, str) else facts)
    return facts if isinstance(facts, str) else None


def _prediction_table(splits: Splits, split: str, predicted: Predictions) -> dict[str, Any]:
    if predicted.decoded is not None and splits.task.kind not in KNOWN:
        return _decoded_table(splits.task, predicted, predicted.decoded)
    rows, task = {**splits.test, **splits.evaluation}[split], splits.task
    columns = [name for name in ("idx", *task.text_columns) if name in rows.column_names]
    raw = [rows[name][:] for name in columns]
    values = predicted.values.tolist()
    for place in rows_without_numbers(predicted):  # the largest of no numbers is no class
        values[place] = None
    if predicted.labels is None:
        columns.append("prediction")
        judged = [[None if value is None else _named(task, value)] for value in values]
    else:
        columns += ["label", "prediction", "correct"] if task.class_names else ["label", "prediction"]
        judged = [_judged(task, *both) for both in zip(predicted.labels.tolist(), values, strict=True)]
    if splits.task.kind == "classification":
        columns.append("probability")
        judged = [[*verdict, sure] for verdict, sure in zip(judged, _probabilities(predicted.logits), strict=True)]
    if splits.task.kind == "multi_label" and task.class_names:
        columns += [f"probability_{name}" for name in task.class_names]
        judged = [[*verdict, *shares] for verdict, shares in zip(judged, _of_each(predicted.logits), strict=True)]
    data = [[*map(_json_cell, (*cells, *verdict))] for *cells, verdict in zip(*raw, judged, strict=True)]
    return {"columns": columns, "data": data}


def _decoded_table(task: Task, predicted: Predictions, decoded: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Of a task that only plugins know: each row with its label as the data has it, and what the model's `decode` tells
    of it; and whether that is right, where it is in classes, as the label is.
    """
    raw: Mapping[str, Sequence[Any]] = predicted.rows or {}
    names, told = task.class_names or (), decoded[PREDICTED]
    table: dict[str, Sequence[Any]] = {name: raw[name] for name in ("idx", *task.text_columns) if name in raw}
    if predicted.labels is None or task.label_column not in raw:
        table[PREDICTED] = told
    else:
        labels = [_by_name(names, label) for label in raw[task.label_column]]
        table |= {"label": labels, PREDICTED: told}
        if names and all(_is_of_classes(names, cell) for cell in (*told, *labels)):
            table["correct"] = [label == cell for label, cell in zip(labels, told, strict=True)]
    table |= {name: cells for name, cells in decoded.items() if name not in table}
    rows = zip(*table.values(), strict=True)
    return {"columns": list(table), "data": [list(map(_json_cell, row)) for row in rows]}


def _by_name(names: Sequence[str], label: Any) -> Any:
    """A label as the data has it, class ids by the names of their classes; anything else as it is."""
    if isinstance(label, list):
        return [_by_name(names, one) for one in label]
    return names[label] if type(label) is int and 0 <= label < len(names) else label


def _is_of_classes(names: Sequence[str], cell: Any) -> bool:
    """Whether a cell is a class, or a list of them, of which some may not be told."""
    if isinstance(cell, list):
        return all(one is None or one in names for one in cell)
    return isinstance(cell, str) and cell in names


def _probabilities(logits: Any) -> list[float]:
    """How probable the most probable class of every row is said to be, by softmax in float64."""
    beyond = logits.astype("float64") - logits.max(axis=-1, keepdims=True)
    sure: list[float] = (1 / (math.e**beyond).sum(axis=-1)).tolist()
    return sure


def _of_each(logits: Any) -> list[list[float]]:
    """How probable each class of every row is said to be, by the logistic function."""
    return [[logistic(logit) for logit in row] for row in logits.tolist()]


def logistic(logit: float) -> float:
    """The probability that a logit stands for, where a row has any number of classes; no logit is too large for it."""
    return 0.5 * (1 + math.tanh(logit / 2))


def _named(task: Task, value: Any) -> Any:
    """What is said of a row without a label: classes by name, or a number."""
    names = task.class_names
    if not names:
        return value
    if not isinstance(value, list):
        return names[value]
    if task.kind == "multi_label":
        return [name for name, on in zip(names, value, strict=True) if on]
    return [names[class_id] for class_id in value]


def _judged(task: Task, label: Any, value: Any) -> list[Any]:
    """What a row is, what is said of it, and, where there are classes, whether that is right; None of both where
    nothing is said.
    """
    names = task.class_names
    if not names:
        return [label, value]
    if not isinstance(label, list):
        return [names[label], *((None, None) if value is None else (names[value], label == value))]
    if task.kind == "multi_label":
        there, said = (None if row is None else _named(task, row) for row in (label, value))
    else:  # a class for every place that has one
        places = [place for place, class_id in enumerate(label) if class_id != NO_LABEL]
        there, said = (None if row is None else [names[row[place]] for place in places] for row in (label, value))
    return [there, said, None if said is None else there == said]


def _json_cell(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json_cell(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _json_cell(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def run_tags(plan: Plan, folder: RunFolder, environment: Mapping[str, str]) -> dict[str, str]:
    """What the numbers depend on besides the settings, and where the run comes from, by the names of MLflow's tags."""
    distributions = {part.offer.distribution: part.offer.version for part in plan.parts.values()}
    git = git_state(plan.path.parent)
    tags = {
        RUN_TAG: folder.name,
        NAME_TAG: display_name(plan, folder),
        GROUP_TAG: group_of(plan),
        "ftrun.backend": plan.backend.use,
        "ftrun.seed": str(plan.seed),
        **{f"ftrun.{key}": value for key, value in machine().items()},
        "mlflow.source.name": str(plan.path.absolute()),
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        **{f"ftrun.{key}": value for key, value in environment.items()},
        **{f"ftrun.version.{name}": number for name, number in versions(frozenset(distributions)).items()},
        **{f"ftrun.git.{key}": value for key, value in git.items()},
    }
    if plan.profile:
        tags["ftrun.profile"] = plan.profile
    if git:
        tags["mlflow.source.git.commit"] = git["commit"]
    return {**tags, **(plan.tracking.tags or {})}


PLUGIN_TAG = "ftrun.plugin."
"""Before a distribution's name: its version, and what it had to do with the run."""


def plugin_tags(plan: Plan, catalogue: Catalogue) -> dict[str, str]:
    """The distributions that provide a part of a run or look on: version, parts and observing hooks of each, and the
    checksum of the code of those that provide a part.
    """
    took_part: dict[tuple[str, str], list[str]] = {}
    for place, part in plan.parts.items():
        took_part.setdefault((part.offer.distribution, part.offer.version), []).append(f"{place} {part.use}")
    for plugin in catalogue.plugins:
        if plugin.observes:
            took_part.setdefault((plugin.distribution, plugin.version), []).append(
                f"observes {', '.join(plugin.observes)}"
            )
    told = {
        f"{PLUGIN_TAG}{name}": f"{version}: {'; '.join(did)}"[:LONGEST_TAG]
        for (name, version), did in took_part.items()
    }
    code = plugin_code(plan.parts.values(), catalogue)
    return told | {f"{CODE_TAG}{name}": digest for name, digest in code.items()}


def display_name(plan: Plan, folder: RunFolder) -> str:
    """What MLflow's pages call a run; they show its first 21 characters or so, where it must differ from others."""
    return plan.tracking.run_name or f"{plan.backend.use} s{plan.seed} {folder.name.rpartition('-')[2]}"


def group_of(plan: Plan) -> str:
    """What is equal for runs that differ in nothing but the seed: a digest of all other settings."""
    apart = ("name", "seed", "tracking", "push")
    settings = {key: value for key, value in plan.resolved().items() if key not in apart}
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]


def model_tags(built: BuiltModel) -> dict[str, str]:
    """Where the weights come from, what tells them apart, and the order of their classes where it is their own."""
    tags = {MODEL_SOURCE_TAG: built.source}
    if built.digest is not None:
        tags[MODEL_DIGEST_TAG] = built.digest
    if built.class_names is not None:
        tags[MODEL_CLASSES_TAG] = json.dumps(built.class_names, ensure_ascii=False)[:LONGEST_TAG]
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
