"""What opening a data set has in common, wherever it comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins import hub
from ftrun_plugins.datasets import LabelledText, Limits

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True)
class Opened:
    """A data set as `datasets` has it, and what tells it from others.

    Attributes:
        splits: The rows by split.
        source: A URL, or a path.
        digest: The commit, or a checksum of the files.
    """

    splits: DatasetDict
    source: str
    digest: str


def open_repository(path: str, name: str | None, revision: str | None) -> Opened:
    """Open a data set of the Hub, or of a folder that is laid out like one.

    Raises:
        ExperimentError: If there is no such data set, configuration or revision.
        RunError: If it is not in the cache and the Hub is out of reach.
    """
    if Path(path).is_dir():
        files = sorted(file for file in Path(path).rglob("*") if file.is_file())
        return Opened(_load(path, name), str(Path(path).absolute()), checksum(files))
    found = hub.find(path, "dataset", revision, "dataset.path")
    folder = _snapshot(found, name)
    return Opened(_load(str(folder), name), f"https://huggingface.co/datasets/{path}", folder.name)


def _snapshot(found: hub.Found, name: str | None) -> Path:
    """The repository's files of one configuration on this disk; the folder's name is the commit."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    download = partial(
        snapshot_download,
        found.repo_id,
        repo_type="dataset",
        revision=found.revision,
        local_files_only=found.cached_only,
    )
    try:
        card = Path(download(allow_patterns="README.md"))
        folder = Path(download(allow_patterns=_patterns(card / "README.md", name)))
    except LocalEntryNotFoundError as error:
        if not found.cached_only:
            raise
        raise hub.unreachable(found, "data set", "dataset.path") from error
    if not any(file.is_file() and file.name != "README.md" for file in folder.rglob("*")):
        raise hub.unreachable(found, "data set", "dataset.path")
    return folder


def _patterns(card: Path, name: str | None) -> list[str] | None:
    """The files of a configuration as the repository's card declares them; None for all files."""
    from huggingface_hub import DatasetCard

    configs = (DatasetCard.load(card).data.to_dict().get("configs") or []) if card.exists() else []
    config = next((entry for entry in configs if entry.get("config_name") == name), None)
    if not config or "data_files" not in config:
        return None
    files = config["data_files"]
    paths = [entry["path"] for entry in files if isinstance(entry, dict)] if isinstance(files, list) else [files]
    flat = [path for entry in paths for path in ([entry] if isinstance(entry, str) else entry)]
    return ["README.md", *flat]


def _load(path: str, name: str | None) -> DatasetDict:
    from datasets import DatasetDict, load_dataset

    try:
        loaded = load_dataset(path, name)
    except ValueError as error:  # "BuilderConfig ... not found", "Config name is missing": both list the names
        raise ExperimentError(Problem(str(error).replace("\n", " "), "dataset.name" if name else "dataset")) from error
    assert isinstance(loaded, DatasetDict)
    return loaded


def checksum(files: Iterable[Path]) -> str:
    """SHA-256 of the files' contents, in order, as hexadecimal."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def first_rows(rows: Dataset, limit: int | None) -> Dataset:
    """The first `limit` rows, or all of them."""
    return rows.select(range(min(limit, len(rows)))) if limit else rows


def choose(opened: Opened, train: str, evaluation: Sequence[str], limits: Limits) -> tuple[Dataset, dict[str, Dataset]]:
    """The rows to train and to evaluate on.

    Raises:
        ExperimentError: If a split is not there.
    """
    for split in (train, *evaluation):
        if split not in opened.splits:
            known = ", ".join(opened.splits)
            raise ExperimentError(Problem(f'the data set has no split "{split}"', "dataset", f"It has: {known}."))
    rows = {split: first_rows(opened.splits[split], limits.max_eval_samples) for split in evaluation}
    return first_rows(opened.splits[train], limits.max_train_samples), rows


def labelled_task(rows: Dataset, settings: LabelledText) -> Task:
    """The task that the settings and the columns together tell.

    Raises:
        ExperimentError: If a column is missing, or the label's classes are not known.
    """
    from datasets import ClassLabel

    columns = tuple(settings.text_columns)
    for place, column in [
        *(("dataset.text_columns", name) for name in columns),
        ("dataset.label_column", settings.label_column),
    ]:
        if column not in rows.column_names:
            raise ExperimentError(
                Problem(f'there is no column "{column}"', place, f"There are: {', '.join(rows.column_names)}.")
            )
    if settings.kind == "regression":
        return Task("regression", columns, settings.label_column)
    feature = rows.features[settings.label_column]
    names: Sequence[str]
    if settings.class_names:
        names = settings.class_names
    elif isinstance(feature, ClassLabel):
        names = feature.names
    else:
        names = [str(value) for value in sorted(set(rows[settings.label_column]))]
    _check_labels(rows, settings.label_column, names)
    return Task("classification", columns, settings.label_column, tuple(names))


def with_label_ids(splits: Mapping[str, Dataset], task: Task) -> dict[str, Dataset]:
    """The rows with labels that are class ids where they were class names."""
    if task.class_names is None:
        return dict(splits)
    ids = {name: index for index, name in enumerate(task.class_names)}

    def with_ids(rows: Dataset) -> Dataset:
        from datasets import ClassLabel, Features

        column = task.label_column
        features = Features({**rows.features, column: ClassLabel(names=list(ids))})
        return rows.map(lambda row: {column: ids[str(row[column])]}, features=features)

    return {
        split: with_ids(rows) if _by_name(rows, task.label_column, task.class_names) else rows
        for split, rows in splits.items()
    }


def _by_name(rows: Dataset, column: str, names: Sequence[str]) -> bool:
    """Whether labels are names (or numbers that are not 0, 1, 2, ...) rather than class ids."""
    values = set(rows[column])
    return not values <= set(range(-1, len(names)))


def _check_labels(rows: Dataset, column: str, names: Sequence[str]) -> None:
    values = set(rows[column])
    if len(names) < 2:
        raise ExperimentError(Problem(f'all labels in column "{column}" are the same', "dataset.label_column"))
    if any(value is None for value in values):
        raise ExperimentError(Problem(f'some rows have no label in column "{column}"', "dataset.label_column"))
    unknown = sorted(
        str(value)
        for value in values
        if str(value) not in names and not (isinstance(value, int) and 0 <= value < len(names))
    )
    if unknown:
        shown = ", ".join(unknown[:5])
        raise ExperimentError(Problem(f"labels that are none of the classes: {shown}", "dataset.class_names"))
