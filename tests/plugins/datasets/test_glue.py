"""GLUE's tasks, with GLUE's classes in GLUE's order."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import GlueSettings
from ftrun_plugins.datasets.glue import build as build_glue
from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS


@pytest.mark.parametrize("labels", [("0", "1"), ("not_equivalent", "equivalent")])
def test_glue_in_files_of_csv_has_ids_or_names(workdir: Path, labels: tuple[str, str]) -> None:
    folder = workdir / "glue" / "mrpc"
    folder.mkdir(parents=True)
    card = "configs:\n- config_name: mrpc\n  data_files:\n"
    for split in ("train", "validation"):
        lines = ["sentence1,sentence2,label", *(f"a {split},b,{label}" for label in labels)]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
        card += f"  - split: {split}\n    path: mrpc/{split}.csv\n"
    (workdir / "glue" / "README.md").write_text(f"---\n{card}---\n")
    splits = build_glue(GlueSettings(task="mrpc", path=str(workdir / "glue")))
    assert list(splits.train["label"]) == [0, 1] and splits.train.features["label"].names[1] == "equivalent"


def lay_out(folder: Path, task: str, columns: Mapping[str, list[Any]], splits: Sequence[str]) -> str:
    """A GLUE of one task, as the Hub has it."""
    from datasets import Dataset

    (folder / task).mkdir(parents=True)
    entries = []
    for split in splits:
        named = {
            name: [f"{value} of {split}" if isinstance(value, str) else value for value in values]
            for name, values in columns.items()
        }
        Dataset.from_dict(named).to_parquet(folder / task / f"{split}.parquet")
        entries.append({"split": split, "path": f"{task}/{split}.parquet"})
    (folder / "README.md").write_text(
        f"---\n{json.dumps({'configs': [{'config_name': task, 'data_files': entries}]})}\n---\n"
    )
    return str(folder)


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_every_task_opens_with_its_columns_classes_and_splits(tmp_path: Path, task: Any) -> None:
    facts = GLUE_TASKS[task]
    labels: list[Any] = list(range(len(facts.class_names))) if facts.class_names else [0.5, 3.25]
    columns = {**{name: [f"{name} {label}" for label in labels] for name in facts.text_columns}, "label": labels}
    path = lay_out(tmp_path / "glue", task, columns, ["train", *facts.evaluation, *facts.test])
    opened = build_glue(GlueSettings(task=task, path=path))
    assert opened.task == facts.task(task) and opened.task.benchmark == f"glue/{task}"
    assert tuple(opened.evaluation) == facts.evaluation and tuple(opened.test) == facts.test
    assert list(opened.train["label"]) == labels and opened.name == f"{path}/{task}"


def test_a_task_without_its_test_rows_opens_and_one_without_its_evaluation_is_told(tmp_path: Path) -> None:
    columns: dict[str, list[Any]] = {"sentence": ["a", "b"], "label": [0, 1]}
    path = lay_out(tmp_path / "glue", "sst2", columns, ["train", "validation"])
    assert build_glue(GlueSettings(task="sst2", path=path)).test == {}
    path = lay_out(tmp_path / "other", "sst2", columns, ["train"])
    with pytest.raises(ExperimentError, match=r'no split "validation"\s+It has: train\.'):
        build_glue(GlueSettings(task="sst2", path=path))


@pytest.mark.parametrize("task", ["mrpc", "mnli", "stsb"])
def test_its_test_splits_are_for_the_end_where_the_file_asks(tmp_path: Path, task: Any) -> None:
    facts = GLUE_TASKS[task]
    labels: list[Any] = list(range(len(facts.class_names))) if facts.class_names else [0.5, 3.25]
    columns = {**{name: [f"{name} {label}" for label in labels] for name in facts.text_columns}, "label": labels}
    path = lay_out(tmp_path / "glue", task, columns, ["train", *facts.evaluation])
    with pytest.raises(ExperimentError, match=r'no split "test'):
        build_glue(GlueSettings(task=task, path=path, test=True))
    path = lay_out(tmp_path / "whole", task, columns, ["train", *facts.evaluation, *facts.test])
    assert build_glue(GlueSettings(task=task, path=path)).test_at_end == ()
    opened = build_glue(GlueSettings(task=task, path=path, test=True))
    assert tuple(opened.test_at_end) == facts.test and list(opened.test[facts.test[0]]["label"]) == labels
    for split in facts.test:  # as GLUE keeps them to itself
        hidden = opened.train.to_pandas().assign(label=-1 if facts.class_names else -1.0)
        hidden.to_parquet(tmp_path / "whole" / task / f"{split}.parquet", index=False)
    opened = build_glue(GlueSettings(task=task, path=path, test=True))
    assert "label" not in opened.test[facts.test[0]].column_names and len(opened.test[facts.test[0]]) == len(labels)


def test_the_facts_of_its_tasks_hold_together() -> None:
    assert list(GLUE_TASKS) == list(get_args(GlueSettings.model_fields["task"].annotation))
    for name, facts in GLUE_TASKS.items():
        task = facts.task(name)
        assert len(task.text_columns) in (1, 2) and task.num_labels == len(facts.class_names or "1")
        assert (task.kind == "regression") == (name == "stsb")


def test_a_part_of_a_task_is_taken_on_request(workdir: Path) -> None:
    columns = {"sentence1": list("abcd"), "sentence2": list("efgh"), "label": [0, 1, 0, 1]}
    path = lay_out(workdir / "glue", "mrpc", columns, ["train", "validation", "test"])
    settings = {"task": "mrpc", "path": path}
    splits = build_glue(GlueSettings(**settings, train_split="train[:50%]", evaluation_splits=["train[50%:]"]))
    assert list(splits.used) == [("training", "train_0_50pct"), ("evaluation", "train_50pct_end")]
    assert [len(rows) for rows in splits.used.values()] == [2, 2]
    for wrong, told in ({"train_split": "train["}, "no part"), ({"evaluation_splits": ["test"]}, "is for the end"):
        with pytest.raises(ValueError, match=told):
            GlueSettings(**settings, **wrong)
