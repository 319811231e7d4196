"""The journal of a run: an append-only record of all that was reported."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from ftrun.errors import RunError
from ftrun.runs.records import (
    CheckpointRecord,
    DifferingRecord,
    Entry,
    MetricsRecord,
    NewerFormatError,
    Record,
    ResumedRecord,
    decode,
    encode,
)


class Journal:
    """Appends records. A line is written whole or, if the machine dies, cut short; a cut last line is removed.

    A metric point is (metric, step): the first one journaled keeps its value and timestamp, unless the run goes on with
    changes from a step before it; then the later one counts.

    Attributes:
        differing: The points that were reported again with another value, which a resumed run should never do.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.differing: list[tuple[str, int]] = []
        _remove_torn_end(path)
        self._points = _Points(path)
        self._lock = threading.Lock()
        self._file = path.open("ab")

    def append(self, record: Record) -> None:
        """Add a record, stamped with the time, and without the secrets in its texts.

        Raises:
            RunError: If it cannot be written.
        """
        line = encode(record, int(time.time() * 1000))
        with self._lock, self._told():
            self._file.write(line)
            self._file.flush()
        if isinstance(record, ResumedRecord) and record.anew:
            self._points = _Points(self.path)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add the points that are new; those that an earlier attempt of the run reported stand, and are compared."""
        before = self._points.told(step, values)
        fresh = {key: value for key, value in values.items() if key not in before}
        if fresh:
            self.append(MetricsRecord(step, fresh))
            self._points.add(step, fresh)
        if differing := {key: value for key, value in values.items() if not _is_same(before.get(key, value), value)}:
            self.differing += [(key, step) for key in differing]
            self.append(DifferingRecord(step, differing))

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
        self._anew_from: int | None = None
        self._told_anew: set[str] = set()
        size, newest = 0, 0
        for entry, offset in read_current(path):
            size = offset
            match entry.record:
                case ResumedRecord(step, anew=True):
                    self._anew_from, self._told_anew = step, set()
                case MetricsRecord(step, values):
                    self._in_order &= step >= newest
                    newest = step
                    self._remember(step, values)
        self._asked = 0
        self._records = _metrics_up_to(path, size)
        self._ahead = next(self._records, None)
        self._near: dict[tuple[str, int], float] = {}

    def told(self, step: int, keys: Iterable[str]) -> dict[str, float]:
        """The values that these metrics have at a step already."""
        self._in_order &= step >= self._asked
        self._asked = step
        known = [key for key in keys if step <= self._last.get(key, -1)]
        if step == self._anew_from:  # an evaluation of the checkpoint, by the settings of now
            known = [key for key in known if key in self._told_anew]
        if not known:
            return {}
        self._read_along(step)
        if not self._in_order:
            self._near |= {
                (key, step): value
                for record in _metrics_up_to(self._path)
                if record.step == step
                for key, value in record.values.items()
            }
        return {key: self._near[key, step] for key in known if (key, step) in self._near}

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """New points, which stand in the journal now."""
        self._remember(step, values)
        self._near = {point: value for point, value in self._near.items() if point[1] == step}
        self._near |= {(key, step): value for key, value in values.items()}

    def _remember(self, step: int, keys: Collection[str]) -> None:
        for key in keys:
            self._last[key] = max(step, self._last.get(key, step))
        if step == self._anew_from:
            self._told_anew |= set(keys)

    def _read_along(self, step: int) -> None:
        self._near = {point: value for point, value in self._near.items() if point[1] == step}
        while self._ahead and self._ahead.step <= step:
            if self._ahead.step == step:
                self._near |= {(key, step): value for key, value in self._ahead.values.items()}
            self._ahead = next(self._records, None)


def _metrics_up_to(path: Path, size: float = math.inf) -> Iterator[MetricsRecord]:
    """The records of metrics that end before a byte offset."""
    for entry, offset in read_current(path):
        if offset > size:
            return
        if isinstance(entry.record, MetricsRecord):
            yield entry.record


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


def _is_same(value: float, other: float) -> bool:
    return value == other or (math.isnan(value) and math.isnan(other))


def read_current(path: Path) -> Iterator[tuple[Entry, int]]:
    """The whole records as `read_journal` has them, without the points and checkpoints that no longer count: those of
    later steps than that from which the run went on with changes. Of a point that is there twice the later one counts.

    Raises:
        RunError: If it was written by a later version of ftrun, in a format that this one does not read.
    """
    ends = _ends_of_training(path)
    for entry, offset in read_journal(path):
        while ends and ends[0][0] < offset:
            ends.pop(0)
        match entry.record:
            case MetricsRecord(step) | CheckpointRecord(step) if any(step > last for _, last in ends):
                continue
        yield entry, offset


def _ends_of_training(path: Path) -> list[tuple[int, int]]:
    """Where a run went on with changes: the offset after that record, and the last step before."""
    try:
        with path.open("rb") as file:
            if not any(b'"anew": true' in line for line in file):  # nearly all; to decode them takes long
                return []
    except FileNotFoundError:
        return []
    return [
        (offset, entry.record.step)
        for entry, offset in read_journal(path)
        if isinstance(entry.record, ResumedRecord) and entry.record.anew
    ]


def read_journal(path: Path, offset: int = 0) -> Iterator[tuple[Entry, int]]:
    """The whole records from a byte offset on, each with the offset after it; up to the first that is damaged.

    Raises:
        RunError: If it was written by a later version of ftrun, in a format that this one does not read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            try:
                entry = decode(line)
            except ValueError:
                return
            except NewerFormatError as error:
                raise RunError(f"the journal {path} cannot be read: it has {error}") from error
            offset += len(line)
            yield entry, offset
