"""What passes between the core and a backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, SupportsFloat, SupportsInt, runtime_checkable

from ftrun.contracts.data import Collate, EncodedRows, Evaluator, Predictions, Task, Tokenizer, TrainableModel
from ftrun.settings import TrainingSettings


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
    """All that a backend needs to train, or to predict.

    Attributes:
        model: As the model component built it; it is trained in place.
        tokenizer: As the model component built it, or None.
        train: The encoded training split: the collate function's inputs, row by row.
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
        class_weights: How much a row of each class counts in the loss, in the order of the model's outputs; None where
            all count alike.
        rank: Which of the processes that train together this is.
        world_size: How many there are.
        raw: The evaluation splits by name as the data set has them, column by column, each read when it is asked for:
            what a backend that makes its `Predictions` itself gives as their `rows`. Since 1.2.
    """

    model: TrainableModel
    tokenizer: Tokenizer | None
    train: EncodedRows
    evaluation: Mapping[str, EncodedRows]
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
    class_weights: Sequence[float] | None = None
    rank: int = 0
    world_size: int = 1
    raw: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class StepReport:
    """One optimizer step. Numbers may be scalar tensors, on a device too, if they are detached and never written again.

    Attributes:
        step: Counts from 1.
        epoch: Passes over the training split so far, with the fraction.
        loss: Mean loss over the labels of the step's rows.
        learning_rate: The rate that the step used.
        grad_norm: Norm of all gradients before clipping, and of a scaled loss after it is taken back.
        examples: Rows that the step took.
        tokens: Tokens of these rows, without padding; None where that is not known, as where there are none.
        tokens_with_padding: As they went through the model.
        skipped: Whether the gradients overflowed, as they may where the loss is scaled for float16, so that nothing was
            learnt of the step. Its norm, which is not finite then, is not recorded, and ends no run.
        loss_scale: What the loss was multiplied by for its gradients; None where it was not.
    """

    step: int
    epoch: float
    loss: SupportsFloat
    learning_rate: float
    grad_norm: SupportsFloat
    examples: int
    tokens: SupportsInt | None = None
    tokens_with_padding: int | None = None
    skipped: bool = False
    loss_scale: float | None = None


@dataclass(frozen=True)
class EvaluationReport:
    """One evaluation of all evaluation splits.

    Attributes:
        step: The optimizer steps before it.
        epoch: The passes over the training split before it, with the fraction.
        metrics: By key, as in MLflow: "eval/loss", "eval/f1", or "eval/SPLIT/f1" where there are several splits.
    """

    step: int
    epoch: float
    metrics: Mapping[str, float]


class Reporter(Protocol):
    """What a backend calls as it trains. Nothing here makes the device wait or changes the training.

    `training_started` comes first; then `stepped` for every step, each one more than that before it; `evaluated` after
    the step that it is an evaluation of; `settle` before the model is saved. Whatever is otherwise is refused by name.
    """

    @property
    def stop_requested(self) -> bool:
        """Whether to stop after this step or evaluation: write a checkpoint and return."""
        ...

    def training_started(self, total_steps: int, first_step: int = 1) -> None:
        """Training begins, for so many optimizer steps in all; the next one to be taken is `first_step`, which is 1, or
        on resume the one after the checkpoint's. On resume to be called once all is where the checkpoint has it: what
        fails before leaves the run as it was.
        """
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
    """What training came to. Where it is completed and there are evaluation splits, metrics, predictions and the folder
    of the model are there.

    Attributes:
        steps: Optimizer steps in all.
        epoch: Passes over the training split, with the fraction.
        completed: False if it stopped on request.
        metrics: The model's, as in `EvaluationReport`.
        predictions: The model's, by evaluation split, with classes in the order of its outputs.
        model_folder: The trained model and tokenizer, below the run folder, as `save_pretrained` writes them; None if
            it stopped on request.
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
        """What the numbers depend on besides the settings, each recorded and compared on resume: `device`, `threads`
        and `precision` at the least. Callable once the session is entered.
        """
        ...

    def seed(self, seed: int) -> None:
        """Seed every generator that building a model or training draws from."""
        ...

    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        """Train, evaluate and write checkpoints as `job.training` says; save the model; evaluate at the end.

        When it has completed, the job's model is the one that is saved: `predict` may follow.
        With `job.resume_from`, go on from there as if nothing had been in between.
        """
        ...

    def predict(self, job: Job, rows: EncodedRows) -> Predictions:
        """What the job's model says of rows, in their order and in batches of `per_device_eval_batch_size`; nothing is
        trained, and the job needs no rows of its own.
        """
        ...


@runtime_checkable
class ChecksModels(Protocol):
    """What a `BackendSession` may have beside, for `ftrun check --deep`. Since 1.2."""

    def check_model(self, model: TrainableModel, row: Mapping[str, Any], /) -> None:
        """Raise what `fit` would, before its first step, for what the settings ask of a model; no more is asked of the
        model after that, which may compute otherwise now.

        Args:
            model: The model.
            row: An encoded row to train on.

        Raises:
            ExperimentError: If it cannot do it.
        """
        ...
