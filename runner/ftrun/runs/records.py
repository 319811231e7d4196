"""The records of a run's journal, and the one form that they have on disk.

A line of the journal is a JSON object: `type`, the kind of the record; `format`; `time`, in milliseconds since 1970;
the record's attributes by their names. A line without a format is of before there was one, and reads as format 1.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, NamedTuple

from ftrun.redaction import redacted_values

FORMAT = 1
"""Of the lines that are written, and the newest that is read. It stays where a version that does not know a new kind or
attribute passes it over and misreads nothing.
"""
RUN_TAG = "ftrun.run"
"""MLflow's tag that holds the run's name."""
NAME_TAG = "mlflow.runName"
"""MLflow's tag that holds what its pages call the run."""
GROUP_TAG = "ftrun.group"
"""MLflow's tag that is equal for runs that differ in nothing but the seed."""
NOTE_TAG = "mlflow.note.content"
"""MLflow's tag that holds a run's description, in Markdown."""
MODEL_NAME = "model"
"""What MLflow calls the model of a run: `runs:/ID/model`."""
TABLES_TAG = "mlflow.loggedArtifacts"
"""MLflow's tag that says which artifacts to show as tables."""
PUSHED_TAG = "ftrun.pushed"
"""MLflow's tag that says where on the Hub the model was last pushed to: `user/name@COMMIT`."""
ERROR_TAG = "ftrun.error"
"""MLflow's tag that says why a run did not finish."""

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ended, as MLflow has it."""


@dataclass(frozen=True)
class RunRecord:
    """What runs, and on what; the first record of a run, from which MLflow's run is made.

    Attributes:
        experiment_name: MLflow's experiment.
        params: The settings as text, by dotted key.
        tags: What the numbers depend on beside the settings, and where the run comes from, by MLflow's names.
    """

    KIND: ClassVar[str] = "run"
    experiment_name: str
    params: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class ResumedRecord:
    """The run goes on.

    Attributes:
        step: From the checkpoint of this step; 0 from the beginning.
        experiment: The file in the run folder that says what it runs from now on.
        tags: Those that have changed, by MLflow's names.
        best_counts: Whether the best evaluation of before is the best by the settings of now, too.
        anew: Whether changes were allowed, so that what was reported of later steps is of another training.
    """

    KIND: ClassVar[str] = "resumed"
    step: int
    experiment: str
    tags: Mapping[str, str]
    best_counts: bool = True
    anew: bool = False


@dataclass(frozen=True)
class TagsRecord:
    """Tags for MLflow that came to be known later.

    Attributes:
        tags: By MLflow's names.
    """

    KIND: ClassVar[str] = "tags"
    tags: Mapping[str, str]


@dataclass(frozen=True)
class DatasetRecord:
    """One split of the data.

    Attributes:
        name: As MLflow shows it, `glue-mrpc/train`.
        source: Where it comes from; digest: which rows these are.
        split: Its name; context: what it is for, `training` or `evaluation`.
        rows: How many; columns: their names.
        sample: A checksum of some of the rows, where the digest is a plugin's; None where there is none.
    """

    KIND: ClassVar[str] = "dataset"
    name: str
    source: str
    digest: str
    split: str
    rows: int
    columns: Sequence[str]
    context: str
    sample: str | None = None


@dataclass(frozen=True)
class ArtifactRecord:
    """A file or folder for MLflow, which is whole on disk.

    Attributes:
        path: In the run folder, with slashes; MLflow has it under the same.
    """

    KIND: ClassVar[str] = "artifact"
    path: str


@dataclass(frozen=True)
class ModelRecord:
    """A trained model of transformers', whole on disk, with all that MLflow needs to load and to serve it; or an
    adapter of one, which MLflow ranks and keeps.

    Attributes:
        path: Its folder in the run folder, with slashes.
        step: The optimizer steps that it has learnt for; None where its backend does not say.
        task: The kind of its task, such as `classification`.
        texts: The columns of the data set that it was given, one or two.
        max_length: Tokens up to which a row is taken, longer ones are cut; None where there is no limit.
        architecture: The class of transformers that loads it, empty for an adapter; tokenizer: that of its tokenizer.
        versions: Of Python and the packages that it was made with, by name.
        example: Texts of one row, in the order of `texts`.
        name: What MLflow calls it.
        supersedes: Whether it takes the place of all checkpoints that MLflow has of the run.
        adapter_of: The model that peft opens it on, by id or folder; None where it is whole.
    """

    KIND: ClassVar[str] = "model"
    path: str
    step: int | None
    task: str
    texts: Sequence[str]
    max_length: int | None
    architecture: str
    tokenizer: str
    versions: Mapping[str, str]
    example: Sequence[str]
    name: str = MODEL_NAME
    supersedes: bool = False
    adapter_of: str | None = None


@dataclass(frozen=True)
class MetricsRecord:
    """Points that were reported for the first time, or anew since changes were allowed.

    Attributes:
        step: The optimizer step that they belong to, from 1.
        values: By the metric's name; they may be infinite, or no number.
    """

    KIND: ClassVar[str] = "metrics"
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class MeasuredRecord:
    """Points that tell how a run went and not what it computed, such as its speed: they come out otherwise each time,
    and are never compared.

    Attributes:
        step: The optimizer step that they belong to; of what is measured by the clock, a counter from 1.
        values: By the metric's name.
    """

    KIND: ClassVar[str] = "measured"
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class DifferingRecord:
    """Points that were reported again with another value; the first one stands.

    Attributes:
        step: The optimizer step that they belong to, from 1.
        values: Those of the repetition, by the metric's name.
    """

    KIND: ClassVar[str] = "differing"
    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class CheckpointRecord:
    """A checkpoint is published.

    Attributes:
        step: Optimizer steps before it.
        folder: Its name among the checkpoints.
    """

    KIND: ClassVar[str] = "checkpoint"
    step: int
    folder: str


@dataclass(frozen=True)
class EndRecord:
    """The run has ended; a `ResumedRecord` may follow.

    Attributes:
        status: How.
    """

    KIND: ClassVar[str] = "end"
    status: Status


@dataclass(frozen=True)
class UnknownRecord:
    """A record of a kind that a later version of ftrun writes; to be passed over.

    Attributes:
        kind: Its name.
    """

    kind: str


Record = (
    RunRecord
    | ResumedRecord
    | TagsRecord
    | DatasetRecord
    | ArtifactRecord
    | ModelRecord
    | MetricsRecord
    | MeasuredRecord
    | DifferingRecord
    | CheckpointRecord
    | EndRecord
)
"""All that is written."""


class Entry(NamedTuple):
    """A record as it stands in a journal.

    Attributes:
        time: When it was written, in milliseconds since 1970.
        record: What was written.
    """

    time: int
    record: Record | UnknownRecord


class NewerFormatError(Exception):
    """A line of a journal is in a format that only a later version of ftrun reads.

    Attributes:
        format: Its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"format {number}, and this version of ftrun reads up to format {FORMAT}")
        self.format = number


