"""Any data set of text and labels on the Hub."""

from __future__ import annotations

from ftrun.contracts import Splits

from ftrun_plugins.datasets import HubSettings
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.repositories import open_repository
from ftrun_plugins.datasets.selection import selected, splits_named


def build(settings: HubSettings) -> Splits:
    """Open the splits that the settings name.

    Raises:
        ExperimentError: If a split or column is not there, or the labels make no sense.
    """
    opened = open_repository(settings.path, settings.name, settings.revision)
    tests = settings.test_splits or []
    train, evaluation, test = splits_named(opened, settings.train_split, settings.evaluation_splits, tests)
    names = {"": settings.train_split, **{split: split for split in (*evaluation, *test)}}
    used, notices = selected(labelled(train, evaluation, settings, names, test), settings, settings.train_split)
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=used.evaluation,
        name=f"{settings.path}/{settings.name}" if settings.name else settings.path,
        source=opened.source,
        digest=opened.digest,
        notices=[*opened.notices, *notices],
        train_split=settings.train_split,
        test=used.test,
        test_at_end=tests,
    )
