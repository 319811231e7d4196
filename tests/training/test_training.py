"""What `ftrun.training` offers is there by name, and costs nothing before it is used."""

from __future__ import annotations

import subprocess
import sys

import ftrun.training
import pytest

HEAVY = {"torch", "transformers", "accelerate", "datasets", "numpy", "mlflow"}


@pytest.mark.parametrize(
    "code", ["import ftrun.training", "import ftrun.training.environment", "from ftrun.training import *"]
)
@pytest.mark.slow
def test_only_what_is_used_is_imported(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"], capture_output=True, text=True, check=True
    )
    imported = set(done.stdout.split())
    assert ("torch" in imported) if "*" in code else not imported & HEAVY


def test_a_backends_catalogue_is_light() -> None:
    code = "from ftrun.training import CHECKPOINT_FORMAT, FITTING_KEYS, SCHEDULE_KEYS, disagreements\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


def test_every_name_is_there() -> None:
    assert {name for name in ftrun.training.__all__ if getattr(ftrun.training, name) is None} == set()
    assert set(ftrun.training._PLACES) == set(ftrun.training.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Trainer'"):
        _ = ftrun.training.Trainer  # type: ignore[attr-defined]
