"""The installed entry points of a group; a distribution whose metadata is damaged hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions

from ftrun.planning.choice import BUILT_IN, normalized


@dataclass(frozen=True)
class Installed:
    """A distribution with entry points of a group.

    Attributes:
        name, version: As its metadata says; without a name, what its folder is called.
        points: Its entry points.
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
    found: dict[str, Installed] = {}
    for distribution in distributions():
        name, version = _name_of(distribution), _version_of(distribution)
        if normalized(name) not in found:
            found[normalized(name)] = _with_points(distribution, name, version, group)
    used = [one for one in found.values() if one.points or one.fault]
    return sorted(used, key=lambda one: (normalized(one.name) != BUILT_IN, normalized(one.name)))


def _with_points(distribution: Distribution, name: str, version: str, group: str) -> Installed:
    try:
        text = distribution.read_text("entry_points.txt") or ""
        if not _mentions(text, group):
            return Installed(name, version)
        points = sorted(distribution.entry_points.select(group=group), key=lambda point: point.name)
        return Installed(name, version, [point for point in points if point.value])
    except Exception as fault:
        return Installed(name, version, fault=f"its entry_points.txt cannot be read: {type(fault).__name__}: {fault}")


def _mentions(text: str, group: str) -> bool:
    return any(line.strip().strip("[]").strip() == group for line in text.splitlines() if "[" in line)


def _name_of(distribution: Distribution) -> str:
    try:
        if name := distribution.metadata["Name"]:
            return str(name)
    except Exception:  # noqa: S110 - metadata that nobody can read has no name
        pass
    return next(_folder_words(distribution), "?")


def _version_of(distribution: Distribution) -> str:
    try:
        return str(distribution.metadata["Version"] or "")
    except Exception:
        return ""


def _folder_words(distribution: Distribution) -> Iterator[str]:
    path = getattr(distribution, "_path", None)
    if path is not None:
        yield str(path.name).partition("-")[0]
