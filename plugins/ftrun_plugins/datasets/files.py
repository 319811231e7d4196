"""Text and labels in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins.datasets import FILE_FORMATS, FilesSettings
from ftrun_plugins.datasets.opening import choose, labelled_task, with_label_ids
from ftrun_plugins.datasets.repositories import Opened, checksum

if TYPE_CHECKING:
    from datasets import Dataset


def build(settings: FilesSettings) -> Splits:
    """Read the files; paths are from the working folder."""
    from datasets import DatasetDict

    named = {"train": settings.train, "validation": settings.validation, "test": settings.test}
    files = {split: Path(name) for split, name in named.items() if name is not None}
    splits = DatasetDict({split: _read(file, split) for split, file in files.items()})
    digest = checksum(files.values())
    train, evaluation = choose(Opened(splits, settings.train, digest), "train", ["validation"], settings)
    task = labelled_task(train, settings)
    rows = with_label_ids({"train": train, **evaluation}, task)
    return Splits(
        task=task,
        train=rows["train"],
        evaluation={"validation": rows["validation"]},
        test={"test": splits["test"]} if "test" in splits else {},
        name=files["train"].parent.absolute().name,
        source=str(files["train"].absolute()),
        digest=digest,
    )


def _read(file: Path, split: str) -> Dataset:
    from datasets import Dataset, load_dataset
    from datasets.exceptions import DatasetGenerationError

    options = {"delimiter": "\t"} if file.suffix == ".tsv" else {}
    try:
        rows = load_dataset(FILE_FORMATS[file.suffix], data_files=str(file), split="train", **options)
    except DatasetGenerationError as error:
        cause = error.__cause__ or error
        raise ExperimentError(Problem(f"{file} cannot be read: {cause}", f"dataset.{split}")) from error
    assert isinstance(rows, Dataset)
    return rows
