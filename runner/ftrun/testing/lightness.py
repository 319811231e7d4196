"""What a module imports, in an interpreter of its own."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

HEAVY = ("torch", "transformers", "datasets", "evaluate", "accelerate", "mlflow")
"""What a catalogue of components must not import: `ftrun --help` and `ftrun check` load every one."""

PROBE = """
import importlib, json, sys
module, heavy, path = json.loads(sys.argv[1])
sys.path[:] = path
found = {}

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in heavy and name not in found:
            frame = sys._getframe(1)
            while "importlib" in frame.f_code.co_filename:
                frame = frame.f_back
            found[name] = f"{frame.f_code.co_filename}, line {frame.f_lineno}"

sys.meta_path.insert(0, Watch())
importlib.import_module(module)
print("FOUND", json.dumps(found))
"""


def heavy_imports(module: str) -> Mapping[str, str]:
    """The heavy packages that importing a module imports, each with the file and line that asks for it.

    Raises:
        ImportError: If it cannot be imported, with what Python said.
    """
    return _probed(module, tuple(sys.path))


@functools.cache
def _probed(module: str, path: Sequence[str]) -> Mapping[str, str]:
    request = json.dumps([module, HEAVY, path])
    done = subprocess.run([sys.executable, "-c", PROBE, request], capture_output=True, text=True)
    told = [line for line in done.stdout.splitlines() if line.startswith("FOUND ")]
    if done.returncode or not told:
        raise ImportError(done.stderr.strip() or f"importing {module} ends the process with {done.returncode}")
    found: Mapping[str, str] = json.loads(told[-1].removeprefix("FOUND "))
    return found
