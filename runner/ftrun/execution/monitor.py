"""A thread that writes down, as a run goes on, what it uses of its machine."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection
from pathlib import Path

from ftrun.errors import RunError
from ftrun.execution.usage import PREFIX, Usage
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.records import MeasuredRecord

INTERVAL = 10.0
"""Seconds from one measurement to the next; a run that is shorter has none."""


class Monitor:
    """Measures from its start to its stop. The points count on where those of an earlier attempt at the run end.

    Args:
        journal: The run's.
        apart: The ids of children of this process that are not the run's.
    """

    def __init__(self, journal: Journal, apart: Collection[int] = ()) -> None:
        self._journal = journal
        self._apart = apart
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ftrun-monitor", daemon=True)

    def start(self) -> None:
        """Begin; there must be a run in the journal that the points are of."""
        self._thread.start()

    def stop(self) -> None:
        """End, if it has begun; the journal may be closed then."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _watch(self) -> None:
        usage, count = Usage(self._apart), _counted(self._journal.path)
        while not self._stopped.wait(INTERVAL):
            with contextlib.suppress(RunError):  # a full disk is told by whoever writes what matters
                self._journal.append(MeasuredRecord(count := count + 1, usage.measure()))


def _counted(journal: Path) -> int:
    """How many measurements a journal has."""
    records = (entry.record for entry, _ in read_journal(journal))
    measured = (record for record in records if isinstance(record, MeasuredRecord))
    return max((record.step for record in measured if any(key.startswith(PREFIX) for key in record.values)), default=0)
