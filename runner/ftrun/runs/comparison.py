"""Curves of several runs, as data, and whether they are the same."""

from __future__ import annotations

from collections.abc import Mapping

from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import read_current
from ftrun.runs.records import MetricsRecord


def losses(folder: RunFolder) -> Mapping[int, float]:
    """The training loss of a run at every step."""
    return {
        entry.record.step: entry.record.values["train/loss"]
        for entry, _ in read_current(folder.journal)
        if isinstance(entry.record, MetricsRecord) and "train/loss" in entry.record.values
    }
