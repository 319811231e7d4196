"""GLUE's tasks from the Hub's `nyu-mll/glue`."""

from __future__ import annotations

from ftrun.contracts import Splits

from ftrun_plugins.datasets import GlueSettings
from ftrun_plugins.datasets.glue_tasks import GLUE_TASKS
from ftrun_plugins.datasets.opening import choose
from ftrun_plugins.datasets.repositories import open_repository


def build(settings: GlueSettings) -> Splits:
    """Open one task; its test labels are -1, as GLUE keeps them to itself (MRPC's are there)."""
    facts = GLUE_TASKS[settings.task]
    opened = open_repository(settings.path, settings.task, settings.revision)
    train, evaluation = choose(opened, "train", facts.evaluation, settings)
    return Splits(
        task=facts.task(settings.task),
        train=train,
        evaluation=evaluation,
        test={name: opened.splits[name] for name in facts.test if name in opened.splits},
        name=f"{settings.path}/{settings.task}",
        source=opened.source,
        digest=opened.digest,
    )
