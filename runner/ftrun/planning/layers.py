"""Tables laid one over the other, `--set` and `--unset`, and where each value came from."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftrun.errors import ExperimentError, Problem
from ftrun.settings import shown

Table = dict[str, Any]
DEEPEST = 20
"""Tables and lists that a value may stand in."""
INTEGERS = range(-(2**63), 2**63)
"""What TOML promises of whole numbers, and what anything that computes with them can hold."""


class Reached(Table):
    """A table that dotted keys of `--set` go through: what it is laid over must be a table, or a list by index."""


class Removed:
    """What stands for an entry of a list until all that are to go are gone: until then each keeps its index."""


class Layers:
    """Tables merged one onto the other.

    Attributes:
        tables: The merged table.
        origins: The layer that each dotted place was last set by.
    """

    def __init__(self) -> None:
        self.tables: Table = {}
        self.origins: dict[str, str] = {}

    def add(self, layer: Mapping[str, Any], origin: str) -> None:
        """Lay a table over what there is: a table whose `use` it changes starts empty, and lists are replaced.

        Raises:
            ExperimentError: If a value is none that a file can hold.
        """
        if problems := [Problem(message, place or None, origin=origin) for place, message in _unfit(layer)]:
            raise ExperimentError(*problems)
        self._merge(self.tables, layer, origin, ())

    def override(self, values: Mapping[str, Any], origin: str = "--set") -> None:
        """Lay values by dotted key over what there is, all as one layer.

        `metrics.0.use` goes into a list's first entry; the number after that of its last entry adds one.

        Raises:
            ExperimentError: If a key leads below something that is no table, or past the end of a list.
        """
        self.add(_nested(values, origin), origin)

    def remove(self, places: Sequence[str]) -> list[str]:
        """Take out what stands at dotted keys, lists counted as they are before; gives the keys where nothing stood."""
        lists = []
        missed = []
        for dotted in places:
            *parents, last = dotted.split(".")
            holder = self._at(parents)
            if isinstance(holder, dict) and last in holder:
                del holder[last]
            elif isinstance(holder, list) and (index := _index(last)) is not None and index < len(holder):
                holder[index] = Removed()
                lists.append(holder)
            else:
                missed.append(dotted)
        for entries in lists:
            entries[:] = [entry for entry in entries if not isinstance(entry, Removed)]
        return missed

    def _at(self, keys: Sequence[str]) -> Any:
        found: Any = self.tables
        for key in keys:
            index = _index(key)
            if isinstance(found, dict):
                found = found.get(key)
            elif isinstance(found, list) and index is not None and index < len(found):
                found = found[index]
            else:
                return None
        return found

    def _merge(self, base: Table, layer: Mapping[str, Any], origin: str, path: tuple[str, ...]) -> None:
        for key, value in layer.items():
            place = (*path, key)
            base[key] = self._laid_over(base.get(key), value, origin, place)
            self.origins[".".join(place)] = origin

    def _laid_over(self, below: Any, value: Any, origin: str, place: tuple[str, ...]) -> Any:
        if not isinstance(value, dict):
            return _copied(value)
        if isinstance(value, Reached):
            if isinstance(below, list) or (below is None and all(_index(key) is not None for key in value)):
                return self._into_list(below or [], value, origin, place)
            if below is not None and not isinstance(below, dict):
                dotted = ".".join(place)
                message = f"{dotted} is {shown(below)}, and has no keys below it"
                raise ExperimentError(Problem(message, f"{dotted}.{next(iter(value))}", origin=origin))
        starts_empty = not isinstance(below, dict) or ("use" in value and value["use"] != below.get("use"))
        table = {} if starts_empty else below
        self._merge(table, value, origin, place)
        return table

    def _into_list(self, below: list[Any], layer: Reached, origin: str, place: tuple[str, ...]) -> list[Any]:
        entries = list(below)
        dotted = ".".join(place)
        for key, value in sorted(layer.items(), key=lambda item: _index(item[0]) or 0):
            index = _index(key)
            if index is None or index > len(entries):
                count = "one entry" if len(entries) == 1 else f"{len(entries)} entries"
                hint = f"Say {dotted}.0 for the first, {dotted}.{len(entries)} for one more."
                raise ExperimentError(Problem(f"{dotted} is a list of {count}", f"{dotted}.{key}", hint, origin))
            if index == len(entries):
                entries.append(None)
            entries[index] = self._laid_over(entries[index], value, origin, (*place, key))
            self.origins[f"{dotted}.{key}"] = origin
        return entries


def parse_override(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` from the command line; VALUE is TOML, or else a plain string.

    >>> parse_override("training.learning_rate=3e-5")
    ('training.learning_rate', 3e-05)
    >>> parse_override("backend.use=loop")
    ('backend.use', 'loop')
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not all(key.split(".")):
        raise ExperimentError(
            Problem(f'"{text}" is not of the form KEY=VALUE', "--set", "Such as training.max_steps=20.")
        )
    try:
        parsed = tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):  # tomllib's own error is a ValueError; so is a number of too many digits
        return key, value
    return key, parsed["value"] if len(parsed) == 1 else value


def as_tables(given: Mapping[str, Any]) -> Table:
    """What a program gives for tables, as a file would hold it: tables of any kind, lists, and paths as text.

    >>> as_tables({"dataset": {"text_columns": ("text",)}})
    {'dataset': {'text_columns': ['text']}}
    """
    return {key: _as_value(value, 1) for key, value in given.items()}


def _as_value(value: Any, depth: int) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if depth > DEEPEST:  # told by `add`; it may hold itself
        return value
    if isinstance(value, Mapping):
        return {key: _as_value(inner, depth + 1) for key, inner in value.items()}
    return [_as_value(inner, depth + 1) for inner in value] if isinstance(value, list | tuple) else value


def _nested(overrides: Mapping[str, Any], origin: str) -> Table:
    tree: Table = {}
    for dotted, value in overrides.items():
        *parents, last = str(dotted).split(".")
        if len(parents) > DEEPEST:
            raise ExperimentError(Problem(f"leads through more than {DEEPEST} tables", shown(dotted), origin=origin))
        table = tree
        for part in parents:
            table = _step_into(table, part, dotted, origin)
        below = table.get(last)
        if last not in table:
            table[last] = _copied(value)
        elif isinstance(below, dict) and isinstance(value, dict):
            below |= _copied(value)
        else:
            raise ExperimentError(Problem("is set whole, and below it, too", dotted, "Say it in one.", origin))
    return tree


def _step_into(table: Table, key: str, dotted: str, origin: str) -> Table:
    below = table.setdefault(key, Reached())
    if not isinstance(below, dict):
        raise ExperimentError(Problem("is set below what another key sets whole", dotted, "Say it in one.", origin))
    return below


def _index(key: str) -> int | None:
    return int(key) if re.fullmatch(r"0|[1-9][0-9]{0,3}", key) else None


def _copied(value: Any) -> Any:
    """The value with tables and lists of its own: what is merged into them is no business of whoever gave them."""
    if isinstance(value, dict):
        return type(value)((key, _copied(inner)) for key, inner in value.items())
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def _unfit(layer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each value that no file can hold or nothing could compute with: its dotted place, and what is wrong with it."""
    left: list[tuple[str, Any, int]] = [("", layer, 0)]
    while left:
        place, value, depth = left.pop()
        if depth > DEEPEST:
            yield place[:80], f"stands in more than {DEEPEST} tables and lists"
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if isinstance(key, str) and not _is_text(key):
                    yield place, f"has a key that is no text: {key!r}"
                elif isinstance(key, str):
                    left.append((f"{place}.{key}" if place else key, inner, depth + 1))
                else:
                    yield place, f"has a key that is no text: {shown(key)}"
        elif isinstance(value, list | tuple):
            left += [(f"{place}[{index}]", inner, depth + 1) for index, inner in enumerate(value)]
        elif isinstance(value, int) and value not in INTEGERS:
            yield place, "must be a whole number of at most 64 bits"
        elif isinstance(value, str) and not _is_text(value):
            yield place, f"must be text that can be written as UTF-8, not {value!r}"


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
