"""What needs nothing heavy imports nothing heavy."""

from __future__ import annotations

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
        ["show", "tiny.toml"],
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


def test_importing_ftrun_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, ftrun; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert not set(done.stdout.split()) & (HEAVY | {"rich", "click"})
