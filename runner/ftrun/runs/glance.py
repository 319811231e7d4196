"""A run at a glance: what a list of runs tells of it, without all of its journal being decoded.

Nearly all lines of a journal are steps, of which a glance wants the last. The others are decoded as ever.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ftrun.errors import RunError
from ftrun.runs.folder import RunFolder
from ftrun.runs.records import (
    PUSHED_TAG,
    EndRecord,
    Entry,
    MetricsRecord,
    NewerFormatError,
    ResumedRecord,
    RunRecord,
    Status,
    TagsRecord,
    decode,
)

MODEL_STEP_TAG = "ftrun.model_step"
BACKEND_TAG = "ftrun.backend"
_STEP, _EVALUATION, _TEST = b'{"type": "metrics"', b'"eval/', b'"test/'


@dataclass
class Glance:
    """What there is to see.

    Attributes:
        began: When the first record was written, in milliseconds since 1970; None where there is none.
        backend: The one that trained last; None until data and model were open.
        status: How it ended; None if it goes on, or its process is gone.
        steps: The last optimizer step that was reported.
        evaluations: The numbers of each evaluation by its step, by MLflow's keys (`eval/f1`).
        test: The numbers of the test at the end, such as `test/f1`.
        model_step: The step of the run's model; None until there is one.
        best_key: The number that the best model is chosen by; None where nobody asked.
        pushed: Where on the Hub the model was last pushed to, `user/name@COMMIT`.
    """

    began: int | None = None
    backend: str | None = None
    status: Status | None = None
    steps: int = 0
    evaluations: dict[int, dict[str, float]] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)
    model_step: int | None = None
    best_key: str | None = None
    pushed: str | None = None

    @property
    def metrics_step(self) -> int | None:
        """The step of the evaluation that counts: that of the model, or of the last before it where it has none."""
        if self.model_step in self.evaluations:
            return self.model_step
        return max(self.evaluations, default=None)

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers of that evaluation; none where nothing was evaluated."""
        return self.evaluations.get(self.metrics_step or 0, {})

    @property
    def main_metric(self) -> tuple[str, float] | None:
        """The number to be known by: the one that the best model is chosen by, or the first beside the loss."""
        wanted = [key for key in self.metrics if key == self.best_key]
        scores = [key for key in self.metrics if not key.endswith("loss")]
        key = next(iter([*wanted, *scores, *self.metrics]), None)
        return None if key is None else (key, self.metrics[key])


def glance_at(folder: RunFolder) -> Glance:
    """Look at a run.

    Raises:
        RunError: If its journal cannot be read, is damaged before its end, or is a later version's.
    """
    glance = Glance()
    try:
        for entry in _telling(folder.journal):
            _take(glance, entry)
    except OSError as error:
        raise RunError(f"its journal cannot be read: {error.strerror}") from error
    return glance


def _telling(journal: Path) -> Iterator[Entry]:
    """The records that tell something of the whole, and of the steps the last."""
    last_step = b""
    with journal.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith(_STEP) and _EVALUATION not in line and _TEST not in line and number > 1:
                last_step = line if line.endswith(b"\n") else last_step
                continue
            if entry := _decoded(line, number):
                if isinstance(entry.record, ResumedRecord) and entry.record.anew:
                    last_step = b""
                yield entry
    if last_step:
        yield decode(last_step)


def _decoded(line: bytes, number: int) -> Entry | None:
    """The record in a line; None of a last one that was cut short."""
    if not line.endswith(b"\n"):
        return None
    try:
        return decode(line)
    except NewerFormatError as error:
        raise RunError(f"its journal has {error}") from error
    except ValueError as error:
        raise RunError(f"its journal is damaged in line {number}") from error


def _take(glance: Glance, entry: Entry) -> None:
    glance.began = glance.began or entry.time
    match entry.record:
        case MetricsRecord(step, values):
            glance.steps = max(glance.steps, step)
            if numbers := {key: value for key, value in values.items() if key.startswith("eval/")}:
                glance.evaluations.setdefault(step, {}).update(numbers)
            glance.test |= {key: value for key, value in values.items() if key.startswith("test/")}
        case RunRecord(params=params, tags=tags):
            glance.backend = tags.get(BACKEND_TAG, params.get("backend.use"))
            best = params.get("training.metric_for_best_model")
            glance.best_key = f"eval/{best.removeprefix('eval_').removeprefix('eval/')}" if best else None
        case ResumedRecord(tags=tags) as resumed:
            glance.status, glance.backend = None, tags.get(BACKEND_TAG, glance.backend)
            if resumed.anew:  # what came after that step is of another training
                glance.steps, glance.test = resumed.step, {}
                glance.evaluations = {at: told for at, told in glance.evaluations.items() if at <= resumed.step}
        case TagsRecord(tags):
            glance.model_step = int(tags.get(MODEL_STEP_TAG, 0)) or glance.model_step
            glance.pushed = tags.get(PUSHED_TAG, glance.pushed)
        case EndRecord(status):
            glance.status = status


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder; what goes away meanwhile is none."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(size_of(Path(entry.path)) for entry in entries)
    except OSError:
        return 0
