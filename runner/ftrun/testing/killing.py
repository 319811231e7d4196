"""A run in a process of its own, which is killed outright in the midst of it.

`python -m ftrun.testing.killing REQUEST` is that process: it runs the tiny experiment and sends itself SIGKILL, once it
has taken so many steps and a checkpoint stands.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.contracts import Component
from ftrun.execution.watcher import Watcher
from ftrun.testing.offers import catalogue_with
from ftrun.testing.running import attempt

PATIENCE = 300.0
"""Seconds that the process may take."""
PUBLISHING = 60.0
"""Seconds that a checkpoint may take to be published, once it was due."""


def run_killed(folder: Path, overrides: Mapping[str, Any], step: int, suite: type[Any]) -> Path:
    """Run the tiny experiment in another process, which is killed with SIGKILL after a step.

    Args:
        folder: Where its run folder is made.
        overrides: Values by dotted key.
        step: After which it dies, if a checkpoint stands by then; else as soon as one does.
        suite: The class of tests whose `offered` are the components that are not installed there, either.

    Returns:
        The folder of the run that was killed.

    Raises:
        RuntimeError: If it was not killed, with what it said: the run ended before that.
    """
    request = {
        "path": sys.path,
        "folder": str(folder),
        "overrides": overrides,
        "step": step,
        "suite": [suite.__module__, str(Path(inspect.getfile(suite)).absolute()), suite.__qualname__],
    }
    done = subprocess.run(
        [sys.executable, "-m", __name__, json.dumps(request)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    runs = sorted((folder / "runs").glob("*"))
    if done.returncode != -signal.SIGKILL or not runs:
        raise RuntimeError(f"{done.stdout}{done.stderr}".strip() or f"it ended with status {done.returncode}")
    return runs[0]


class Killing(Watcher):
    """Kills its own process.

    Args:
        step: After which; then it waits for a checkpoint to stand.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.stands = threading.Event()

    def checkpoint_saved(self, step: int, folder: Path) -> None:
        """One stands."""
        self.stands.set()

    def stepped(self, step: int, epoch: float, loss: float) -> None:
        """Dies, or goes on where there is no checkpoint."""
        if step >= self.step and self.stands.wait(PUBLISHING):
            os.kill(os.getpid(), signal.SIGKILL)


def offered_by(module: str, file: str, name: str) -> Sequence[Component]:
    """The components that a suite has besides the installed ones, by where the suite is.

    Args:
        module, file: Of the tests.
        name: The class's, with those that it is in.
    """
    offered: Sequence[Component] = suite_of(module, file, name)().offered
    return offered


def suite_of(module: str, file: str, name: str) -> Any:
    """The class of a suite, by where it is; arguments as above."""
    suite: Any = _module(module, file)
    for part in name.split("."):
        suite = getattr(suite, part)
    return suite


def _module(name: str, file: str) -> Any:
    with contextlib.suppress(Exception):  # it is imported by its path then, as pytest may have done
        found = importlib.import_module(name)
        if Path(inspect.getfile(found)).absolute() == Path(file):
            return found
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def main(request: Mapping[str, Any]) -> None:
    """Run what is asked for, and say how it ended, where it has not been killed."""
    offered = offered_by(*request["suite"])
    catalogue, killing = catalogue_with(offered), Killing(request["step"])
    run = attempt(Path(request["folder"]), request["overrides"], catalogue, killing)
    stands = "a checkpoint" if killing.stands.is_set() else "no checkpoint"
    print(f"the run {run.result.status} after {run.result.steps} steps, with {stands}: {run.result.error}")  # noqa: T201


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
