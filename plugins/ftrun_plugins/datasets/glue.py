"""GLUE's tasks from the Hub's `nyu-mll/glue`."""

from __future__ import annotations

from dataclasses import replace

from datasets import ClassLabel, Dataset
from ftrun.contracts import Splits, Task

from ftrun_plugins.datasets import GlueSettings, LabelledText
from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.repositories import open_repository
from ftrun_plugins.datasets.selection import selected, splits_named


def build(settings: GlueSettings) -> Splits:
    """Open one task; its test labels are -1, as GLUE keeps them to itself (MRPC's are there)."""
    facts = GLUE_TASKS[settings.task]
    task = facts.task(settings.task)
    opened = open_repository(settings.path, settings.task, settings.revision)
    tests = facts.test if settings.test else ()
    asked = settings.evaluation_splits or facts.evaluation
    (name, train), evaluation, test = splits_named(opened, settings.train_split or "train", asked, tests)
    names = {"": name, **{split: split for split in (*evaluation, *test)}}
    used, notices = selected(labelled(train, evaluation, _columns(task, train), names, test), settings, name)
    others = {name: opened.splits[name] for name in facts.test if name in opened.splits}
    return Splits(
        task=replace(used.task, benchmark=task.benchmark),
        train=used.train,
        evaluation=used.evaluation,
        test={**others, **used.test},
        test_at_end=tests,
        train_split=name,
        name=f"{settings.path}/{settings.task}",
        source=opened.source,
        digest=opened.digest,
        notices=[*opened.notices, *notices],
    )


def _columns(task: Task, train: Dataset) -> LabelledText:
    """The task's columns; labels are names where the data has GLUE's names, else GLUE's ids."""
    if task.class_names is None:
        return LabelledText(text_columns=list(task.text_columns), kind="regression")
    feature = train.features.get(task.label_column)
    names = list(task.class_names)
    is_text = getattr(feature, "dtype", None) == "string"
    has_names = isinstance(feature, ClassLabel) or (is_text and not set(names).isdisjoint(train.unique("label")))
    return LabelledText(text_columns=list(task.text_columns), class_names=names, label_ids=not has_names)
