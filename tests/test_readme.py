"""What the README shows is true: its files are sound, its code runs, its commands and options are there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest
from ftrun.cli import COMMANDS
from ftrun.planning.catalogue import load_catalogue
from helpers import PROJECT, Ftrun
from plugin_packages import Site

README = (PROJECT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
EXPERIMENTS = [text for language, text in BLOCKS if language == "toml" and "[dataset]" in text]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]


def test_the_readme_has_what_these_tests_run() -> None:
    assert len(EXPERIMENTS) == 2 and len(PROGRAMS) == 4


@pytest.mark.parametrize("text", EXPERIMENTS, ids=lambda text: text.split('"')[1])
def test_its_experiments_are_sound(text: str, workdir: Path, ftrun_command: Ftrun) -> None:
    for name in ("train.csv", "validation.csv"):
        (workdir / name).write_text("text,label\na,x\nb,y\n")
    (workdir / "shown.toml").write_text(text)
    profiles = [["--profile", name] for name in tomllib.loads(text).get("profile", {})]
    for profile in ([], *profiles):
        done = ftrun_command("check", "shown.toml", *profile)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_its_programs_run_one_after_the_other(workdir: Path) -> None:
    (workdir / "experiments").symlink_to(PROJECT / "experiments")
    done = subprocess.run([sys.executable, "-c", "\n".join(PROGRAMS[:2])], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "FINISHED 0." in done.stdout
    assert re.search(
        r"^\['(not_)?equivalent', '(not_)?equivalent'\] \{'not_equivalent': 0\.", done.stdout, re.MULTILINE
    )
    assert re.search(r"^\{'loss': 0\.\d+, 'accuracy': 0\.\d+, 'f1': ", done.stdout, re.MULTILINE)


def test_its_plugin_is_one() -> None:
    import numpy as np
    from ftrun.contracts import Metric, Predictions, Task

    module = types.ModuleType("my_package")
    exec(PROGRAMS[2], module.__dict__)
    (metric,) = module.ftrun_metrics()
    assert isinstance(metric, Metric)
    predictions = Predictions(np.eye(2)[[0, 1, 1]], np.array([0, 1, 1]), 0.0)
    assert metric.build(None, Task("classification", ("text",)))(predictions) == {"kappa": 1.0}


@pytest.mark.slow
def test_its_plugin_passes_the_suite_that_is_shown(site: Site, workdir: Path) -> None:
    site.add(PROGRAMS[-2], "my-package", points="kappa = my_package")
    (workdir / "test_kappa.py").write_text(PROGRAMS[-1])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_kappa.py"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **site.env})
    assert done.returncode == 0 and "19 passed" in done.stdout, done.stdout


def test_every_command_is_in_its_table() -> None:
    shown = set(re.findall(r"^\| `ftrun (\w+)", README, re.MULTILINE))
    assert shown - {"FILE"} == set(COMMANDS) - {"run"}


def test_the_data_sets_and_backends_that_it_names_are_there() -> None:
    catalogue = load_catalogue()
    assert {"hub", "files", "sample", "glue"} == set(catalogue.offers("dataset"))
    assert {"trainer", "loop", "accelerate"} == set(catalogue.offers("backend"))


def test_its_make_targets_and_plain_lines_are_the_makefiles() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for target in re.findall(r"^    make (\S+)$", README, re.MULTILINE):
        assert f"\n{target}: " in makefile
    assert "install --constraint constraints.txt --editable '.[sample,dev]'" in makefile
    line = "ftrun experiments/quickstart.toml --backend trainer --backend loop --backend accelerate"
    assert line in makefile and line in README
