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
    if settings.test is not None:  # no part of the digest: a run's numbers do not depend on it
        files["test"] = Path(settings.test).expanduser()
    rows = _read(files, settings, digest)
    names = {"": shown(files["train"]), **{split: shown(file) for split, file in files.items() if split != "train"}}
    with_labels = {split: table for split, table in rows.items() if settings.label_column in table.column_names}
    train = with_labels.pop("train")
    everything = labelled(train, with_labels, settings, names)
    used, notices = selected(everything, settings, "train")
    evaluation = {split: table for split, table in used.evaluation.items() if split != "test"}
    test = everything.evaluation.get("test", rows.get("test"))  # all of it: what limits an evaluation is not for it
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=evaluation,
        name=files["train"].parent.absolute().name,
        source=str(files["train"].absolute()),
        digest=digest,
        test={} if test is None else {"test": test},
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
