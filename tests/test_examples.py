"""The example packages, as whoever copies from them has them: wheels in a fresh environment, beside ftrun's own."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers import PROJECT

EXAMPLES = sorted(path.parent for path in (PROJECT / "examples").glob("*/pyproject.toml"))
OFFERS = {
    "ftrun-bag-of-words": {"model     bag-of-words", "collator  bag-of-words"},
    "ftrun-brier": {"metric    brier"},
    "ftrun-bucketed-padding": {"collator  bucketed-padding"},
    "ftrun-notify": {"observes: ftrun_evaluated, ftrun_run_finished, ftrun_run_started"},
    "ftrun-sgd": {"backend   sgd"},
    "ftrun-sqlite": {"dataset   sqlite"},
    "ftrun-token-classification": {
        *("dataset   tagged-files", "model     token-classification", "collator  token-padding"),
        *("metric    token-accuracy", "metric    entities"),
    },
}
"""What each package offers, as `ftrun plugins` shows it."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("examples")]


@dataclass(frozen=True)
class Fresh:
    """A fresh environment with ftrun and all the packages, and a working folder with what their experiments want.

    Attributes:
        python: Its interpreter.
        folder: The working folder.
        env: The environment variables.
    """

    python: Path
    folder: Path
    env: Mapping[str, str]

    def call(self, *arguments: str | Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a module."""
        command = [str(self.python), "-m", *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.folder, env=dict(self.env), text=True, capture_output=True, timeout=timeout
        )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, new_store: Path) -> Fresh:
    """Everything built to wheels and installed at once; libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("examples")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = ["wheel", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "wheels")]
    subprocess.run([*pip, *wheels, str(PROJECT), *map(str, EXAMPLES)], check=True, capture_output=True)
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (home,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (home / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    built = [str(path) for path in (folder / "wheels").glob("*.whl")]
    subprocess.run([*pip, "--python", str(python), "install", "--no-index", "--no-deps", *built], check=True)
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MLFLOW_TRACKING_URI")}
    return Fresh(python, working_folder(folder / "work", new_store), {**env, "HF_HUB_OFFLINE": "1"})


def working_folder(folder: Path, store: Path) -> Path:
    folder.mkdir()
    shutil.copy(store, folder)  # made already, which takes longer than the runs
    for example in EXAMPLES:
        shutil.copy(example / "experiment.toml", folder / f"{example.name}.toml")
        if (example / "data").is_dir():
            shutil.copytree(example / "data", folder / "data", dirs_exist_ok=True)
    subprocess.run([sys.executable, PROJECT / "examples" / "ftrun-sqlite" / "make_reviews.py"], cwd=folder, check=True)
    return folder


def test_every_package_is_there_and_offers_what_it_says(fresh: Fresh) -> None:
    assert {path.name for path in EXAMPLES} == set(OFFERS)
    where = fresh.call("ftrun", "--version")
    assert where.returncode == 0, where.stderr
    shown = fresh.call("ftrun", "plugins").stdout
    for package, offers in OFFERS.items():
        lines = [line for line in shown.splitlines() if f"{package} 0.1.0" in line]
        for offer in offers:
            assert any(offer in line for line in lines), (package, offer, shown)
    assert "failed" not in shown and "Traceback" not in shown


def test_the_environment_has_wheels_and_nothing_of_this_checkout(fresh: Fresh) -> None:
    script = fresh.folder / "where.py"
    modules = ["ftrun", "ftrun_plugins", *(example.name.replace("-", "_") for example in EXAMPLES)]
    script.write_text(f"import importlib\nfor name in {modules}: print(importlib.import_module(name).__file__)\n")
    found = fresh.call("where").stdout.split()
    assert len(found) == len(modules) and all(path.startswith(str(fresh.python.parent.parent)) for path in found)


def test_every_experiment_is_checked_and_comes_to_its_end(fresh: Fresh) -> None:
    files = [f"{example.name}.toml" for example in EXAMPLES]
    checked = fresh.call("ftrun", "check", *files)
    assert checked.returncode == 0, checked.stderr
    done = fresh.call("ftrun", *files, "--json", "--set=tracking.pictures=false")  # which take longer than the runs
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [result["status"] for result in results] == ["FINISHED"] * len(files) == ["FINISHED"] * 7
    for result, measured in zip(results, MEASURED, strict=True):
        assert measured in result["metrics"], result


MEASURED = ("eval/accuracy", "eval/brier", *["eval/accuracy"] * 4, "eval/entity_f1")
"""A number of each experiment, in the order of the packages."""


def test_the_packages_own_tests_pass(fresh: Fresh) -> None:
    tests = [example / "tests" for example in EXAMPLES]
    assert all(list(folder.glob("test_*.py")) for folder in tests)
    options = ["-c", os.devnull, "-p", "no:cacheprovider", "--import-mode=importlib", "-q"]
    done = fresh.call("pytest", *options, *tests)
    assert done.returncode == 0, done.stdout
