"""The processes that collate batches: started so that what stops a run does not kill them first."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from ftrun.contracts import Job
from ftrun.errors import ExperimentError, Problem
from ftrun.pickling import check_picklable

KEY = "training.dataloader_num_workers"
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What a terminal, `timeout` or a scheduler sends to all processes of a run: it is the run that obeys them."""


def loader_options(job: Job) -> dict[str, Any]:
    """What a DataLoader is told of its workers.

    They are begun as `dataloader_multiprocessing_context` says; by default forked where that is Python's way on this
    system, else spawned. The numbers are the same.

    Raises:
        ExperimentError: If they cannot be begun so, or what they need cannot be sent to them.
    """
    training = job.training
    if training.dataloader_num_workers == 0:
        return {}
    method = training.dataloader_multiprocessing_context or multiprocessing.get_start_method()
    if method == "fork" and method not in multiprocessing.get_all_start_methods():
        message = "this system forks no processes"
        raise ExperimentError(Problem(message, "training.dataloader_multiprocessing_context", 'Write "spawn".'))
    options: dict[str, Any] = {
        "num_workers": training.dataloader_num_workers,
        "worker_init_fn": begin_worker,
        "persistent_workers": training.dataloader_persistent_workers,
        "prefetch_factor": training.dataloader_prefetch_factor,
        "multiprocessing_context": "fork",
    }
    if method != "fork":
        check_picklable(job.collate, "the collator's function", KEY, "Set it to 0")
        check_picklable(job.train, "the data set's rows", KEY, "Set it to 0")
        options["multiprocessing_context"] = SparedContext()
    return options


def end_workers(loader: DataLoader[Any]) -> None:
    """End processes that a loader keeps from one epoch to the next."""
    kept: Any = getattr(loader, "_iterator", None)  # None where it keeps none, or has not begun them
    if kept is not None:
        kept._shutdown_workers()
        loader._iterator = None


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
