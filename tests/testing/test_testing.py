"""What a plugin's author finds in `ftrun.testing`, before anything is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import ftrun.testing
import pytest

HEAVY = {"torch", "transformers", "datasets", "evaluate", "accelerate", "mlflow"}
KAPPA = """
from ftrun.contracts import Metric
from ftrun.testing import MetricSuite

def build(settings, task):
    from sklearn.metrics import cohen_kappa_score
    return lambda predictions: {"kappa": cohen_kappa_score(predictions.labels, predictions.values)}

class TestKappa(MetricSuite):
    component = Metric(name="kappa", summary="Cohen's kappa", yields=lambda s, t: {"kappa": "max"}, build=build)
    cases = [([0, 1, 1, 0], [0, 1, 0, 0], {"kappa": 0.4})]
"""


def pytest_of(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


def test_every_name_is_there_and_importing_the_room_is_light() -> None:
    assert all(getattr(ftrun.testing, name) for name in ftrun.testing.__all__)
    with pytest.raises(AttributeError, match="no attribute 'NoSuite'"):
        _ = ftrun.testing.NoSuite  # type: ignore[attr-defined]
    code = "import sys; from ftrun.testing import MetricSuite, run_tiny; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & HEAVY


@pytest.mark.slow
def test_a_plain_pytest_finds_a_suite_and_says_in_words_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "test_kappa.py").write_text(KAPPA)
    told = pytest_of(tmp_path, "-q", "-k", "cases or contract_says")
    assert "1 failed, 1 passed" in told, told
    assert """the metric "kappa" of under-test is 0.5 for the labels [0, 1, 1, 0]""" in told
    assert "expected: 0.4" in told and "ftrun/testing/metrics.py:" not in told


def test_without_pytest_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.delitem(sys.modules, "ftrun.testing.sentences", raising=False)
    monkeypatch.delitem(sys.modules, "ftrun.testing.datasets", raising=False)
    with pytest.raises(ImportError, match=r"DatasetSuite needs pytest: pip install 'ftrun\[testing\]'"):
        ftrun.testing.__getattr__("DatasetSuite")
