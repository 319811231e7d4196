"""The run folder: its layout, and the journal, an append-only record of all that was reported.

runs/<experiment>-<UTC time>-<hex>/
    experiment.toml   the resolved experiment; it runs as it stands
    journal.jsonl     one JSON object a line, in the order of events
    log.txt           what the libraries had to say, and every traceback
    checkpoints/      checkpoint-<step>/
    model/            the trained model and its tokenizer, for from_pretrained
    predictions/      a table for each evaluation split
    mlflow.json       where MLflow has the run, and how far the journal is delivered
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ftrun.errors import RunError
from ftrun.redaction import redacted_values

Record = dict[str, Any]

RUN_TAG = "ftrun.run"
"""MLflow's tag that holds the run's name."""
ERROR_TAG = "ftrun.error"
"""MLflow's tag that says why a run did not finish."""

RUNS_FOLDER = Path("runs")
"""Where run folders are made and looked for."""


@dataclass(frozen=True)
class RunFolder:
    """Where everything of one run is kept."""

    path: Path

    @classmethod
    def create(cls, runs_folder: Path, experiment: str) -> RunFolder:
        """Make a new folder with a name that no other run has, whatever runs beside it.

        Raises:
            RunError: If it cannot be made.
        """
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = runs_folder.absolute() / f"{experiment}-{moment}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise RunError(f"the run folder {path} cannot be made: {error.strerror}") from None
        return cls(path)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def experiment(self) -> Path:
        return self.path / "experiment.toml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def delivery(self) -> Path:
        return self.path / "mlflow.json"

    @property
    def predictions_folder(self) -> Path:
        return self.path / "predictions"

    def predictions(self, split: str) -> Path:
        return self.predictions_folder / f"{split}.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @contextlib.contextmanager
    def locked(self, patience: float = 10.0) -> Iterator[None]:
        """Hold the run for this process; the lock goes with the process, however it ends.

        Args:
            patience: Seconds to wait for a process that is just going.

        Raises:
            RunError: If another process runs it.
        """
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=patience)
        except Timeout:
            raise RunError(f"the run {self.name} is going on in another process") from None
        except OSError as error:
            raise RunError(f"the run folder {self.path} cannot be written: {error.strerror}") from None
        try:
            yield
        finally:
            lock.release()


class Journal:
    """Appends records. A line is written whole or, if the machine dies, cut short; a cut last line is removed.

    A metric point is (metric, step): the first one journaled keeps its value and timestamp.

    Attributes:
        differing: The points that were reported again with another value, which a resumed run should never do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.differing: list[tuple[str, int]] = []
        _remove_torn_end(path)
        self._points = _Points(path)
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8")

    def append(self, kind: str, **facts: Any) -> None:
        """Add one record of this kind, stamped with the time in milliseconds, and without the secrets in its texts.

        Raises:
            RunError: If it cannot be written.
        """
        self._write(kind, redacted_values(facts))

    def _write(self, kind: str, facts: Record) -> None:
        record = {"type": kind, "time": int(time.time() * 1000), **facts}
        with self._lock, self._told():
            self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
            self._file.flush()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add the points that are new; those that an earlier attempt of the run reported stand, and are compared."""
        told = {key: _json_number(value) for key, value in values.items()}
        before = self._points.told(step, told)
        fresh = {key: value for key, value in told.items() if key not in before}
        if fresh:
            self._write("metrics", {"step": step, "values": fresh})
            self._points.add(step, fresh)
        if differing := {key: value for key, value in told.items() if before.get(key, value) != value}:
            self.differing += [(key, step) for key in differing]
            self._write("differing", {"step": step, "values": differing})

    def sync(self) -> None:
        """Return when everything is on disk."""
        with self._lock, self._told():
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let the file go, with everything on disk."""
        try:
            self.sync()
        finally:
            with self._told():
                self._file.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"the journal {self.path} cannot be written: {error.strerror}") from error


class _Points:
    """The points of a journal, looked up where they are on disk: what is kept in memory does not grow with the steps.

    Points come in the order of steps, so one beyond the last of its metric is new. A resumed run repeats points in
    the journal's order, so the journal is read along. What comes out of order is looked for in the whole file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = {}
        self._in_order = True
        size, newest = 0, 0
        for record, offset in read_journal(path):
            size = offset
            if record["type"] == "metrics":
                self._in_order &= record["step"] >= newest
                newest = record["step"]
                self._remember(newest, record["values"])
        self._asked = 0
        self._records = _metrics_up_to(path, size)
        self._ahead = next(self._records, None)
        self._near: dict[tuple[str, int], float | str] = {}

    def told(self, step: int, keys: Iterable[str]) -> dict[str, float | str]:
        """The values that these metrics have at a step already."""
        self._in_order &= step >= self._asked
        self._asked = step
        known = [key for key in keys if step <= self._last.get(key, -1)]
        if not known:
            return {}
        self._read_along(step)
        if not self._in_order:
            self._near |= {
                (key, step): value
                for record in _metrics_up_to(self._path)
                if record["step"] == step
                for key, value in record["values"].items()
            }
        return {key: self._near[key, step] for key in known if (key, step) in self._near}

    def add(self, step: int, values: Mapping[str, float | str]) -> None:
        """New points, which stand in the journal now."""
        self._remember(step, values)
        self._near = {point: value for point, value in self._near.items() if point[1] == step}
        self._near |= {(key, step): value for key, value in values.items()}

    def _remember(self, step: int, keys: Iterable[str]) -> None:
        for key in keys:
            self._last[key] = max(step, self._last.get(key, step))

    def _read_along(self, step: int) -> None:
        self._near = {point: value for point, value in self._near.items() if point[1] == step}
        while self._ahead and self._ahead["step"] <= step:
            if self._ahead["step"] == step:
                self._near |= {(key, step): value for key, value in self._ahead["values"].items()}
            self._ahead = next(self._records, None)


