"""What a run writes down of itself, beside the points that the reporter journals."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from ftrun.contracts import Predictions, Splits
from ftrun.journal import Journal, RunFolder, write_whole
from ftrun.plan import Plan
from ftrun.process import git_state, versions
from ftrun.tracking import RUN_TAG


def flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """A nested table's values under their dotted names, as text.

    >>> dict(flat({"training": {"learning_rate": 5e-05}, "metrics": [{"use": "glue"}]}))
    {'training.learning_rate': '5e-05', 'metrics.0.use': 'glue'}
    """
    for key, value in table.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flat(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                yield from flat(item, f"{name}.{index}.")
        else:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def as_toml(table: Mapping[str, Any]) -> str:
    """A resolved experiment as TOML."""
    return tomlkit.dumps(table)


def record_start(journal: Journal, folder: RunFolder, plan: Plan, environment: Mapping[str, str]) -> None:
    """What runs, and on what: the first record of a run, from which MLflow's is made."""
    resolved = plan.resolved()
    write_whole(folder.experiment, as_toml(resolved))
    params = dict(flat({key: value for key, value in resolved.items() if key not in ("format", "tracking")}))
    journal.append("run", experiment_name=plan.experiment_name, params=params, tags=_tags(plan, folder, environment))
    journal.append("artifact", path=folder.experiment.name)


def record_data(journal: Journal, splits: Splits) -> None:
    """The data set as MLflow's datasets: one record a split."""
    contexts = [("training", "train", splits.train)]
    contexts += [("evaluation", name, rows) for name, rows in splits.evaluation.items()]
    for context, split, rows in contexts:
        journal.append(
            "dataset",
            name=f"{splits.name}/{split}",
            source=splits.source,
            digest=splits.digest,
            split=split,
            rows=len(rows),
            columns=list(rows.column_names),
            context=context,
        )


def record_predictions(
    journal: Journal, folder: RunFolder, splits: Splits, predictions: Mapping[str, Predictions]
) -> None:
    """The predictions on each evaluation split as a table, in the form that MLflow shows as one."""
    paths = []
    for split, predicted in predictions.items():
        path = folder.predictions(split)
        table = _prediction_table(splits, split, predicted)
        write_whole(path, json.dumps(table, ensure_ascii=False))
        paths.append(path.relative_to(folder.path).as_posix())
        journal.append("artifact", path=paths[-1])
    shown = json.dumps([{"path": path, "type": "table"} for path in paths])
    journal.append("tags", tags={"mlflow.loggedArtifacts": shown})


def record_model(journal: Journal, folder: RunFolder, model_folder: Path) -> None:
    """The trained model's folder."""
    journal.append("artifact", path=model_folder.relative_to(folder.path).as_posix())


def _prediction_table(splits: Splits, split: str, predicted: Predictions) -> dict[str, Any]:
    rows, task = splits.evaluation[split], splits.task
    columns = [name for name in ("idx", *task.text_columns) if name in rows.column_names]
    raw = [rows[name] for name in columns]
    values, labels = predicted.values.tolist(), predicted.labels.tolist()
    if task.class_names:
        columns += ["label", "prediction", "correct"]
        names = task.class_names
        judged = [[names[label], names[value], label == value] for label, value in zip(labels, values, strict=True)]
    else:
        columns += ["label", "prediction"]
        judged = [[label, value] for label, value in zip(labels, values, strict=True)]
    data = [[*cells, *verdict] for *cells, verdict in zip(*raw, judged, strict=True)]
    return {"columns": columns, "data": data}


def _tags(plan: Plan, folder: RunFolder, environment: Mapping[str, str]) -> dict[str, str]:
    distributions = {part.offer.distribution: part.offer.version for part in plan.parts.values()}
    git = git_state(plan.path.parent)
    tags = {
        RUN_TAG: folder.name,
        "ftrun.backend": plan.backend.use,
        "ftrun.seed": str(plan.seed),
        "ftrun.host": platform.node(),
        "ftrun.platform": platform.platform(),
        "mlflow.source.name": str(plan.path),
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
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
