"""Any data set of text and labels on the Hub."""

from __future__ import annotations

from ftrun.contracts import Splits

from ftrun_plugins.datasets import HubSettings
from ftrun_plugins.datasets.opening import choose, labelled_task, with_label_ids
from ftrun_plugins.datasets.repositories import open_repository


def build(settings: HubSettings) -> Splits:
    """Open the splits that the settings name."""
    opened = open_repository(settings.path, settings.name, settings.revision)
    train, evaluation = choose(opened, settings.train_split, settings.evaluation_splits, settings)
    task = labelled_task(train, settings)
    rows = with_label_ids({"": train, **evaluation}, task)
    return Splits(
        task=task,
        train=rows.pop(""),
        evaluation=rows,
        name=f"{settings.path}/{settings.name}" if settings.name else settings.path,
        source=opened.source,
        digest=opened.digest,
    )
