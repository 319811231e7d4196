"""Text and labels in files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from datasets import Dataset
from datasets.table import InMemoryTable
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import shown

from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.reading import RowFile
from ftrun_plugins.datasets.repositories import checksum
from ftrun_plugins.datasets.selection import selected


def build(settings: FilesSettings) -> Splits:
    """Read the files; paths are from the working folder.

    Raises:
        ExperimentError: If a file is not what it is said to be, or its labels make no sense.
    """
    files = {split: Path(getattr(settings, split)).expanduser() for split in ("train", "validation")}
    try:
        digest = checksum(files.values())
    except OSError as error:
        raise ExperimentError(Problem(f"{error.filename} cannot be read: {error.strerror}", "dataset")) from error
    rows = _read(files, settings, digest)
    names = {"": shown(files["train"]), "validation": shown(files["validation"])}
    everything = labelled(rows["train"], {"validation": rows["validation"]}, settings, names)
    used, notices = selected(everything, settings, "train")
    if settings.test is not None:
        notices.append(f"{settings.test} is not used yet: ftrun does not predict")
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=used.evaluation,
        name=files["train"].parent.absolute().name,
        source=str(files["train"].absolute()),
        digest=digest,
        notices=notices,
    )


def _read(files: Mapping[str, Path], settings: FilesSettings, digest: str) -> Mapping[str, Dataset]:
    problems: list[Problem] = []
    rows = {}
    for split, file in files.items():
        try:
            table = InMemoryTable(RowFile(file, split, settings).read())
        except ExperimentError as error:
            problems += error.problems
        else:  # a fingerprint of its own: `datasets` would hash the whole table to make one up
            rows[split] = Dataset(table, fingerprint=f"{digest}-{split}")
    if problems:
        raise ExperimentError(*problems)
    return rows
