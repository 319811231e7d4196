"""Tests for whoever makes a component: a suite for each kind, and the small parts to try one with.

A suite is a class of pytest tests. One that is subclassed in a file of tests, with the component's name or the
component itself, is found by a plain `pytest`; no plugin of pytest and no `conftest.py` is needed. It wants
`pip install 'ftrun[testing]'`.

    from ftrun.testing import MetricSuite

    class TestKappa(MetricSuite):
        component = "kappa"
        settings = {"weights": "linear"}
        cases = [([0, 1, 1, 0], [0, 1, 0, 0], {"kappa": 0.5})]

The suites are `DatasetSuite`, `ModelSuite`, `CollatorSuite`, `MetricSuite`, `BackendSuite` and, for a plugin that looks
on, `ObserverSuite`. ftrun's own components pass the very same. `help(ftrun.testing.MetricSuite)` and the like say what
each test promises and what may be set; `ComponentSuite` is what all but the last have in common. A test that does not
suit a component is taken out by its name, `test_... = None`, best with a comment that says why. Later versions of ftrun
may ask for more.

To try a part in tests of one's own: `tiny_task`, `tiny_splits` and `tiny_model` make what a component is given,
`FakeReporter` keeps what a backend reports, and `run_tiny` runs a small experiment and gives its curve, points and
predictions. Nothing here asks the Hub or MLflow.

Importing this imports nothing heavy; names are imported on their first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftrun.testing.backends import BackendSuite as BackendSuite
    from ftrun.testing.collators import CollatorSuite as CollatorSuite
    from ftrun.testing.datasets import DatasetSuite as DatasetSuite
    from ftrun.testing.metrics import MetricSuite as MetricSuite
    from ftrun.testing.models import ModelSuite as ModelSuite
    from ftrun.testing.observers import Call as Call
    from ftrun.testing.observers import ObserverSuite as ObserverSuite
    from ftrun.testing.reporter import FakeReporter as FakeReporter
    from ftrun.testing.running import TinyRun as TinyRun
    from ftrun.testing.running import run_tiny as run_tiny
    from ftrun.testing.suite import ComponentSuite as ComponentSuite
    from ftrun.testing.tiny import tiny_model as tiny_model
    from ftrun.testing.tiny import tiny_splits as tiny_splits
    from ftrun.testing.tiny import tiny_task as tiny_task

__all__ = [
    "BackendSuite",
    "Call",
    "CollatorSuite",
    "ComponentSuite",
    "DatasetSuite",
    "FakeReporter",
    "MetricSuite",
    "ModelSuite",
    "ObserverSuite",
    "TinyRun",
    "run_tiny",
    "tiny_model",
    "tiny_splits",
    "tiny_task",
]

_MODULES = {
    "backends": "BackendSuite",
    "collators": "CollatorSuite",
    "datasets": "DatasetSuite",
    "metrics": "MetricSuite",
    "models": "ModelSuite",
    "observers": "Call ObserverSuite",
    "reporter": "FakeReporter",
    "running": "TinyRun run_tiny",
    "suite": "ComponentSuite",
    "tiny": "tiny_model tiny_splits tiny_task",
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in _PLACES:
        try:
            return getattr(import_module(f"ftrun.testing.{_PLACES[name]}"), name)
        except ModuleNotFoundError as error:
            if error.name != "pytest":
                raise
            raise ImportError(f"ftrun.testing.{name} needs pytest: pip install 'ftrun[testing]'") from error
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
