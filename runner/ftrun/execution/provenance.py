"""What a run can tell of where it comes from: versions, machine, commit."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ftrun.planning.choice import BUILT_IN
from ftrun.planning.parts import Part

STACK = ("ftrun", "torch", "transformers", "datasets", "accelerate", "evaluate", "mlflow", "tokenizers", "numpy")
"""The packages whose versions a run records, beside those of its plugins."""


def versions(extra: frozenset[str] = frozenset()) -> Mapping[str, str]:
    """The installed versions of the stack and of `extra` distributions, and Python's."""
    found = {"python": platform.python_version()}
    for name in (*STACK, *sorted(extra - set(STACK))):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def plugin_code(parts: Iterable[Part]) -> Mapping[str, str]:
    """A checksum of the Python files of each package that brings a part, by distribution; not of ftrun's own.

    An editable install has one version for all that is edited in it.
    """
    homes: dict[str, set[Path]] = {}
    for part in parts:
        if part.offer.distribution != BUILT_IN and (home := part.home):
            homes.setdefault(part.offer.distribution, set()).add(home)
    return {name: _digest(sorted(found)) for name, found in homes.items()}


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
