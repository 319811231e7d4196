"""Opening a data set of the Hub, or of a folder that is laid out like one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftrun import hub
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import refuse_pointer

if TYPE_CHECKING:
    from datasets import DatasetDict

    from ftrun_plugins.datasets.configurations import Configuration


ESCAPED = re.compile(r"\[([*?[])\]")
"""What `glob.escape` makes of a character."""
OF_DATASETS = ("state.json", "dataset_info.json", "dataset_dict.json")
"""What `save_to_disk` writes beside the rows."""
IN_CACHE = 16
"""So many digits of a digest are in the name under which `datasets` keeps the rows, for systems with short paths."""
MOST_LEFT_OUT = 3
"""Files that a sentence names."""
Loaded = tuple["DatasetDict", str, Mapping[str, Any]]
"""The rows, and which builder has read them, with its arguments."""


@dataclass(frozen=True)
class Opened:
    """A data set as `datasets` has it, and what tells it from others.

    Attributes:
        splits: The rows by split.
        source: A URL, or a path.
        digest: The commit, or a checksum of the files.
        notices: Sentences that a person should read.
        form: Which builder of `datasets` has read the files, such as "csv"; options: what it was told.
    """

    splits: DatasetDict
    source: str
    digest: str
    notices: Sequence[str] = ()
    form: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def files(self, split: str) -> list[Path]:
        """The files of a split, in the order of its rows."""
        return [Path(_unescaped(file)) for file in self.options["data_files"][split]]


def _unescaped(file: str) -> str:
    return ESCAPED.sub(r"\1", file)


def open_repository(path: str, name: str | None, revision: str | None) -> Opened:
    """Open one configuration of a data set of the Hub, or of a folder that is laid out like one.

    Args:
        path: The folder, or the id on the Hub.
        name: The configuration; by default the default one, or the only one.
        revision: Branch, tag or commit on the Hub.

    Raises:
        ExperimentError: If there is no such data set, configuration or revision, or it cannot be read.
        RunError: If it is not in the cache and the Hub is out of reach.
    """
    if Path(path).is_dir():
        return _from_folder(Path(path).absolute(), name)
    return _from_hub(hub.find(path, "dataset", revision, "dataset.path"), name)


def _from_folder(folder: Path, name: str | None) -> Opened:
    from ftrun_plugins.datasets.configurations import CARDS, choose_configuration

    configuration = choose_configuration(folder, _files_in(folder), name)
    files = [folder / file for file in (*CARDS, *configuration.paths) if (folder / file).is_file()]
    for file in files:
        refuse_pointer(file, "dataset.path")
    digest = checksum(files)
    rows, form, options = _load(configuration, folder, digest)
    told = _left_out(configuration, options)
    return Opened(rows, str(folder), digest, told, form, options)


def _from_hub(found: hub.Found, name: str | None) -> Opened:
    """From the files of one configuration alone; no others are fetched."""
    from ftrun_plugins.datasets.configurations import CARDS, choose_configuration

    listed = hub.listing(found)
    folder = hub.fetch(found, [file for file in CARDS if file in listed])
    names = listed or _files_in(folder)
    if found.cached_only and not set(names) - set(CARDS):
        raise hub.unreachable(found)
    configuration = choose_configuration(folder, names, name)
    fetch = partial(hub.fetch, found, configuration.paths, folder.name)
    fetch()
    fetch_anew = None if found.cached_only else partial(fetch, anew=True)
    rows, form, options = _load(configuration, folder, folder.name, fetch_anew)
    source = f"https://huggingface.co/datasets/{found.repo_id}"
    told = [*hub.cache_notices(found, folder), *_left_out(configuration, options)]
    return Opened(rows, source, folder.name, told, form, options)


def _left_out(configuration: Configuration, options: Mapping[str, Any]) -> list[str]:
    """A sentence about files of a split that are of another form than those that are read."""
    read = {Path(_unescaped(file)).name for files in options["data_files"].values() for file in files}
    left = [path for path in configuration.paths if Path(path).name not in (*read, *OF_DATASETS)]
    if not left:
        return []
    more = f" and {len(left) - MOST_LEFT_OUT} more" if len(left) > MOST_LEFT_OUT else ""
    names = f"{', '.join(left[:MOST_LEFT_OUT])}{more}"
    return [f"left out of the data set, as of another form than {min(read)}: {names}"]


def _files_in(folder: Path) -> list[str]:
    """The paths of all files below a folder but what Git keeps of a clone, at each of which `datasets` would look."""
    names = [(file.relative_to(folder), file) for file in sorted(folder.rglob("*"))]
    return [name.as_posix() for name, file in names if name.parts[0] != ".git" and file.is_file()]


def _load(
    configuration: Configuration, folder: Path, digest: str, fetch_anew: Callable[[], Any] | None = None
) -> Loaded:
    """The rows, from the cache of `datasets` or prepared anew; files that cannot be read are fetched anew, once.

    The cache tells files apart by their paths and times, which a copy keeps: what is prepared is called by the digest.

    Raises:
        ExperimentError: If they cannot be read.
    """
    from datasets import DatasetDict, DownloadMode, load_dataset_builder

    from ftrun_plugins.datasets.configurations import reader

    kind = ""
    try:
        kind, arguments = reader(configuration, folder)
        builder = load_dataset_builder(kind, digest[:IN_CACHE], **arguments)
        builder.download_and_prepare()
    except ExperimentError:
        raise
    except Exception as error:  # each format is read by a library with errors of its own
        if fetch_anew is None:
            raise _unreadable(folder, error, kind) from error
        fetch_anew()
        return _load(configuration, folder, digest)
    try:
        rows = builder.as_dataset()
    except Exception:  # what was prepared before is damaged
        try:
            builder.download_and_prepare(download_mode=DownloadMode.REUSE_CACHE_IF_EXISTS)
            rows = builder.as_dataset()
        except Exception as error:
            raise _unreadable(folder, error, kind) from error
    assert isinstance(rows, DatasetDict)
    return rows, kind, arguments


def _unreadable(folder: Path, error: BaseException, kind: str) -> ExperimentError:
    from ftrun_plugins.datasets.configurations import OTHERWISE

    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split()).replace(f"{folder}/", "") or type(error).__name__
    hint = OTHERWISE if kind in ("csv", "json") else None
    return ExperimentError(Problem(f"the data set cannot be read: {said}", "dataset.path", hint))


def checksum(files: Iterable[Path]) -> str:
    """SHA-256 of the files' contents, in order, as hexadecimal."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
