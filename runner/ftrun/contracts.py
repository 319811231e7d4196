"""The contract between the core and plugins: the kinds of component, and what passes between them.

A component is light: a name, a sentence, the class of its settings and functions. What those functions import they
import when called, so that a catalogue of components costs nothing (see `hookspecs.py` for how a plugin offers them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Protocol, Self

from ftrun.errors import Problem
from ftrun.settings import Settings, TrainingSettings

Kind = Literal["dataset", "model", "collator", "metric", "backend"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "collator", "metric", "backend")
Direction = Literal["max", "min"]
Rows = Any
"""A `datasets.Dataset`, or what behaves as one: len(), [i], `column_names`, and `map` with `batched`, `batch_size` and
`remove_columns`. Only what a `datasets.Dataset` holds is kept encoded from run to run."""


# ---------------------------------------------------------------- what passes between components


@dataclass(frozen=True)
class Task:
    """What a data set asks of a model.

    Attributes:
        kind: "classification", "regression", or a word that other plugins agree on.
        text_columns: The columns that hold the text, in the order in which a tokenizer takes them.
        label_column: The column that holds what is to be predicted.
        class_names: The classes in the order of their ids; None for regression.
        benchmark: The task's name in a benchmark, such as "glue/mrpc", for metrics that belong to one.
    """

    kind: str
    text_columns: tuple[str, ...]
    label_column: str = "label"
    class_names: tuple[str, ...] | None = None
    benchmark: str | None = None

    @property
    def num_labels(self) -> int:
        """Numbers that a model gives for each row: one a class, or one for regression."""
        return len(self.class_names) if self.class_names else 1


@dataclass(frozen=True)
class Splits:
    """An opened data set.

    Attributes:
        task: What it asks of a model.
        train: Rows to train on.
        evaluation: Named rows with labels to evaluate on; the first is the main one.
        test: Named rows to predict, labelled or not.
        notices: Sentences that a person should read, such as that some rows stand in two splits.
        train_split: What the data set calls the rows to train on.
        name: What to call it, such as "nyu-mll/glue/mrpc".
        source: Where it came from, such as a URL or a path.
        digest: What tells its contents apart: a commit, or a checksum of the files.
    """

    task: Task
    train: Rows
    evaluation: Mapping[str, Rows]
    name: str
    source: str
    digest: str
    test: Mapping[str, Rows] = field(default_factory=dict)
    notices: Sequence[str] = ()
    train_split: str = "train"

    @property
    def used(self) -> Mapping[tuple[str, str], Rows]:
        """The rows by MLflow's context, "training" or "evaluation", and the split's name."""
        evaluation = {("evaluation", split): rows for split, rows in self.evaluation.items()}
        return {("training", self.train_split): self.train, **evaluation}


Encode = Callable[[Mapping[str, Sequence[Any]]], Mapping[str, Sequence[Any]]]
"""From a batch of columns as the data set has them to the columns that the model's collate function takes, with one row
for each. Pure, and each row by itself: however the rows are cut into batches, they are encoded alike."""

Collate = Callable[[Sequence[Mapping[str, Any]]], Mapping[str, Any]]
"""From encoded rows to one batch of tensors that the model takes as keyword arguments, `labels` among them. Pure."""


@dataclass(frozen=True)
class BuiltModel:
    """A model ready to train.

    Attributes:
        model: Takes a batch as keyword arguments and returns an object with `loss` (scalar) and `logits`
            (rows x num_labels); `save_pretrained(folder)` writes it down.
        tokenizer: What the collator gets, and what is saved beside the model.
        encode: Turns raw columns into the model's inputs and `labels`.
        encode_key: Tells apart all that `encode` depends on (tokenizer files, settings, its own version): two builds
            with the same key encode alike.
        source: Where the weights came from, with the revision where there is one.
        notices: Sentences that a person should read, such as that the head is freshly drawn.
        max_length: Tokens of the longest row that the model takes; longer ones are cut. None where it has no limit.
        lengths: From a batch of raw columns to the tokens of each row before any is cut, for `ftrun check --deep`.
        digest: What tells the weights apart from others: a commit, or a checksum of the files. A run whose digest is
            another on resume is refused; None compares nothing.
        class_names: The task's classes in the order of the model's outputs, where that is not the task's own: `encode`
            gives labels in this order. What evaluators get and what is recorded is in the task's.
    """

    model: Any
    tokenizer: Any
    encode: Encode
    encode_key: str
    source: str
    notices: Sequence[str] = ()
    max_length: int | None = None
    lengths: Callable[[Mapping[str, Sequence[Any]]], Sequence[int]] | None = None
    digest: str | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Predictions:
    """What a model said of one split, in the split's order.

    Attributes:
        logits: Float32 array of shape (rows, num_labels).
        labels: Array of shape (rows,): class ids (int64) or, for regression, numbers (float32).
        loss: The mean loss over the rows.
    """

    logits: Any
    labels: Any
    loss: float

    @property
    def values(self) -> Any:
        """The predicted class id, or for regression the predicted number, of each row; shape (rows,)."""
        return self.logits[:, 0] if self.logits.shape[1] == 1 else self.logits.argmax(axis=1)


Evaluator = Callable[[Predictions], Mapping[str, float]]
"""From predictions to metrics by name."""


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class BestBy:
    """What makes one evaluation better than another.

    Attributes:
        key: The metric's key in an `EvaluationReport`, such as "eval/f1".
        greater_is_better: Its direction.
    """

    key: str
    greater_is_better: bool


@dataclass(frozen=True)
class Job:
    """All that a backend needs to train.

    Attributes:
        model, tokenizer: As the model component built them; the model is trained in place.
        train: The encoded training split: the collate function's inputs, column by column.
        evaluation: The encoded evaluation splits by name; the first is the main one.
        collate: Makes a batch of encoded rows.
        evaluators: Compute the metrics of an evaluation, beside its loss, from what the model said as it said it.
        training: The `[training]` settings.
        task: What is learnt.
        seed: Seeds dropout and the like.
        data_seed: Seeds the order of the rows.
        run_folder: Where `model/` goes.
        best_by: How to tell the best evaluation, for `load_best_model_at_end`, `save_strategy = "best"` and early
            stopping; None where nobody asks.
        resume_from: A whole checkpoint's folder to go on from, or None to begin at the beginning.
        resume_best: Whether the best evaluation that the checkpoint knows of still counts; not if somebody allowed
            another idea of the best, or had not kept the best checkpoint until now.
    """

    model: Any
    tokenizer: Any
    train: Rows
    evaluation: Mapping[str, Rows]
    collate: Collate
    evaluators: Sequence[Evaluator]
    training: TrainingSettings
    task: Task
    seed: int
    data_seed: int
    run_folder: Path
    best_by: BestBy | None = None
    resume_from: Path | None = None
    resume_best: bool = True


@dataclass(frozen=True)
class StepReport:
    """One optimizer step. Numbers may be scalar tensors, on a device too, if they are detached and never written again.

    Attributes:
        step: Counts from 1.
        epoch: Passes over the training split so far, with the fraction.
        loss: Mean loss over the step's rows.
        learning_rate: The rate that the step used.
        grad_norm: Norm of all gradients before clipping.
        examples: Rows that the step took.
    """

    step: int
    epoch: float
    loss: Any
    learning_rate: float
    grad_norm: Any
    examples: int


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation of all evaluation splits.

    Attributes:
        step: The optimizer steps before it; epoch: the passes over the training split.
        metrics: By key, as in MLflow: "eval/loss", "eval/f1", or "eval/SPLIT/f1" where there are several splits.
    """

    step: int
    epoch: float
    metrics: Mapping[str, float]


