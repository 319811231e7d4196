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

import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ftrun.errors import RunError

Record = dict[str, Any]


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

    def predictions(self, split: str) -> Path:
        return self.path / "predictions" / f"{split}.json"


class Journal:
    """Appends records. A line is written whole or, if the machine dies, cut short; a reader skips a cut last line.

    A metric point is (metric, step): the first one journaled keeps its value and timestamp.
    """

    def __init__(self, path: Path) -> None:
        self._points: dict[tuple[str, int], float] = {
            (key, record["step"]): value
            for record, _ in read_journal(path)
            if record["type"] == "metrics"
            for key, value in record["values"].items()
        }
        self._file = path.open("a", encoding="utf-8")

    def append(self, kind: str, **facts: Any) -> None:
        """Add one record of this kind, stamped with the time in milliseconds."""
        record = {"type": kind, "time": int(time.time() * 1000), **facts}
        self._file.write(json.dumps(record, ensure_ascii=False) + "\n")
        self._file.flush()

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Add the points that are new; those that an earlier attempt of the run reported stand."""
        fresh = {key: value for key, value in values.items() if (key, step) not in self._points}
        if fresh:
            self._points.update({(key, step): value for key, value in fresh.items()})
            self.append("metrics", step=step, values={key: _json_number(value) for key, value in fresh.items()})

    def sync(self) -> None:
        """Return when everything is on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        self._file.close()


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # float() reads "nan" and "inf"; JSON has no such numbers


def read_journal(path: Path, offset: int = 0) -> Iterator[tuple[Record, int]]:
    """The whole records from a byte offset on, each with the offset after it."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield json.loads(line), offset


def write_whole(path: Path, text: str) -> None:
    """Write a small file so that a reader, or a crash, finds the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
