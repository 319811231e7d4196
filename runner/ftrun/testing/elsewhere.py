"""What a model encodes in a process of its own, where Python's `hash()` of a text is another.

`python -m ftrun.testing.elsewhere REQUEST` is that process: it builds the suite's model, and encodes.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftrun.testing.killing import suite_of
from ftrun.testing.plain import columns_of, plain

PATIENCE = 300.0
"""Seconds that the process may take."""
SEEDS = ("1", "2")
"""Of `hash()`; the first that is not this process's own is taken."""


def encoded_elsewhere(suite: type[Any]) -> Any:
    """What the model of a suite encodes of its training rows, when another process builds it.

    Args:
        suite: The class of tests.

    Returns:
        The columns, as lists.

    Raises:
        RuntimeError: If it does not, with what it said.
    """
    seed = next(seed for seed in SEEDS if seed != os.environ.get("PYTHONHASHSEED"))
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told.json")
        request = {
            "path": sys.path,
            "told": str(told),
            "suite": [suite.__module__, str(Path(inspect.getfile(suite)).absolute()), suite.__qualname__],
        }
        done = subprocess.run(
            [sys.executable, "-m", __name__, json.dumps(request)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if not told.exists():
            raise RuntimeError(f"{done.stdout}{done.stderr}".strip() or f"it ended with status {done.returncode}")
        return json.loads(told.read_text())


def written(encoded: Mapping[str, Any]) -> Any:
    """Encoded columns as they are once they were text."""
    return json.loads(json.dumps(plain(encoded), default=repr))


class _Folders:
    """Makes folders for a suite, as pytest does."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def mktemp(self, name: str, numbered: bool = True) -> Path:
        return Path(tempfile.mkdtemp(prefix=name, dir=self._home))


def main(request: Mapping[str, Any]) -> None:
    """Build and encode."""
    suite = suite_of(*request["suite"])()
    suite._factory = _Folders(Path(request["told"]).parent)
    encoded = suite._build().encode(columns_of(suite._splits.train))
    Path(request["told"]).write_text(json.dumps(written(dict(encoded))))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
