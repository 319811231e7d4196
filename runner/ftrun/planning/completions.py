"""What a shell can go on with: settings by dotted key, according to a file, and their values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftrun.contracts import KINDS, Kind
from ftrun.errors import FtrunError
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.described import TABLES
from ftrun.planning.experiment import ExperimentSettings, flat
from ftrun.planning.keys import Key, described, keys_of

Candidate = tuple[str, str]
"""What a word can be, and what that means."""
SINGLE: Mapping[str, Kind] = {kind: kind for kind in KINDS if kind != "metric"}


def settings_by_key(catalogue: Catalogue, tables: Mapping[str, Any], begun: str) -> list[Candidate]:
    """What `KEY=VALUE` that is begun can go on with: a table with its dot, a key with its `=`, a key with a value.

    Args:
        catalogue: What is installed.
        tables: An experiment as far as it is known: `use` decides which keys a component's table has.
        begun: What stands there.
    """
    dotted, equals, _ = begun.partition("=")
    if equals:
        key = dict(_keys(catalogue, tables, dotted)).get(dotted)
        found = [(f"{dotted}={value}", "") for value in _values(key)] if key else []
    else:
        found = _one_step_on(list(_keys(catalogue, tables, dotted)), dotted)
    return [candidate for candidate in found if candidate[0].startswith(begun)]


def keys_of_file(tables: Mapping[str, Any], begun: str) -> list[Candidate]:
    """The dotted keys that a file sets, and its tables."""
    names = [*dict(flat(tables)), *(name for name, value in tables.items() if isinstance(value, dict | list))]
    return [(name, "") for name in sorted(set(names)) if name.startswith(begun)]


def _one_step_on(keys: Sequence[tuple[str, Key]], begun: str) -> list[Candidate]:
    """Keys up to the next dot behind what is begun."""
    steps: dict[str, str] = {}
    for dotted, key in keys:
        if not dotted.startswith(begun):
            continue
        dot = dotted.find(".", len(begun))
        step, help = (f"{dotted}=", key.description) if dot < 0 else (dotted[: dot + 1], "")
        steps.setdefault(step, help)
    return list(steps.items())


def _keys(catalogue: Catalogue, tables: Mapping[str, Any], begun: str) -> Iterator[tuple[str, Key]]:
    """Dotted keys of the tables that what is begun may lead into."""
    table, dot, _ = begun.partition(".")
    for name in ExperimentSettings.model_fields:
        if not (name == table if dot else name.startswith(table)):
            continue
        if name in SINGLE:
            yield from _component(catalogue, SINGLE[name], tables.get(name), f"{name}.", bool(dot))
        elif name == "metrics":
            yield from _metrics(catalogue, tables.get(name), bool(dot))
        elif name in TABLES:
            yield from ((f"{name}.{key.name}", key) for key in described(keys_of(TABLES[name])))
        elif name != "format":
            yield name, next(key for key in described(keys_of(ExperimentSettings)) if key.name == name)


def _metrics(catalogue: Catalogue, entries: Any, inside: bool) -> Iterator[tuple[str, Key]]:
    there = entries if isinstance(entries, list) else []
    for index, entry in enumerate([*there, {}]):
        yield from _component(catalogue, "metric", entry, f"metrics.{index}.", inside)


def _component(catalogue: Catalogue, kind: Kind, table: Any, prefix: str, inside: bool) -> Iterator[tuple[str, Key]]:
    yield f"{prefix}use", _use(catalogue, kind)
    if not inside:
        return
    use = table.get("use") if isinstance(table, Mapping) else None
    seen = set()
    for offer in _offers(catalogue, kind, use):
        for key in described(keys_of(offer.component.settings)):
            if key.name not in seen:
                seen.add(key.name)
                yield f"{prefix}{key.name}", key


def _offers(catalogue: Catalogue, kind: Kind, use: Any) -> list[Any]:
    """The component that a table uses; where that is not known, all of the kind."""
    if isinstance(use, str):
        try:
            return [catalogue.find(kind, use, "use")]
        except FtrunError:
            pass
    return [offer for offers in catalogue.offers(kind).values() for offer in offers]


def _use(catalogue: Catalogue, kind: Kind) -> Key:
    names = " or ".join(f'"{name}"' for name in component_names(catalogue, kind))
    return Key("use", names, True, None, f"The {kind}, by its name.", '""')


def component_names(catalogue: Catalogue, kind: Kind) -> list[str]:
    """What `use` may say of a kind: with the distribution where several offer the name."""
    return [catalogue.use_of(offer) for offers in catalogue.offers(kind).values() for offer in offers]


def _values(key: Key) -> list[str]:
    """The values of a key that has but a few."""
    if key.type == "true or false":
        return ["true", "false"]
    return re.findall(r'"([^"\\ ]*)"', key.type)
