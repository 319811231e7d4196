"""What of a data set is on this machine, without a network and without opening a file of rows; light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ftrun import hub
from ftrun.contracts import Need
from ftrun.errors import ExperimentError
from ftrun.settings import is_folder

from ftrun_plugins.datasets import FilesSettings
from ftrun_plugins.datasets.sources import files_of, splits_of

CARD = "README.md"
ROWS = ("arrow", "csv", "tsv", "json", "jsonl", "parquet", "txt", "zip", "gz", "zst", "bz2", "xz")
"""How files of rows end."""


def file_needs(settings: FilesSettings) -> Sequence[Need]:
    """The files that are named, and for a pattern one that it matches."""
    return [
        Need(f"the file {path}", _is_there(path, key), "put it there, or name another", key)
        for key in ("train", "validation", "test")
        for named in splits_of(key, getattr(settings, key)).values()
        for path in ([named] if isinstance(named, str) else named)
    ]


def _is_there(path: str, key: str) -> bool:
    try:
        return all(file.is_file() for file in files_of(path, key))
    except ExperimentError:
        return Path(path).expanduser().is_file()


def repository_needs(path: str, name: str | None, revision: str | None) -> Sequence[Need]:
    """A folder, or a data set of the Hub in the cache: the files of one configuration."""
    if is_folder(path):
        return [Need(f"the folder {path}", True, key="path")]
    what = f"the data set {path}" + (f", {name}" if name else "") + (f", at {revision}" if revision else "")
    folder = hub.cached(path, "dataset", revision)
    if folder is None:
        return [Need(what, False, hub.HOW_TO_CACHE, "path")]
    here = [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
    listed = hub.listing(hub.Found(path, "dataset", "path", folder.name, why="it is not asked"))
    lacking = _lacking(_patterns(folder / CARD, name), here, listed)
    if lacking:
        what += f" ({', '.join(lacking[:3])})"
    return [Need(what, not lacking, hub.HOW_TO_CACHE, "path")]


def _lacking(patterns: Sequence[str], here: Sequence[str], listed: Sequence[str]) -> Sequence[str]:
    """The files that patterns stand for and that are not here; a pattern where it is not known what it stands for."""
    if not patterns:
        return [] if any(file.rpartition(".")[2].lower() in ROWS for file in here) else ["its rows"]
    lacking = []
    for pattern in patterns:
        wanted = [file for file in listed if fnmatch(file, pattern)]
        found = [file for file in here if fnmatch(file, pattern)]
        lacking += [file for file in wanted if file not in found] if wanted else [] if found else [pattern]
    return sorted(set(lacking))


def _patterns(card: Path, name: str | None) -> Sequence[str]:
    """The files of a configuration as a repository's card names them; none where it does not."""
    configs = [config for config in _configs(card) if isinstance(config, Mapping)]
    default = [config for config in configs if config.get("default") is True or config.get("config_name") == "default"]
    chosen = [config for config in configs if config.get("config_name") == name] if name else default or configs[:1]
    return sorted(set(_texts(chosen[0].get("data_files")))) if chosen else []


def _configs(card: Path) -> Sequence[Any]:
    import yaml

    try:
        _, _, rest = card.read_text(encoding="utf-8").partition("---\n")
        configs = yaml.safe_load(rest.partition("\n---")[0])["configs"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return []
    return configs if isinstance(configs, list) else []


def _texts(files: Any) -> Iterator[str]:
    """The patterns in whatever form a card has them: text, lists, tables by split, tables with a `path`."""
    if isinstance(files, str):
        yield files
    elif isinstance(files, list):
        for file in files:
            yield from _texts(file)
    elif isinstance(files, Mapping):
        for file in [files["path"]] if "path" in files else files.values():
            yield from _texts(file)
