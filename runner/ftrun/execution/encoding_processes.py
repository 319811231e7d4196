"""Tokenizing in processes of its own: what they encode comes back batch by batch, in the order of the rows.

`Dataset.map(num_proc=...)` is not used: its shards cut batches elsewhere and take their types each from its own first
rows, it leaves TOKENIZERS_PARALLELISM in the environment, and Ctrl-C ends it in a TimeoutError.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from ftrun.contracts import Encode, Rows
from ftrun.errors import Problem, RunError
from ftrun.execution.process import STOPPING, environment_restored, signals_held
from ftrun.pickling import check_picklable

ROWS_A_PROCESS = 5_000
"""Fewer rows are tokenized sooner than a process for them has begun to be worth it."""
PLACE = "training.preprocessing_num_workers"
ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
"""Else tokenizers warn that they were forked, and what is spawned shows a bar for every batch."""
ENDING_SECONDS = 10.0
"""What the system may take to tell how a process ended."""
LEAVING_SECONDS = 1.0
"""What processes have to leave by themselves, once nobody waits for them; then they are killed."""


def processes_for(rows: int, asked: int | None) -> int:
    """How many processes to tokenize so many rows in: as many as are asked for, if all of them have enough to do."""
    return min(asked or 1, max(1, rows // ROWS_A_PROCESS))


@contextlib.contextmanager
def encoded_batches(
    split: str, rows: Rows, encode: Encode, batch_rows: int, processes: int, who: str = "the model"
) -> Iterator[Iterator[Any]]:
    """The encoded rows of a `datasets.Dataset` as Arrow tables of one batch each, as they are asked for.

    The columns have the types that `Dataset.map` gives them in one process: those of the first batch, which is encoded
    here. Forked where that is Python's way on this system, else spawned. When the block ends no process is left.

    Args:
        split: What to call the rows.
        rows: They must be more than a batch.
        encode: What each batch is put through; what it raises is raised where the table is asked for.
        batch_rows: Rows of a batch.
        processes: How many work at once.
        who: Whose `encode` it is, in a sentence.

    Raises:
        ExperimentError: If rows or `encode` cannot be sent to other processes.
        RunError: If a process is killed.
    """
    first = _encoded(rows.select(range(batch_rows)), encode)
    work = _Work(rows, encode, batch_rows, first.features)
    method = "fork" if multiprocessing.get_start_method() == "fork" else "spawn"
    if method != "fork":
        check_picklable(encode, f"encode of {who}", PLACE, "Leave the key out")
        check_picklable(rows, f"the rows of {split}", PLACE, "Leave the key out")
    begun: list[_Encoder] = []
    try:
        with signals_held(), environment_restored():
            os.environ.update(ENVIRONMENT)
            for number in range(processes):
                starts = range(batch_rows * (1 + number), len(rows), batch_rows * processes)
                begun.append(_Encoder.begin(method, work, starts))
        turns = itertools.islice(itertools.cycle(begun), len(range(batch_rows, len(rows), batch_rows)))
        yield itertools.chain([first.data.table], (encoder.next_table(split) for encoder in turns))
    finally:
        _end(begun)


def _encoded(batch: Rows, encode: Encode, features: Any = None) -> Any:
    options: dict[str, Any] = {
        "keep_in_memory": True,
        "load_from_cache_file": False,
        "new_fingerprint": "batch",
        "features": features,
    }
    return batch.map(encode, batched=True, batch_size=len(batch), remove_columns=batch.column_names, **options)


@dataclass(frozen=True)
class _Work:
    """What every process is told; each encodes other batches of it."""

    rows: Rows
    encode: Encode
    batch_rows: int
    features: Any

    def table(self, start: int) -> Any:
        end = min(start + self.batch_rows, len(self.rows))
        return _encoded(self.rows.select(range(start, end)), self.encode, self.features).data.table


@dataclass(frozen=True)
class _Fault:
    """What a process raised, as it can be sent.

    Attributes:
        error: The exception; None if it cannot be sent.
        said: Its kind and what it says.
        trace: Its traceback.
    """

    error: BaseException | None
    said: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> _Fault:
        said, trace = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
        try:
            sent: BaseException | None = pickle.loads(pickle.dumps(error))  # noqa: S301 - many go, and do not arrive
        except Exception:
            sent = None
        return cls(sent, said, trace)

    def raised(self, split: str) -> BaseException:
        """The exception, with its traceback for the log."""
        error = self.error or RunError(f"{split} cannot be tokenized: {self.said}")
        error.add_note(f"in a process that tokenizes:\n{self.trace}")
        return error


@dataclass(frozen=True)
class _Encoder:
    """A process that encodes batches."""

    process: BaseProcess
    results: Connection

    @classmethod
    def begin(cls, method: str, work: _Work, starts: range) -> _Encoder:
        context = multiprocessing.get_context(method)
        results, sending = context.Pipe(duplex=False)
        with sending:
            process = context.Process(target=_encode_batches, args=(work, starts, results, sending))  # type: ignore[attr-defined]
            process.start()
        return cls(process, results)

    def next_table(self, split: str) -> Any:
        try:
            result = self.results.recv()
        except (EOFError, OSError) as error:  # between two results, or in the midst of one
            raise self._ended(split) from error
        if isinstance(result, _Fault):
            raise result.raised(split)
        return result

    def _ended(self, split: str) -> RunError:
        self.process.join(ENDING_SECONDS)
        code = self.process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended by itself, with exit status {code}"
        hint = "The system does that where memory runs out: ask for fewer processes, or leave the key out."
        message = f"a process that tokenizes {split} {how}"
        return RunError(Problem(message, PLACE, hint if code == -signal.SIGKILL else None))


def _end(begun: list[_Encoder]) -> None:
    deadline = time.monotonic() + LEAVING_SECONDS
    with signals_held():
        for encoder in begun:
            encoder.results.close()
        for encoder in begun:
            encoder.process.join(max(0.0, deadline - time.monotonic()))
            encoder.process.kill()
            encoder.process.join()
            encoder.process.close()


def _encode_batches(work: _Work, starts: range, results: Connection, sending: Connection) -> None:
    """The work of one process, until all is sent or nobody receives. What stops a run is for the run to obey."""
    results.close()  # the receiver's end: it must not seem open when the run is gone
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    for start in starts:
        try:
            result = work.table(start)
        except BaseException as error:  # KeyboardInterrupt and SystemExit, too, end the run as they would without us
            result = _Fault.of(error)
        try:
            sending.send(result)
        except OSError:
            return
        if isinstance(result, _Fault):
            return
