"""Plugin packages as pip installs them, laid out without it."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ftrun.planning.catalogue import Plugin, load_catalogue

HEAD = """
from ftrun import ExperimentError, Problem, RunError, hookimpl
from ftrun.contracts import *
from ftrun.settings import Settings

TASK = Task("classification", ("text",), "label", ("not_equivalent", "equivalent"))

def metric(name="half", summary="Always one half", yields=lambda s, t: {'half': "max"}, build=lambda s, t: None, **more):
    return Metric(name=name, summary=summary, yields=yields, build=build, **more)

def dataset(name="theirs", summary="", build=lambda s: None, task=lambda s: TASK, **more):
    return Dataset(name=name, summary=summary, build=build, task=task, **more)

def model(name="theirs", summary="", build=lambda s, splits: None, **more):
    return Model(name=name, summary=summary, build=build, **more)

def collator(name="theirs", summary="", build=lambda s, tokenizer: None, **more):
    return Collator(name=name, summary=summary, build=build, **more)

def backend(name="theirs", summary="", build=lambda s, training: None, **more):
    return Backend(name=name, summary=summary, build=build, **more)
"""
"""What the plugins of tests begin with."""


def offering(kind: str, *components: str, before: str = "") -> str:
    """The source of a plugin that offers components, each written as a call of one of `HEAD`'s functions."""
    return f"{HEAD}\n{before}\n@hookimpl\ndef ftrun_{kind}s():\n    return [{', '.join(components)}]\n"


class Site:
    """A folder of installed packages on this process's path.

    Attributes:
        env: For a process that is to find them, too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []
        self.env = {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}

    def add(
        self,
        source: str,
        distribution: str = "their-package",
        version: str = "1.0",
        points: str = "",
        requires: Sequence[str] = (),
    ) -> None:
        """Install a distribution of one module, with one entry point, `main`, or others."""
        module = distribution.replace("-", "_").lower()
        info = self.folder / f"{module}-{version}.dist-info"
        info.mkdir()
        metadata = [f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(metadata) + "\n")
        (info / "entry_points.txt").write_text(f"[ftrun]\n{points or f'main = {module}'}\n")
        self.write(module, source)

    def write(self, module: str, source: str) -> None:
        """Write a module."""
        (self.folder / f"{module}.py").write_text(source)
        self.modules.append(module)
        importlib.invalidate_caches()

    def plugin(self, distribution: str = "their-package") -> Plugin:
        """What became of a distribution's plugin."""
        (plugin,) = [found for found in load_catalogue().plugins if found.distribution == distribution]
        return plugin


def install(package: Path, site: Path) -> None:
    """Install a package into a folder, as pip does, with what is here already left as it is."""
    tool(package, "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", site, ".")


def tool(folder: Path, *command: Any, site: Path | None = None) -> None:
    """Run a Python tool in a folder; it must be content.

    Args:
        site: A folder of installed packages that it finds, too.
    """
    paths = [*([str(site)] if site else []), os.environ.get("PYTHONPATH", "")]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)} if site else None
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder of installed packages on this process's path, still empty."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    site = Site(folder)
    yield site
    for module in site.modules:
        sys.modules.pop(module, None)