class Reporter(Protocol):
    """What a backend calls as it trains. Nothing here makes the device wait or changes the training."""

    @property
    def stop_requested(self) -> bool:
        """Whether to stop after this step or evaluation: write a checkpoint and return."""
        ...

    def training_started(self, total_steps: int, first_step: int = 1) -> None:
        """Training begins, for so many optimizer steps in all, at `first_step`."""
        ...

    def stepped(self, report: StepReport) -> None:
        """One optimizer step was taken."""
        ...

    def evaluating(self, split: str, done: int, total: int) -> None:
        """So many rows of `total` are evaluated."""
        ...

    def evaluated(self, report: EvaluationReport) -> None:
        """An evaluation is finished."""
        ...

    def settle(self) -> None:
        """Return when all that was reported is known and on disk, checkpoints included.

        Raises:
            RunError: If a loss that was reported is not finite: there is nothing here worth keeping. Or if something
                cannot be written.
        """
        ...

    def checkpoint(self, step: int, best_step: int | None = None) -> AbstractContextManager[Path]:
        """A folder to write the checkpoint of a step into.

        When the block ends, the files are synced and their checksums taken, and the checkpoint is published under its
        own name, `checkpoint-STEP`, while training goes on; a block that raises leaves nothing behind. Older
        checkpoints than `save_total_limit` asks for are then removed, but for that of `best_step`.

        Raises:
            RunError: As `settle`, which is called first.
        """
        ...

    def checkpoint_folder(self, step: int) -> Path:
        """Where the checkpoint of a step is published, or will be."""
        ...

    def whole_checkpoint(self, step: int) -> Path:
        """The published checkpoint of a step, its files checked against their checksums.

        Raises:
            RunError: If it is damaged or not there.
        """
        ...