def encode(record: Record, time: int) -> bytes:
    """A record as a line, with its end, and without the secrets in its texts.

    Args:
        record: The record.
        time: Of its writing, in milliseconds since 1970.
    """
    facts: Mapping[str, Any] = vars(record)
    match record:
        case MetricsRecord(step, values) | MeasuredRecord(step, values) | DifferingRecord(step, values):
            facts = {"step": step, "values": {key: _json_number(value) for key, value in values.items()}}
        case _:
            facts = redacted_values(facts)
    line = {"type": record.KIND, "format": FORMAT, "time": time, **facts}
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def decode(line: bytes) -> Entry:
    """The record in a line.

    Raises:
        ValueError: If it holds none: it is damaged.
        NewerFormatError: If a later version of ftrun has written it.
    """
    try:
        facts = json.loads(line.decode())
        if (number := facts.get("format", FORMAT)) > FORMAT:
            raise NewerFormatError(number)
        return Entry(facts["time"], _record(facts))
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("it is no record of a journal") from error


def _record(facts: Mapping[str, Any]) -> Record | UnknownRecord:
    """The record of a line's facts; those that it does not know are left out."""
    match facts["type"]:
        case MetricsRecord.KIND:  # the first: nearly all records are
            return MetricsRecord(facts["step"], _numbers(facts["values"]))
        case MeasuredRecord.KIND:
            return MeasuredRecord(facts["step"], _numbers(facts["values"]))
        case DifferingRecord.KIND:
            return DifferingRecord(facts["step"], _numbers(facts["values"]))
        case CheckpointRecord.KIND:
            return CheckpointRecord(facts["step"], facts["folder"])
        case RunRecord.KIND:
            return RunRecord(facts["experiment_name"], facts["params"], facts["tags"])
        case ResumedRecord.KIND:
            best_counts, anew = facts.get("best_counts", True), facts.get("anew", False)
            return ResumedRecord(facts["step"], facts["experiment"], facts["tags"], best_counts, anew)
        case TagsRecord.KIND:
            return TagsRecord(facts["tags"])
        case DatasetRecord.KIND:
            names = ("name", "source", "digest", "split", "rows", "columns", "context")
            return DatasetRecord(**{name: facts[name] for name in names}, sample=facts.get("sample"))
        case ArtifactRecord.KIND:
            return ArtifactRecord(facts["path"])
        case ModelRecord.KIND:
            return ModelRecord(
                **{field.name: facts[field.name] for field in fields(ModelRecord) if field.name in facts}
            )
        case EndRecord.KIND:
            return EndRecord(facts["status"])
        case kind:
            return UnknownRecord(kind)


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # float() reads "nan" and "inf"; JSON has no such numbers


def _numbers(values: Mapping[str, float | str]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}
