"""A run whose folder is not here, as MLflow has it: laid out as a run folder again, by a process of its own.

ftrun-models/
    KEY/RUN/    a run folder with the experiment, the task, a journal of what MLflow tells, and the model

A model of MLflow's is never written again, so what is there whole is not fetched twice.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ftrun.errors import ExperimentError, Problem, RunError
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import size_of
from ftrun.tracking.stores import client_environment

RUN_ID = re.compile(r"[0-9a-f]{32}")
OF_RUN = re.compile(r"runs:/+(?P<run_id>[^/]+)(?:/+(?P<name>[^/]+))?/*")
OF_REGISTRY = re.compile(r"models:/+(?P<name>[^/@]+)(?:/+(?P<version>\d+)|@(?P<alias>[^/]+))?/*")
MODEL = "model"
PARTIAL = ".partial"
"""How the name ends of a folder of model files that is not whole yet."""
LOOK_SECONDS = 0.2


def fetched_folder() -> Path:
    """Where fetched runs are kept: below HF_HOME or ~/.cache/huggingface, beside the models of the Hub."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(home).expanduser().absolute() / "ftrun-models"


def is_fetched(folder: RunFolder) -> bool:
    """Whether a run's folder is what MLflow has told of it, and not the one that it ran in."""
    return folder.path.is_relative_to(fetched_folder())


def is_of_mlflow(target: str) -> bool:
    """Whether something is MLflow's way to name a run or a model: a run's id, `runs:/ID/model`, `models:/NAME/VERSION`.

    >>> is_of_mlflow("runs:/0a1b/model"), is_of_mlflow("mrpc-20260101T000000Z-0a1b2c")
    (True, False)
    """
    return bool(RUN_ID.fullmatch(target)) or target.startswith(("runs:/", "models:/"))


def run_id_in(target: str) -> str | None:
    """The run whose own model is meant; None where that takes MLflow to tell.

    >>> run_id_in("runs:/0a1b/model"), run_id_in("runs:/0a1b/checkpoint-3")
    ('0a1b', None)
    """
    found = OF_RUN.fullmatch(target)
    if found and found["name"] in (None, MODEL):
        return found["run_id"]
    return target if RUN_ID.fullmatch(target) else None


def fetch(target: str, tell: Callable[[str, int, int], None], uri: str | None = None) -> RunFolder:
    """The run that is meant, with its model, as MLflow has it.

    Args:
        target: What MLflow calls it, as `is_of_mlflow` has it.
        tell: Called with the run's name, the bytes of its model that are here, and all of them.
        uri: The tracking URI, with its credentials; that of the environment, or MLflow's own default, if absent.

    Raises:
        ExperimentError: If MLflow has no such run or model, or it is not ftrun's, deleted, or not whole.
        RunError: If MLflow is out of reach, or the disk does not take it.
    """
    with tempfile.TemporaryFile() as errors, _begun(target, uri, errors) as process:
        told: dict[str, Any] = {}
        for line in _lines(process, lambda: _tell(told, tell)):
            told.update(line)
        process.wait()
        if problem := told.get("problem"):
            kind = ExperimentError if told.get("wrong") else RunError
            raise kind(Problem(problem, hint=told.get("hint")))
        if not told.get("whole"):
            errors.seek(0)
            last = (errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
            raise RunError(f"{target} could not be fetched from MLflow: the process that does it has ended. {last}")
        tell(told["run"], told["bytes"], told["bytes"])
    return RunFolder(Path(told["folder"]))


@contextlib.contextmanager
def _begun(target: str, uri: str | None, errors: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """The process that fetches: nothing that mlflow does to a process is done to the user's."""
    where = {"MLFLOW_TRACKING_URI": uri} if uri else {}
    process = subprocess.Popen(
        [sys.executable, "-m", "ftrun.tracking.fetcher", target, str(fetched_folder())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
        env={**client_environment(), **where},
    )
    with process:
        try:
            yield process
        finally:
            process.kill()  # Ctrl-C is for us; it has ended by itself otherwise


def _lines(process: subprocess.Popen[bytes], meanwhile: Callable[[], None]) -> Iterator[Mapping[str, Any]]:
    assert process.stdout
    while True:
        if not select.select([process.stdout], [], [], LOOK_SECONDS)[0]:
            meanwhile()
            continue
        line = process.stdout.readline()
        if not line:
            return
        yield json.loads(line)


def _tell(told: Mapping[str, Any], tell: Callable[[str, int, int], None]) -> None:
    if "partial" in told:
        tell(told["run"], min(size_of(Path(told["partial"])), told["bytes"]), told["bytes"])


def fetched_runs() -> list[RunFolder]:
    """What is kept of runs that were fetched, the least recently used first."""
    found = [path for path in fetched_folder().glob("*/*") if path.is_dir()]
    return [RunFolder(path) for path in sorted(found, key=lambda path: path.stat().st_mtime)]


def forget(folder: RunFolder) -> None:
    """Remove what is kept of a run that was fetched."""
    shutil.rmtree(folder.path.parent, ignore_errors=True)