@dataclass(frozen=True)
class FitResult:
    """What training came to.

    Attributes:
        steps: Optimizer steps in all; epoch: passes over the training split.
        completed: False if it stopped on request.
        metrics: The model's, as in `EvaluationReport`.
        predictions: The model's, by split, with classes in the order of its outputs.
        model_folder: The trained model and tokenizer, for `from_pretrained`; None if it stopped on request.
        model_step: The step that the model is of: the best one's with `load_best_model_at_end`, else the last.
        stopped_early: Whether `early_stopping_patience` ran out before the last step was reached.
    """

    steps: int
    epoch: float
    completed: bool
    metrics: Mapping[str, float] = field(default_factory=dict)
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    model_folder: Path | None = None
    model_step: int | None = None
    stopped_early: bool = False


class BackendSession(Protocol):
    """A backend at work, from before the data is opened until the model is saved; it leaves the process as it was."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def environment(self) -> Mapping[str, str]:
        """What the numbers depend on besides the settings: device, thread count and the like."""
        ...

    def seed(self, seed: int) -> None:
        """Seed every generator that building a model or training draws from."""
        ...

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        """Train, evaluate and write checkpoints as `job.training` says; save the model; evaluate at the end.

        With `job.resume_from`, go on from there as if nothing had been in between.
        """
        ...


# ---------------------------------------------------------------- components


@dataclass(frozen=True, kw_only=True)
class Component:
    """What every kind has in common.

    Attributes:
        name: What a file says to `use`.
        summary: One line of help.
        settings: The keys that a file may set beside `use`.
        check: Light: what is wrong with these settings on this machine, told before any work.
    """

    kind: ClassVar[Kind]
    name: str
    summary: str
    settings: type[Settings] = Settings
    check: Callable[[Any], Sequence[Problem]] | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset(Component):
    """Rows to learn from. `task` is light and tells the task where the settings alone do; `build` opens the splits."""

    kind: ClassVar[Kind] = "dataset"
    build: Callable[[Any], Splits]
    task: Callable[[Any], Task | None] | None = None


@dataclass(frozen=True, kw_only=True)
class Model(Component):
    """A model with its tokenizer. `kinds` are the kinds of task it takes; `build` is called right after seeding."""

    kind: ClassVar[Kind] = "model"
    build: Callable[[Any, Task], BuiltModel]
    kinds: frozenset[str] = frozenset({"classification", "regression"})


@dataclass(frozen=True, kw_only=True)
class Collator(Component):
    """Makes batches of encoded rows. `build` takes the settings and the tokenizer."""

    kind: ClassVar[Kind] = "collator"
    build: Callable[[Any, Any], Collate]


@dataclass(frozen=True, kw_only=True)
class Metric(Component):
    """Numbers of an evaluation. `yields` is light and names them with their better direction, before any work.

    A file may call them otherwise by a `name` in the metric's table, which the runner sees to: a metric's settings have
    no key `name`, nor `use`.

    Raises, from `yields`:
        ExperimentError: If the metric does not suit the task.
    """

    kind: ClassVar[Kind] = "metric"
    yields: Callable[[Any, Task], Mapping[str, Direction]]
    build: Callable[[Any, Task], Evaluator]


@dataclass(frozen=True, kw_only=True)
class Backend(Component):
    """Who drives the training loop. `precisions` and `devices` are what it can do.

    Attributes:
        check_environment: Light: from the `[training]` settings and the environment variables to a problem for every
            variable that would change a number against the file's word, with the variable's name as its place.
    """

    kind: ClassVar[Kind] = "backend"
    build: Callable[[Any, TrainingSettings], BackendSession]
    check_environment: Callable[[TrainingSettings, Mapping[str, str]], Sequence[Problem]] | None = None
    precisions: frozenset[str] = frozenset({"float32"})
    devices: frozenset[str] = frozenset({"cpu"})


COMPONENTS: Mapping[Kind, type[Component]] = {
    "dataset": Dataset,
    "model": Model,
    "collator": Collator,
    "metric": Metric,
    "backend": Backend,
}
