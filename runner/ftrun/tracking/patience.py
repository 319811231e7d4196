"""How long to wait for MLflow: as long as something moves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Hashable
from pathlib import Path

from ftrun.tracking.state import Delivery

MOVED_BYTES = 2**20
"""What an upload must have read of its file to count as moving."""


class Patience:
    """Ends so many seconds after something was seen that had not been seen before.

    Args:
        seconds: How many.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._seen: set[Hashable] = set()
        self._deadline = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether nothing has moved for that long."""
        return time.monotonic() >= self._deadline

    def sees(self, progress: Hashable) -> None:
        """How far it is now; what was seen once, such as the beginning of a file that is sent again, is no progress."""
        if progress not in self._seen:
            self._seen.add(progress)
            self._deadline = time.monotonic() + self._seconds


def progress_of(delivery: Delivery, process: int | None = None) -> Hashable:
    """What tells how far a delivery is from how far it was.

    Args:
        delivery: What is left of it.
        process: The id of the process that does it; where the system counts what it reads, a large file is seen moving.
    """
    sending = process and delivery.doing and not delivery.error
    return delivery.pending, delivery.doing, _read_by(process) // MOVED_BYTES if sending and process else 0


def _read_by(process: int) -> int:
    """Bytes that a process has read, as Linux counts them; 0 elsewhere."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{process}/io").read_text(encoding="ascii").split()[1])
    return 0
