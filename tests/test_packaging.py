"""What is installed: two packages, their data, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

from helpers import PROJECT


def test_the_wheel_holds_the_two_packages_and_the_sample_with_its_licence(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(tmp_path), str(PROJECT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "ftrun",
        "ftrun_plugins",
        f"{'-'.join(wheel.stem.split('-')[:2])}.dist-info",
    }
    data = {
        f"ftrun_plugins/datasets/sample_data/{name}"
        for name in ("train.jsonl", "validation.jsonl", "test.jsonl", "LICENSE")
    }
    assert data <= set(names) and "ftrun/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
