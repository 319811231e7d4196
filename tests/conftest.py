"""Fixtures: an empty working folder, a tiny experiment in it, the command, and a Hub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
from helpers import SHARED, TINY, Ftrun, Hub, OwnHub, make_bert, make_glue

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: the tests run side by side, and torch's threads wait for each other

hypothesis.settings.register_profile("ftrun", deadline=None)  # a first call imports what the later ones find
hypothesis.settings.load_profile("ftrun")


@pytest.fixture(autouse=True, scope="session")
def private_caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests out of the user's caches, and off every network but loopback."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(workdir: Path) -> Path:
    """The tiny experiment's file, in an empty working folder."""
    path = workdir / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture
def ftrun_command(workdir: Path) -> Ftrun:
    """The command, in a process of its own, in the working folder."""

    def call(
        *arguments: str | Path, env: Mapping[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ftrun", *map(str, arguments)],
            cwd=workdir,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return call


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub with GLUE's MRPC and STS-B, and all-MiniLM-L6-v2 under the name of BERT."""
    if not SHARED:
        pytest.skip("FTRUN_TEST_SHARED names no folder with a stand-in for the Hub")
    hub = Hub(tmp_path / "hub")
    yield hub
    hub.stop()


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders laid out like repositories of the Hub: a small GLUE and a small BERT."""
    folder = tmp_path_factory.mktemp("repositories")
    make_glue(folder / "glue")
    make_bert(folder / "bert")
    return folder


@pytest.fixture
def own_hub(repositories: Path, tmp_path: Path) -> Iterator[OwnHub]:
    """A Hub with `nyu-mll/glue`, small and of the embedded sample's rows, and a small `google-bert/bert-base-uncased`.

    A process finds it by `own_hub.env`, and this one after `own_hub.use_here(monkeypatch)`.
    """
    hub = OwnHub(tmp_path / "hf")
    hub.add("dataset", "nyu-mll/glue", repositories / "glue")
    hub.add("model", "google-bert/bert-base-uncased", repositories / "bert")
    yield hub
    hub.stop()
