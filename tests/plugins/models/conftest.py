"""A sound checkpoint to be spoilt, for the tests of what becomes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from makers import make_checkpoint


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def checkpoint(sound: Path, tmp_path: Path) -> Path:
    """A sound checkpoint, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "bert"))