def _metrics_up_to(path: Path, size: float = math.inf) -> Iterator[Record]:
    """The records of metrics that end before a byte offset."""
    for record, offset in read_journal(path):
        if offset > size:
            return
        if record["type"] == "metrics":
            yield record


def _remove_torn_end(path: Path) -> None:
    """Cut off what a machine that died wrote only a part of.

    Raises:
        RunError: If it is damaged elsewhere: what stands behind the damage must not be lost.
    """
    if not path.exists():
        return
    last = deque(enumerate((offset for _, offset in read_journal(path)), 1), maxlen=1)
    lines, whole = last[0] if last else (0, 0)
    with path.open("rb") as file:
        file.seek(whole)
        file.readline()
        behind = file.read().strip(b"\0")  # a loss of power may leave zeros
    if behind:
        message = f"the journal {path} is damaged in line {lines + 1}; mend or remove that line by hand"
        raise RunError(f"{message}: what stands behind it is kept as it is")
    if path.stat().st_size > whole:
        os.truncate(path, whole)


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # float() reads "nan" and "inf"; JSON has no such numbers


def read_journal(path: Path, offset: int = 0) -> Iterator[tuple[Record, int]]:
    """The whole records from a byte offset on, each with the offset after it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if record is None:
                return
            offset += len(line)
            yield record, offset


@dataclass(frozen=True)
class History:
    """What the journal tells of a run.

    Attributes:
        tags: What it runs on, by MLflow's names; empty if it never came to be recorded.
        datasets: The records of its data, the latest of each split.
        experiment: The file in the run folder that says what it runs.
        status: How it ended; None if it goes on, or its process is gone.
        last_step: The last optimizer step that was reported.
        resumed: How often it was gone on with.
        best_counts_after: The step up to which checkpoints tell of a best evaluation that no longer counts.
    """

    tags: Mapping[str, str]
    datasets: Sequence[Record]
    experiment: str
    status: str | None
    last_step: int
    resumed: int
    best_counts_after: int = 0

    @property
    def recorded(self) -> bool:
        """Whether there was anything for MLflow."""
        return bool(self.tags)


def read_history(folder: RunFolder) -> History:
    """What the journal of a run tells."""
    tags: dict[str, str] = {}
    datasets: dict[tuple[str, str], Record] = {}
    experiment, status, last_step, resumed, best_counts_after = folder.experiment.name, None, 0, 0, 0
    for record, _ in read_journal(folder.journal):
        match record["type"]:
            case "run":
                tags = dict(record["tags"])
            case "dataset":
                datasets[record["context"], record["split"]] = record
            case "resumed":
                status, experiment, resumed = None, record["experiment"], resumed + 1
                tags.update(record["tags"])
                counts = record.get("best_counts", True)
                best_counts_after = min(best_counts_after, record["step"]) if counts else record["step"]
            case "end":
                status = record["status"]
            case "metrics":
                last_step = max(last_step, record["step"])
    return History(tags, list(datasets.values()), experiment, status, last_step, resumed, best_counts_after)


def _ended(path: Path) -> bool:
    """Whether the last record is that of an end; reads no more than the last lines."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            end = file.read()
    except OSError:  # it is gone, or not ours
        return True
    return end.endswith(b"\n") and end.splitlines()[-1].startswith(b'{"type": "end"')


def mark_if_killed(folder: RunFolder, patience: float = 0.0) -> bool:
    """Write down the end of a run whose process is gone; returns whether it was one.

    Args:
        folder: The run's.
        patience: Seconds to wait for a process that is just going.
    """
    if _ended(folder.journal):
        return False
    try:
        with folder.locked(patience):
            history = read_history(folder)
            if not history.recorded or history.status is not None:
                return False
            journal = Journal(folder.journal)
            journal.append("tags", tags={ERROR_TAG: f"killed outright, after step {history.last_step}"})
            journal.append("end", status="KILLED")
            journal.close()
            return True
    except RunError:  # it is still running, or its folder cannot be written
        return False


def write_whole(path: Path, text: str) -> None:
    """Write a small file into a folder that is there, so that a reader, or a crash, finds the old one or the new one,
    never a part.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
