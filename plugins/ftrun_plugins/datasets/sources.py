"""Which files a split is made of: one, several, or all that a pattern matches. Light."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from glob import has_magic
from pathlib import Path
from typing import Any, TypeVar

from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.rowfiles import ending_fault, shown
from ftrun.settings import absolute_path

T = TypeVar("T")
Named = str | list[str]
"""A file or a pattern, or several of these."""
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
MOST_SHOWN = 5
OTHER_ENDINGS = {
    **dict.fromkeys((".zip", ".bz2", ".xz", ".zst"), "Unpack it, and name what was in it."),
    **dict.fromkeys((".xls", ".xlsx", ".ods"), "Save it as CSV, and name that."),
    **dict.fromkeys((".txt", ".dat"), "If it has cells between commas, call it .csv; between tabs, .tsv."),
    ".ndjson": "Call it .jsonl.",
}
"""What to do with files of rows of other names."""


def absolute_files(value: Any) -> Any:
    """The value of a key that names the files of one split, its paths absolute.

    Raises:
        ValueError: If it is neither a path nor a list of paths.
    """
    if isinstance(value, str):
        return absolute_path(value)
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        paths = [absolute_path(one) for one in value]
        if twice := _named_twice(paths):
            raise ValueError(f"names {twice} twice")
        return paths
    raise ValueError(f"must be a file, a pattern such as data/train-*.csv or a list of files, not {_said(value)}")


def absolute_splits(value: Any) -> Any:
    """The same of a key that may name several splits, as a table of them.

    Raises:
        ValueError: If it is nothing of the kind, or a split's name cannot be one.
    """
    if value is None or not isinstance(value, dict):
        return value if value is None else absolute_files(value)
    if not value:
        raise ValueError("names no split")
    for name in value:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name == "train":
            raise ValueError(f'"{name}" is no name for a split: letters, digits, _, . and - fit, and train is taken')
    return {name: absolute_files(one) for name, one in value.items()}


def splits_of(key: str, value: Named | Mapping[str, Named] | None) -> dict[str, Named]:
    """What a key names, by split: one of the key's own name, or those of its table."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, Mapping) else {key: value}


def files_of(named: Named, place: str) -> list[Path]:
    """The files of a split, those of a pattern in the order of their names.

    Args:
        named: As a file of settings names them.
        place: The key, for messages.

    Raises:
        ExperimentError: If one is not there, is a folder, or holds what nobody here reads.
    """
    paths = [named] if isinstance(named, str) else named
    problems: list[Problem] = []
    files: list[Path] = []
    for path in paths:
        try:
            files += _matching(path, place)
        except ExperimentError as error:
            problems += error.problems
    problems += [problem for file in files if (problem := _fault(file, place))]
    if twice := _named_twice(files):
        problems.append(Problem(f"{shown(twice)} is there twice", place, "Name each file once."))
    if problems:
        raise ExperimentError(*problems)
    return files


def is_here(path: str) -> bool:
    """Whether a file is there, or one that a pattern matches."""
    try:
        return any(file.is_file() for file in _matching(path, ""))
    except ExperimentError:
        return False


def shown_files(named: Named, files: Sequence[Path]) -> str:
    """What to call the files of a split in messages."""
    if len(files) == 1:
        return shown(files[0])
    if isinstance(named, str):
        return shown(Path(named))
    return f"{shown(files[0])} and {len(files) - 1} more"


def _named_twice(names: Iterable[T]) -> T | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _matching(path: str, place: str) -> list[Path]:
    """A path that is there as it is written is meant so, whatever characters are in it."""
    literal = Path(path).expanduser()
    if literal.exists() or not has_magic(path):
        return [literal]
    known = next(parent for parent in literal.parents if parent.exists())
    pattern = str(literal.relative_to(known))
    try:
        matching = sorted(known.glob(pattern))
    except ValueError as error:  # such as of **x
        raise ExperimentError(Problem(f"{shown(literal)} is no pattern: {error}", place)) from error
    is_hidden = literal.name.startswith(".")
    found = [file for file in matching if is_hidden or not file.name.startswith(".")]
    if not found:
        raise ExperimentError(Problem(f"there is no file that {shown(literal)} matches", place, _there(known)))
    return found


def _there(folder: Path) -> str:
    names = sorted(file.name for file in folder.iterdir() if not file.name.startswith("."))
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return f"In {shown(folder)} there is: {', '.join(names[:MOST_SHOWN]) or 'nothing'}{more}."


def _fault(file: Path, place: str) -> Problem | None:
    if file.is_dir():
        return Problem(f"{file} is a folder", place, f"Name a file in it, or all of them: {shown(file)}/*.csv.")
    if not file.is_file():
        return Problem(f"there is no file {file.absolute()}", place, _sibling(file))
    fault = ending_fault(file)
    return Problem(fault, place, OTHER_ENDINGS.get(file.suffix.lower())) if fault else None


def _sibling(file: Path) -> str | None:
    close = nearest(file.name, [other.name for other in file.parent.iterdir()]) if file.parent.is_dir() else None
    return f"Did you mean {close}?" if close else None


def _said(value: Any) -> str:
    return "an empty list" if value == [] else repr(value)[:80]
