"""The installed entry points of a group; a distribution whose metadata is damaged hides no other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points

from ftrun.planning.choice import BUILT_IN, normalized


@dataclass
class Installed:
    """A distribution with entry points of a group.

    Attributes:
        points: Its entry points, by name.
        fault: What is wrong with its metadata; it has no entry points then.
    """

    name: str
    version: str
    points: list[EntryPoint] = field(default_factory=list)
    fault: str | None = None


def installed(group: str) -> list[Installed]:
    """Every distribution with entry points of the group, the built-in one first and all others by name.

    Of several of one name the first on the path counts, as for Python itself.
    """
    try:
        found = _by_distribution(entry_points(group=group))
    except Exception:  # one entry_points.txt that cannot be read fails them all
        found = list(_one_by_one(group))
    return sorted(found, key=lambda one: (normalized(one.name) != BUILT_IN, normalized(one.name)))


def _by_distribution(points: Iterable[EntryPoint]) -> list[Installed]:
    found: dict[str, Installed] = {}
    for point in sorted(points, key=lambda point: point.name):
        name, version = _identity(point.dist)
        found.setdefault(normalized(name), Installed(name, version)).points.append(point)
    return list(found.values())


def _one_by_one(group: str) -> Iterator[Installed]:
    seen = set()
    for distribution in distributions():
        name, version = _identity(distribution)
        if normalized(name) in seen:
            continue
        seen.add(normalized(name))
        try:
            points = list(distribution.entry_points.select(group=group))
        except Exception as fault:
            why = f"its entry_points.txt cannot be read: {type(fault).__name__}: {fault}"
            yield Installed(name, version, fault=why)
        else:
            yield from _by_distribution(points)


def _identity(distribution: Distribution | None) -> tuple[str, str]:
    """Name and version as the metadata says; "?" where it says nothing."""
    try:
        assert distribution is not None
        return str(distribution.metadata["Name"] or "?"), str(distribution.metadata["Version"] or "")
    except Exception:
        return "?", ""
