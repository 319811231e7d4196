"""The processes that collate batches: started so that what stops a run does not kill them first."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from torch.utils.data._utils import signal_handling

from ftrun.contracts import Job
from ftrun.pickling import check_picklable

KEY = "training.dataloader_num_workers"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal, `timeout` or a scheduler sends to all processes of a run: it is the run that obeys them."""


def loader_options(job: Job) -> dict[str, Any]:
    """What a DataLoader is told of its workers.

    Forked where that is Python's way on this system, else spawned; the numbers are the same.

    Raises:
        ExperimentError: If what the workers need cannot be sent to them.
    """
    count = job.training.dataloader_num_workers
    if count == 0:
        return {}
    options: dict[str, Any] = {"num_workers": count, "worker_init_fn": begin_worker}
    if multiprocessing.get_start_method() != "fork":
        check_picklable(job.collate, "the collator's function", KEY, "Set it to 0")
        check_picklable(job.train, "the data set's rows", KEY, "Set it to 0")
        options["multiprocessing_context"] = SparedContext()
    return options


def begin_worker(number: int) -> None:
    """Called in each worker before its first batch."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else tokenizers warn that they were forked
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _spare_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _spare_once(number: int, frame: object) -> None:
    """The first is meant for the run; the next comes from it."""
    signal.signal(number, signal.SIG_DFL)


class SparedProcess(SpawnProcess):
    """A process that what stops a run does not reach before `begin_worker`, some seconds of imports later."""

    def start(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class SparedContext(SpawnContext):
    """Spawns `SparedProcess`."""

    Process = SparedProcess


@contextlib.contextmanager
def child_signal_restored() -> Iterator[None]:
    """Put back what the process does when a child ends; a DataLoader with workers sets it for good."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGCHLD) is not before:
            signal.signal(signal.SIGCHLD, before)
            signal_handling._SIGCHLD_handler_set = False
