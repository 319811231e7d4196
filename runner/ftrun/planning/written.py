"""Settings as a file has them, and whether they are the same when they are read back."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any

import tomlkit

from ftrun.settings import Settings, validate

LIKE_TOML = "Declare it as what TOML has: text, numbers, true or false, dates, and lists and tables of them."


def as_in_a_file(value: Any) -> Any:
    """A value with lists for tuples and sets."""
    if isinstance(value, Mapping):
        return {key: as_in_a_file(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_in_a_file(inner) for inner in value]
    return in_order(map(as_in_a_file, value)) if isinstance(value, set | frozenset) else value


def in_order(values: Iterable[Any]) -> list[Any]:
    """What a set holds, in one order, whatever Python's is."""
    listed = list(values)
    try:
        return sorted(listed)
    except TypeError:  # of several types
        return sorted(listed, key=repr)


def table_of(settings: Settings) -> dict[str, Any]:
    """Settings as a file has them, every default filled in; absent means None."""
    table: dict[str, Any] = as_in_a_file(settings.model_dump(exclude_none=True, warnings=False))
    return table


def lost(settings: Settings) -> Mapping[str, str]:
    """What a file would not give back of settings: keys, and what the author of the settings should do about each.

    A run is recorded as a file, and goes on by it. The key is empty where it is the settings as a whole.
    """
    table = _revealed(table_of(settings))
    unwritten = [key for key, value in table.items() if not _comes_back(key, value)]
    if not unwritten:
        again, problems = validate(type(settings), tomllib.loads(tomlkit.dumps(table)))
        unwritten = [re.split(r"[.[]", problem.place or "")[0] for problem in problems]
        if again is not None:
            fields = type(settings).model_fields
            unwritten = [name for name in fields if getattr(again, name) != getattr(settings, name)]
    return {key: _what_to_do(getattr(settings, key, None)) for key in unwritten}


def _comes_back(key: str, value: Any) -> bool:
    try:
        return bool(tomllib.loads(tomlkit.dumps({key: value}))[key] == value)
    except Exception:  # whatever tomlkit says of what is no TOML
        return False


def _revealed(value: Any) -> Any:
    """With secrets as they are: a record never has them, and what becomes of that is told elsewhere."""
    if isinstance(value, dict):
        return {key: _revealed(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_revealed(inner) for inner in value]
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _what_to_do(value: Any) -> str:
    for inner in _leaves(value):
        if inner is None:
            return "TOML has no None: leave such entries out; a key that may be None has it as its default."
        if isinstance(inner, PurePath):
            return "Declare it as ftrun.settings.LocalPath, which is text."
        if isinstance(inner, float) and not math.isfinite(inner):
            return "Settings hold finite numbers: take another default, such as None."
    return LIKE_TOML


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
