"""Text and labels in files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from datasets import Dataset
from datasets.table import InMemoryTable
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import ending_of, shown, suspected_delimiter

from ftrun_plugins.datasets import FilesSettings, LabelledText
from ftrun_plugins.datasets.columns import Origin
from ftrun_plugins.datasets.cutting import cut_where_none
from ftrun_plugins.datasets.inference import LABELS, header_doubts, refuse_no_header, with_columns
from ftrun_plugins.datasets.joining import joined
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.reading import RowFile
from ftrun_plugins.datasets.repositories import checksum
from ftrun_plugins.datasets.selection import selected
from ftrun_plugins.datasets.sources import Named, files_of, shown_files, splits_of

MOST_SOURCE = 5
"""Files that a record names as the source of the rows; the digest is of all."""


@dataclass(frozen=True)
class Source:
    """The files of a split.

    Attributes:
        key: The key of `[dataset]` that names them, or in a table of splits `KEY.SPLIT`.
        files: In the order of the rows.
        name: What to call them.
    """

    key: str
    files: Sequence[Path]
    name: str

    @property
    def place(self) -> str:
        """The key, from the top."""
        return f"dataset.{self.key}"

    def digest(self) -> str:
        """What tells the contents of the files apart."""
        try:
            return checksum(self.files)
        except OSError as error:
            place = self.place if self.key.startswith("test") else "dataset"
            raise ExperimentError(Problem(f"{error.filename} cannot be read: {error.strerror}", place)) from error


def build(settings: FilesSettings, evaluated: bool = True) -> Splits:
    """Read the files; paths are from the working folder.

    Args:
        settings: Which, and what they hold.
        evaluated: Whether a validation split is cut off where there is none.

    Raises:
        ExperimentError: If a file is not what it is said to be, or its labels make no sense.
    """
    train = _sources("train", settings.train)["train"]
    evaluation, test = _sources("validation", settings.validation), _sources("test", settings.test)
    digest = _digest([train, *evaluation.values()])
    digests = {split: source.digest() for split, source in test.items()}  # training does not depend on them
    columns, told = _columns(settings, train)
    rows, origins, odd = _read({"train": train, **evaluation, **test}, columns, settings, {"": digest, **digests})
    everything = labelled(
        rows["train"],
        {split: rows[split] for split in evaluation},
        columns,
        {"": origins["train"], **origins},
        {split: rows[split] for split in test},
    )
    if ending_of(train.files[0]) in (".csv", ".tsv"):
        refuse_no_header(settings, everything.task, train.name, train.place)
        odd = [*odd, *header_doubts(settings, everything.task, train.name)]
    cut = cut_where_none(everything, settings, "train", digest, evaluated)
    used, notices = selected(cut.rows, settings, "train")
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=used.evaluation,
        name=train.files[0].parent.absolute().name,
        source=_shown_source(settings.train, train.files),
        digest=digest,
        test=used.test,
        test_at_end=list(used.test),
        digests={**digests, **cut.digests},
        notices=[*told, *odd, *notices],
    )


def _sources(key: str, named: Named | Mapping[str, Named] | None) -> dict[str, Source]:
    sources = {}
    for split, some in splits_of(key, named).items():
        place = key if split == key else f"{key}.{split}"
        if isinstance(some, str) and not any(mark in some for mark in "*?["):
            files = [Path(some).expanduser()]  # which may be gone since it was looked at: that is told as it is read
        else:
            files = files_of(some, f"dataset.{place}")
        sources[split] = Source(place, files, shown_files(some, files))
    return sources


def _digest(sources: Sequence[Source]) -> str:
    """What tells the contents of splits apart that are of a file each; or of several, then with where each ends."""
    if all(len(source.files) == 1 and "." not in source.key for source in sources):
        return Source("", [file for source in sources for file in source.files], "").digest()
    told = "\n".join(f"{source.key} {source.digest()}" for source in sources)
    return hashlib.sha256(told.encode()).hexdigest()


def _columns(settings: FilesSettings, train: Source) -> tuple[LabelledText, Sequence[str]]:
    """The columns that are wanted; looked for in the first file to train on where they are not said."""
    if settings.text_columns is not None and settings.label_named:
        return settings.with_columns(settings.text_columns, settings.label_named), []
    first = RowFile(train.files[0], train.key, settings)
    if settings.text_columns is not None and first.begins_with(LABELS[0]):
        return settings.with_columns(settings.text_columns, LABELS[0]), []
    try:
        held = first.contents()
    except ExperimentError:
        if settings.text_columns is None:
            raise
        # all files tell what is wrong as they are read
        return settings.with_columns(settings.text_columns, LABELS[0]), []
    if first.format == "csv" and suspected_delimiter(list(held), first.delimiter):
        raise first.missing([settings.label_named or LABELS[0]], list(held))
    return with_columns(settings, held, shown(first.file))


def _read(
    sources: Mapping[str, Source], columns: LabelledText, settings: FilesSettings, digests: Mapping[str, str]
) -> tuple[Mapping[str, Dataset], Mapping[str, Origin], Sequence[str]]:
    problems: list[Problem] = []
    notices: list[str] = []
    rows, origins = {}, {}
    for split, source in sources.items():
        tables = {}
        for file in source.files:
            try:
                reader = RowFile(file, source.key, settings, columns)
                tables[shown(file)] = reader.read()
                notices += reader.notices
            except ExperimentError as error:
                problems += error.problems
        if len(tables) < len(source.files):
            continue
        notices += _copies(tables)
        try:
            numbers = columns.label_column if columns.kind == "regression" else None
            table = InMemoryTable(joined(tables, source.place, numbers))
        except ExperimentError as error:
            problems += error.problems
            continue
        # a fingerprint of its own: `datasets` would hash the whole table to make one up
        rows[split] = Dataset(table, fingerprint=f"{digests.get(split, digests[''])}-{split}")
        parts = [(name, table.num_rows) for name, table in tables.items()] if len(tables) > 1 else ()
        origins[split] = Origin(source.name, parts)
    if problems:
        raise ExperimentError(*problems)
    return rows, origins, notices


def _copies(tables: Mapping[str, pa.Table]) -> list[str]:
    """Sentences about files of a split that hold the same rows, such as a file and a link to it."""
    told = []
    alike: dict[tuple[int, str], list[str]] = {}
    for name, table in tables.items():
        if table.num_rows > 1:
            earlier = alike.setdefault((table.num_rows, repr(table.slice(0, 1).to_pydict())), [])
            if first := next((one for one in earlier if table.equals(tables[one])), None):
                told.append(f"{name} holds the same rows as {first}")
            earlier.append(name)
    return told


def _shown_source(named: Named, files: Sequence[Path]) -> str:
    if isinstance(named, str):
        return str(Path(named).expanduser().absolute())
    more = f" and {len(files) - MOST_SOURCE} more" if len(files) > MOST_SOURCE else ""
    return ", ".join(str(file.absolute()) for file in files[:MOST_SOURCE]) + more
