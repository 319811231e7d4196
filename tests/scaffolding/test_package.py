"""`ftrun new plugin` writes a package that installs, lints, type-checks, passes its tests and runs, as it stands."""

from __future__ import annotations

import importlib
import itertools
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ftrun import ExperimentError
from ftrun.contracts import CONTRACT_VERSION, KINDS
from ftrun.scaffolding.package import PLUGIN_KINDS, PluginKind, new_package
from plugin_packages import install, tool

EACH: Sequence[Sequence[PluginKind]] = [*([kind] for kind in PLUGIN_KINDS), PLUGIN_KINDS]


def _weight(kinds: Sequence[PluginKind]) -> pytest.MarkDecorator:
    """The package of every kind has all files; those of one kind each are left for the hand."""
    return pytest.mark.slow if len(kinds) > 1 or kinds == ["metric"] else pytest.mark.by_hand


def called(kinds: Sequence[PluginKind]) -> str:
    return "every kind" if len(kinds) > 1 else kinds[0]


@pytest.mark.parametrize("kinds", EACH, ids=called)
def test_a_package_has_its_hooks_and_is_linted(kinds: Sequence[PluginKind], tmp_path: Path) -> None:
    files = new_package("ftrun-mine", kinds, tmp_path)
    assert all((tmp_path / path).is_file() for path in files)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["ftrun"] == {"mine": "ftrun_mine"}
    hooks = (tmp_path / "src/ftrun_mine/__init__.py").read_text()
    assert f'ftrun_contract = "{CONTRACT_VERSION}"' in hooks
    for kind in kinds:
        assert (f"def ftrun_{kind}s" if kind != "observer" else "ftrun_run_finished") in hooks
        assert Path("tests", f"test_{kind}.py") in files
    tool(tmp_path, "ruff", "check", "--no-cache", ".")
    tool(tmp_path, "ruff", "format", "--no-cache", "--check", ".")


def test_a_component_does_not_hide_the_module_that_it_is_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new_package("ftrun-unhidden", PLUGIN_KINDS, tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    try:
        package = importlib.import_module("ftrun_unhidden")
        for kind in KINDS:
            assert getattr(package, kind) is importlib.import_module(f"ftrun_unhidden.{kind}")
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "ftrun_unhidden"]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("kinds", "called"),
    [
        (["metric", "observer"], {"mine"}),
        (PLUGIN_KINDS, {f"mine-{kind}" for kind in KINDS}),
        (["model", "metric"], {"mine-model", "mine-metric", "mine-batches"}),
    ],
    ids=["one component", "one of each kind", "a model with its collator"],
)
def test_no_two_components_of_a_package_are_called_alike(
    kinds: Sequence[PluginKind], called: set[str], tmp_path: Path
) -> None:
    files = new_package("ftrun-mine", kinds, tmp_path)
    source = "".join((tmp_path / path).read_text() for path in files if path.parts[0] == "src")
    names = re.findall(r"^    name=\"(.*)\",$", source, re.MULTILINE)
    assert set(names) == called and len(names) == len(called)
    readme = (tmp_path / "README.md").read_text()
    experiment = tomllib.loads((tmp_path / "experiment.toml").read_text())
    assert all(f"`{name}`" in readme or f'"{name}"' in readme for name in called - {"mine-batches"})
    assert experiment["metrics"][-1]["use"] in called and experiment["name"] == "mine"


@pytest.mark.parametrize("kinds", [*itertools.combinations(KINDS, 2), KINDS], ids="-".join)
def test_each_component_is_used_by_the_experiment(kinds: Sequence[PluginKind], tmp_path: Path) -> None:
    new_package("ftrun-mine", kinds, tmp_path)
    text = (tmp_path / "experiment.toml").read_text()
    used = {found["use"] for table in tomllib.loads(text).values() for found in _tables(table) if "use" in found}
    assert {f"mine-{kind}" for kind in kinds} <= used


def _tables(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


@pytest.mark.parametrize("kinds", [pytest.param(kinds, marks=_weight(kinds)) for kinds in EACH], ids=called)
def test_a_package_installs_type_checks_passes_its_tests_and_runs(kinds: Sequence[PluginKind], tmp_path: Path) -> None:
    package, site = tmp_path / "package", tmp_path / "site"
    new_package("ftrun-mine", kinds, package)
    install(package, site)
    tool(package, "mypy", "--cache-dir", os.devnull)
    tool(package, "pytest", "-q", "-p", "no:cacheprovider", site=site)
    tool(package, "ftrun", "check", "experiment.toml", site=site)
    tool(package, "ftrun", "experiment.toml", "--set", "tracking.pictures=false", site=site)


def test_what_is_in_a_folder_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ExperimentError, match="not empty"):
        new_package("ftrun-mine", ["metric"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExperimentError, match="cannot be written"):
        new_package("ftrun-mine", ["metric"], tmp_path / "file" / "inside")
