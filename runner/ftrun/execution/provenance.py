"""What a run can tell of where it comes from: versions, machine, commit."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ftrun.planning.catalogue import Catalogue
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.parts import Part, home_of

STACK = ("ftrun", "torch", "transformers", "datasets", "accelerate", "evaluate", "mlflow", "tokenizers", "numpy")
"""The packages whose versions a run records, beside those of its plugins."""


def versions(extra: frozenset[str] = frozenset()) -> Mapping[str, str]:
    """The installed versions of the stack and of `extra` distributions, and Python's."""
    found = {"python": platform.python_version()}
    for name in (*STACK, *sorted(extra - set(STACK))):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def plugin_code(parts: Iterable[Part], catalogue: Catalogue) -> Mapping[str, str]:
    """A checksum of the Python files of each distribution that brings a part, by its name; not of ftrun's own.

    An editable install has one version for all that is edited in it. The files are those of all packages that its
    components are of, whichever of these are in use: with another one of them it is the same distribution.
    """
    used = {part.offer.distribution for part in parts} - {BUILT_IN}
    homes: dict[str, set[Path]] = {name: set() for name in used}
    for plugin in catalogue.plugins:
        if plugin.distribution in used:
            homes[plugin.distribution] |= {home for found in plugin.components if (home := home_of(found))}
    return {name: _digest(sorted(found)) for name, found in homes.items() if found}


def _digest(homes: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for home in homes:
        for file in sorted(home.rglob("*.py")) if home.is_dir() else [home]:
            with contextlib.suppress(OSError):
                digest.update(f"{file.relative_to(home.parent).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def machine() -> Mapping[str, str]:
    """What tells this machine from others: its name, its system and its processor."""
    return {"host": platform.node(), "platform": platform.platform(), "processor": _processor()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def git_state(folder: Path) -> Mapping[str, str]:
    """The commit that `folder` is at and whether anything in it differs from that; empty outside a git checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        dirty = bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": commit, "dirty": str(dirty).lower()}
