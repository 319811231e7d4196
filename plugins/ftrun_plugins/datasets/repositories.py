"""Opening a data set of the Hub, or of a folder that is laid out like one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ftrun.errors import ExperimentError, Problem

from ftrun_plugins import hub

if TYPE_CHECKING:
    from datasets import DatasetDict


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
        raise hub.unreachable(found) from error
    if not any(file.is_file() and file.name != "README.md" for file in folder.rglob("*")):
        raise hub.unreachable(found)
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
