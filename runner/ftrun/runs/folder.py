"""The run folder and its layout.

runs/<experiment>-<UTC time>-<hex>/
    experiment.toml   the resolved experiment; it runs as it stands
    journal.jsonl     one JSON object a line, in the order of events
    task.json         what the data set asks of a model
    log.txt           what the libraries had to say, and every traceback
    checkpoints/      checkpoint-<step>/
    model/            the trained model and its tokenizer, for from_pretrained
    predictions/      a table for each evaluation split, and of classes the numbers that the model gave each
    pictures/         figures of the curves and the predictions, and tables of the latter
    checkpoints.json  a table of every checkpoint that was written
    uploads/          checkpoints that MLflow has not got yet
    mlflow.json       where MLflow has the run, and how far it has the journal
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ftrun.errors import RunError

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
    def task(self) -> Path:
        return self.path / "task.json"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def tracking_state(self) -> Path:
        return self.path / "mlflow.json"

    @property
    def predictions_folder(self) -> Path:
        return self.path / "predictions"

    def predictions(self, split: str) -> Path:
        return self.predictions_folder / f"{split}.json"

    def logits(self, split: str) -> Path:
        return self.predictions_folder / f"{split}.npy"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def checkpoint_table(self) -> Path:
        return self.path / "checkpoints.json"

    @property
    def uploads(self) -> Path:
        return self.path / "uploads"

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

    def is_held(self) -> bool:
        """Whether a process runs it; not where that cannot be told, as in a folder that is not ours to write."""
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        except OSError:
            return False
        lock.release()
        return False


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file into a folder that is there, so that a reader, or a crash, finds the old one or the new one,
    never a part.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
