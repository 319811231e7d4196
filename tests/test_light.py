"""What needs nothing heavy imports nothing heavy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "torch",
    "transformers",
    "datasets",
    "evaluate",
    "accelerate",
    "mlflow",
    "numpy",
    "pandas",
    "matplotlib",
    "sklearn",
    "scipy",
}

PROBE = """
import sys
from ftrun.cli import main
try:
    main()
except SystemExit as leaving:
    print("STATUS", leaving.code)
print("MODULES", *sorted(name for name in sys.modules if "." not in name))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["plugins"],
        ["cache"],
        ["runs"],
        ["check", "tiny.toml"],
        ["check", "--offline", "tiny.toml"],
        ["show", "tiny.toml"],
        ["describe", "model", "sequence-classification"],
        ["schema"],
        ["completion", "bash"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_no_heavy_package_is_imported(tiny: Path, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True)
    imported = set(next(line for line in done.stdout.splitlines() if line.startswith("MODULES")).split())
    assert f"STATUS {2 if arguments == ['nope'] else 0}" in done.stdout, done.stderr
    assert {"ftrun", "click"} <= imported
    assert not imported & HEAVY


@pytest.mark.parametrize("line", ["ftrun tiny.toml --set model.", "ftrun resume ", "ftrun describe metric "])
def test_completing_imports_nothing_heavy(tiny: Path, line: str) -> None:
    asked = {"_FTRUN_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    (Path("runs") / "tiny-1").mkdir(parents=True)
    Path("runs/tiny-1/journal.jsonl").touch()
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, env={**os.environ, **asked})
    words, _, imported = done.stdout.partition("MODULES")
    assert "plain," in words and "STATUS 0" in words, done.stderr
    assert not set(imported.split()) & HEAVY


def test_importing_ftrun_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, ftrun; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & (HEAVY | {"rich", "click"})
