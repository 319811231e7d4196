"""Curves of several runs, as data, and whether they are the same."""

from __future__ import annotations

from collections.abc import Mapping

from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import read_journal


def losses(folder: RunFolder) -> Mapping[int, float]:
    """The training loss of a run at every step."""
    return {
        record["step"]: float(record["values"]["train/loss"])
        for record, _ in read_journal(folder.journal)
        if record["type"] == "metrics" and "train/loss" in record["values"]
    }
