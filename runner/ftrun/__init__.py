"""ftrun: declare a fine-tuning experiment once, run it on any backend, keep everything about it in MLflow."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from ftrun.errors import ExperimentError, FtrunError, Problem, RunError, RunFinishedError
from ftrun.hookspecs import hookimpl

if TYPE_CHECKING:
    from ftrun.api import evaluate as evaluate
    from ftrun.api import predict as predict
    from ftrun.api import resume as resume
    from ftrun.api import run as run
    from ftrun.runs.results import PredictionResult as PredictionResult
    from ftrun.runs.results import RunResult as RunResult

__all__ = [
    "ExperimentError",
    "FtrunError",
    "PredictionResult",
    "Problem",
    "RunError",
    "RunFinishedError",
    "RunResult",
    "__version__",
    "evaluate",
    "hookimpl",
    "predict",
    "resume",
    "run",
]
__version__ = version("ftrun")


def __getattr__(name: str) -> object:
    # `import ftrun` is what every plugin does, `ftrun --help` included: the runner itself comes on first use
    if name in ("run", "resume", "predict", "evaluate"):
        from ftrun import api

        return vars(api)[name]
    if name in ("RunResult", "PredictionResult"):
        from ftrun.runs import results

        return vars(results)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
