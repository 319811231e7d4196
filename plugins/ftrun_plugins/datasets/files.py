"""Text and labels in files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    digest = _digest(files.values())
    digests = {}
    if settings.test is not None:  # no part of the digest: what is trained does not depend on it
        files["test"] = Path(settings.test).expanduser()
        digests["test"] = _digest([files["test"]], "dataset.test")
    rows = _read(files, settings, digest, digests)
    names = {"": shown(files["train"]), **{split: shown(file) for split, file in files.items() if split != "train"}}
    test = {split: rows[split] for split in digests}
    everything = labelled(rows["train"], {"validation": rows["validation"]}, settings, names, test)
    used, notices = selected(everything, settings, "train")
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=used.evaluation,
        name=files["train"].parent.absolute().name,
        source=str(files["train"].absolute()),
        digest=digest,
        test=used.test,
        test_at_end=list(used.test),
        digests=digests,
        notices=notices,
    )


def _digest(files: Iterable[Path], place: str = "dataset") -> str:
    try:
        return checksum(files)
    except OSError as error:
        raise ExperimentError(Problem(f"{error.filename} cannot be read: {error.strerror}", place)) from error


def _read(
    files: Mapping[str, Path], settings: FilesSettings, digest: str, digests: Mapping[str, str]
) -> Mapping[str, Dataset]:
    problems: list[Problem] = []
    rows = {}
    for split, file in files.items():
        try:
            table = InMemoryTable(RowFile(file, split, settings).read())
        except ExperimentError as error:
            problems += error.problems
        else:  # a fingerprint of its own: `datasets` would hash the whole table to make one up
            rows[split] = Dataset(table, fingerprint=f"{digests.get(split, digest)}-{split}")
    if problems:
        raise ExperimentError(*problems)
    return rows
