"""What passes between an experiment's parts, held to the contract: who gives something else is named."""

from __future__ import annotations

import contextlib
import inspect
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from ftrun.contracts import BackendSession, BuiltModel, Collate, FitResult, Job, Predictions, Rows, Splits, Task
from ftrun.errors import ExperimentError, FtrunError, Problem
from ftrun.execution.encoded_labels import KNOWN, check_places
from ftrun.execution.hidden_labels import unlabelled_rows
from ftrun.execution.reporter import RunReporter
from ftrun.execution.row_tables import DATA
from ftrun.execution.split_fields import fault_in_fields
from ftrun.planning.blame import blamed, line_in
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.conformance import said
from ftrun.planning.parts import Part
from ftrun.planning.plan import Plan
from ftrun.settings import shown

log = logging.getLogger(__name__)

ROWS = ("__len__", "__getitem__", "column_names", "select", "map")
ENVIRONMENT = ("device", "threads", "precision")
"""What every backend says of its environment."""
SESSION = ("environment", "seed", "fit", "predict")
"""What a session is asked for, beside being entered and left."""
AS_ENTERED = "gives, as its session is entered,"
"""How a backend gives what its session's `__enter__` returns."""
TRAINING = "ftrun.training"
"""What sessions may be made of that train by torch; the runner does not import it."""
MODEL_LOSS = "model.loss"
"""The place of a problem that a backend has with a model's loss."""
LABELS_READ = 100_000
"""Labels that are looked at together."""
LABELS_SHOWN = 3
"""Labels of a batch that a message shows."""
TEXTS_READ = 10_000
"""Rows whose texts are looked at together."""


def check_splits(part: Part, splits: Splits) -> None:
    """Whether an opened data set is one.

    Raises:
        ExperimentError: If it is not what the contract says, or a label is none of its task's.
    """
    if not isinstance(splits, Splits):
        raise part.fault(f"opened a {type(splits).__name__}, and must open ftrun.contracts.Splits")
    if fault := fault_in_fields(splits):
        raise part.fault(fault)
    task = splits.task
    names = task.class_names
    if names is not None and (len(set(names)) < len(names) or not names):
        raise part.fault(f"has the classes {', '.join(map(str, names)) or 'none'}, and each must be there once")
    if names is None and task.kind in ("classification", "multi_label"):
        raise part.fault(f"names no classes, and its task is {task.kind}")
    _check_tests(part, splits)
    for (context, split), rows in splits.used.items():
        _check_rows(part, f"{split} for {context}", rows, task, context == "test")


def check_task(part: Part, told: Task | None, opened: Task) -> None:
    """Whether a data set has opened what its settings alone told of its task, by which others were let through.

    Args:
        part: The data set.
        told: What `task` has told; columns and classes may be left open.
        opened: What was opened.

    Raises:
        ExperimentError: If it has not.
    """
    if told is None or part.offer.distribution == BUILT_IN:
        return
    pairs: dict[str, tuple[Any, Any]] = {"the kind": (told.kind, opened.kind)}
    if told.text_columns:
        pairs["the text columns"] = tuple(told.text_columns), tuple(opened.text_columns)
        pairs["the label column"] = told.label_column, opened.label_column
    if told.class_names is not None:
        pairs["the classes"] = tuple(told.class_names), tuple(opened.class_names or ())
    for what, (before, now) in pairs.items():
        if before != now:
            hint = "Both must say the same; what only the data tells, `task` leaves open: class_names, or None for all."
            raise part.fault(f"says by `task` that {what} would be {_words(before)}, and opens {_words(now)}", hint)


def _words(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else ", ".join(map(str, value)) or "none"


def _check_tests(part: Part, splits: Splits) -> None:
    """Whether the test splits that are asked for are there, and are not those of another use."""
    for split in splits.test_at_end:
        if split not in splits.test:
            raise part.fault(f"has {split} for its test at the end, and no such split in test")
        if split == splits.train_split or split in splits.evaluation:
            raise part.fault(f"has the split {split} for its test at the end and for something else, too")


def check_read(part: Part, file: str, rows: Rows, task: Task, text_columns: Sequence[str]) -> None:
    """Whether what a data set has read of a file is rows as its splits are; any of them may lack a label.

    Args:
        part: The data set.
        file: What to call the file.
        rows: What it has read.
        task: What the data set asks for.
        text_columns: Those that must be there.

    Raises:
        ExperimentError: If it is not, or there are none.
    """
    check_form(part, file, rows)
    if not len(rows):
        raise ExperimentError(Problem(f"{file} has no rows", DATA))
    _check_columns(part, file, rows, text_columns)
    if task.label_column in rows.column_names:
        hidden = set(unlabelled_rows(rows, task))
        _check_labels(part, file, rows, task, hidden)


def _check_rows(part: Part, split: str, rows: Rows, task: Task, may_lack_labels: bool) -> None:
    """Whether rows are what the contract says, with the columns and labels of the task."""
    check_form(part, split, rows)
    if not len(rows):
        raise part.fault(f"has no row in {split}")
    _check_columns(part, split, rows, [*task.text_columns, *([] if may_lack_labels else [task.label_column])])
    if task.kind in KNOWN and part.offer.distribution != BUILT_IN:
        _check_texts(part, split, rows, task)
    if not may_lack_labels or _has_labels(part, split, rows, task):
        _check_labels(part, split, rows, task)


def _check_texts(part: Part, split: str, rows: Rows, task: Task) -> None:
    """Whether texts are text, which the model's `encode` would be blamed for."""
    for column in task.text_columns:
        cells = rows[column]
        for start in range(0, len(rows), TEXTS_READ):
            for row, cell in enumerate(cells[start : start + TEXTS_READ], start):
                if not isinstance(cell, str):
                    given = f"has {shown(cell)} in column {column} in row {row + 1} of {split}, and must have text"
                    hint = 'Leave such rows out, or make text of them: "" where there is none.'
                    raise part.fault(given, hint)


def check_form(part: Part, split: str, rows: Rows) -> None:
    """Whether what a data set gives for some rows behaves as rows.

    Raises:
        ExperimentError: If it does not.
    """
    lacking = [name for name in ROWS if not hasattr(rows, name)]
    if not lacking and not isinstance(rows.column_names, (list, tuple)):
        lacking = ["column_names as a list"]
    if lacking:
        message = f"gives a {type(rows).__name__} for {split}, which is not what a data set's rows must be"
        hint = f"It must be a datasets.Dataset, or behave as one; this has no {', '.join(lacking)}."
        raise part.fault(message, hint)


def _check_columns(part: Part, split: str, rows: Rows, wanted: Sequence[str]) -> None:
    if missing := [name for name in wanted if name not in rows.column_names]:
        there = ", ".join(rows.column_names) or "none"
        raise part.fault(f"has no column {missing[0]} in {split}, which its task names; there are: {there}")


def _check_labels(part: Part, split: str, rows: Rows, task: Task, but: Set[int] = frozenset()) -> None:
    labels = rows[task.label_column]
    for start in range(0, len(rows), LABELS_READ):
        for row, label in enumerate(labels[start : start + LABELS_READ], start):
            if row not in but and (wrong := _wrong_label(label, task)):
                raise part.fault(f"has the label {label!r} in row {row + 1} of {split}: {wrong}")


def _has_labels(part: Part, split: str, rows: Rows, task: Task) -> bool:
    """Whether all rows have labels, or none has."""
    lacking = unlabelled_rows(rows, task)
    if lacking and len(lacking) < len(rows):
        given = f"has no label in row {lacking[0] + 1} of {split}, and labels in others"
        raise part.fault(given, "Either all rows have labels, or none.")
    return not lacking


def _wrong_label(label: Any, task: Task) -> str | None:
    """What is wrong with a label, as the contract has labels; None if nothing is, or nobody here can know."""
    count = task.num_labels
    match task.kind:
        case "classification":
            if type(label) is int and 0 <= label < count:
                return None
            return f"it must be a whole number from 0 to {count - 1}, a class's place among {count}"
        case "regression":
            if isinstance(label, (int, float)) and not isinstance(label, bool) and math.isfinite(label):
                return None
            return "it must be a finite number"
        case "multi_label":
            if isinstance(label, Sequence) and len(label) == count and all(value in (0, 1) for value in label):
                return None
            return f"it must be a list of {count} numbers, each 0 or 1: one for every class"
    return None


def check_model(part: Part, built: BuiltModel) -> None:
    """Whether a built model is one.

    Raises:
        ExperimentError: If it is not what the contract says.
    """
    if not isinstance(built, BuiltModel):
        raise part.fault(f"built a {type(built).__name__}, and must build an ftrun.contracts.BuiltModel")
    for name, thing in {"model": built.model, "encode": built.encode}.items():
        if not callable(thing):
            raise part.fault(f"has a {type(thing).__name__} for its {name}, which cannot be called")
    for name, thing in {"model": built.model, "tokenizer": built.tokenizer}.items():
        if thing is not None and not callable(getattr(thing, "save_pretrained", None)):
            raise part.fault(f"has a {name} without save_pretrained, so it could not be kept")
    for name, text in {"encode_key": built.encode_key, "source": built.source}.items():
        if not isinstance(text, str):
            raise part.fault(f"has a {type(text).__name__} for its {name}, and must have a text")
    if isinstance(built.notices, str):
        raise part.fault("has a text for its notices, and must have a list of them")


def check_session(part: Part, session: Any, how: str = "built") -> None:
    """Whether a backend's session is one.

    Args:
        part: The backend.
        session: What it gives for one.
        how: By what it gives it.

    Raises:
        ExperimentError: If it is none.
    """
    if isinstance(session, type):
        message = f"{how} the class {session.__name__}, and must build a session"
        raise part.fault(message, f"Call it: {session.__name__}(...).")
    lacking = [name for name in SESSION if not callable(getattr(session, name, None))]
    if not all(hasattr(type(session), name) for name in ("__enter__", "__exit__")):
        lacking.insert(0, "__enter__ and __exit__")
    if lacking:
        message = f"{how} a {type(session).__name__} without {', '.join(lacking)}, and must build a session"
        raise part.fault(message, "See `help(ftrun.contracts.BackendSession)`.")


def takes_tensors(session: BackendSession) -> bool:
    """Whether a session is made of what `ftrun.training` has, so that a batch must be tensors; of others nobody knows
    what they take.
    """
    return any(f"{base.__module__}.".startswith(f"{TRAINING}.") for base in type(session).__mro__)


def checked_environment(plan: Plan, session: BackendSession) -> Mapping[str, str]:
    """What a backend says of its environment.

    Raises:
        ExperimentError: If it does not say what every backend must, or what it is entered as is no session.
    """
    check_session(plan.backend, session, AS_ENTERED)
    told = session.environment()
    if not isinstance(told, Mapping) or not all(isinstance(text, str) for pair in told.items() for text in pair):
        raise plan.backend.fault(f"says of its environment {told!r}, and must say texts by name")
    if missing := [name for name in ENVIRONMENT if name not in told]:
        raise plan.backend.fault(f"does not say its {', '.join(missing)} in environment()")
    return told


def checked_batch(
    plan: Plan, collate: Collate, rows: Sequence[Mapping[str, Any]], task: Task, of_tensors: bool = False
) -> Mapping[str, Any]:
    """A batch of encoded rows that have labels.

    Args:
        plan: For the names of model and collator.
        collate: The collator's.
        rows: Encoded.
        task: Theirs.
        of_tensors: As `checked_collate` has it.

    Raises:
        ExperimentError: If the model has encoded no labels, or the collator makes no batch with them.
    """
    if "labels" not in rows[0]:
        raise plan.model.fault(f'encodes rows without "labels"; there are: {", ".join(rows[0]) or "none"}')
    batch = checked_collate(plan.collator, collate, of_tensors)(rows)
    _check_batch(plan.collator, batch, len(rows))
    if task.kind == "classification":
        _check_classes_kept(plan.collator, batch["labels"], [row["labels"] for row in rows])
    return batch


def _check_classes_kept(part: Part, labels: Any, encoded: Sequence[Any]) -> None:
    """Whether a batch has a class for every row, that of the row; labels of another form are let through."""
    given, wanted = ([_plain(label) for label in some] for some in (labels, encoded))
    if not all(isinstance(label, int) for label in wanted):
        return
    if given != wanted or not all(isinstance(label, int) for label in given):
        message = (
            f"gives the labels {shown(given[:LABELS_SHOWN])} for rows of the classes {shown(wanted[:LABELS_SHOWN])}"
        )
        raise part.fault(
            message, 'They stay whole numbers of shape (rows,): torch.tensor([row["labels"] for row in rows]).'
        )


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


@contextlib.contextmanager
def forward_blamed(plan: Plan, model: Any, batch: Mapping[str, Any], task: Task) -> Iterator[None]:
    """Say who is to blame where a batch does not go through a model, or what comes out is not what the contract says.

    Args:
        plan: For the names of collator and model.
        model: The model.
        batch: What the collator makes.
        task: Of its rows.

    Raises:
        ExperimentError: Where that is known; any other fault is raised as it is.
    """
    try:
        yield
    except TypeError as fault:
        if not (unfit := _unfit(model, batch)):
            raise
        message = f"makes a batch of {', '.join(batch)}, which {plan.model.who} does not take: {unfit}"
        raise plan.collator.fault(message, "The model may want another: [collator] use = NAME.") from fault
    except AttributeError as fault:
        if blamed(fault, [plan.model]):
            raise
        if given := _no_tensors(model, batch):
            raise plan.model.fault(given, "ftrun.contracts.ModelOutput says what it must give.") from fault
        if fault.name not in ("logits", "loss"):
            raise
        given = type(fault.obj).__name__
        hint = "It must give an object with loss and logits (ftrun.contracts.ModelOutput)."
        raise plan.model.fault(f"gives a {given} without {fault.name} for a batch", hint) from fault
    except ExperimentError as fault:
        if not (told := _of_its_loss(plan.model, fault)):
            raise
        raise told from fault
    except (IndexError, RuntimeError) as fault:
        if told := _misshapen(plan.model, model, batch, task):
            raise told from fault
        if not BEYOND.search(str(fault)) or plan.model.offer.distribution == BUILT_IN:
            raise
        hint = "Numbers that look something up, as in an embedding, must be below how many it has: see its encode."
        raise plan.model.fault(
            f"does not take a batch: raised {said(fault)}{line_in(fault, plan.model)}", hint
        ) from fault


BEYOND = re.compile(r"\bindex|out of (range|bounds)", re.IGNORECASE)
"""In what torch says of a number that looks up what is not there."""


def _misshapen(part: Part, model: Any, batch: Mapping[str, Any], task: Task) -> ExperimentError | None:
    """What is wrong with how many numbers a model gives; None where nothing is, or nobody can tell."""
    if "labels" not in batch:
        return None
    try:
        logits = model(**{name: value for name, value in batch.items() if name != "labels"}).logits
        _check_numbers(part, tuple(logits.shape), len(batch["labels"]), task)
    except ExperimentError as fault:
        return fault
    except Exception:
        return None
    return None


def _of_its_loss(model: Part, fault: ExperimentError) -> ExperimentError | None:
    """What a backend tells of the loss of a model, with the model's name."""
    told = [problem for problem in fault.problems if problem.place == MODEL_LOSS]
    return model.fault(told[0].message) if told else None


@contextlib.contextmanager
def training_named(plan: Plan) -> Iterator[None]:
    """Name the component where `ftrun.training`, which does not know it, tells of "the backend" or of a model's loss.

    Args:
        plan: For the names of backend and model.
    """
    try:
        yield
    except ExperimentError as fault:
        if of_loss := _of_its_loss(plan.model, fault):
            raise of_loss from fault
        told = [_named(problem, plan.backend.who) for problem in fault.problems]
        if told == list(fault.problems):
            raise
        raise ExperimentError(*told) from fault


def _named(problem: Problem, who: str) -> Problem:
    if problem.place != "backend" or not problem.message.startswith("the backend ") or who in problem.message:
        return problem
    return replace(problem, message=problem.message.replace("the backend", who, 1))


def _unfit(model: Any, batch: Mapping[str, Any]) -> str | None:
    """Why a model cannot be called with a batch; None where it can, or nobody can tell."""
    try:
        signature = inspect.signature(getattr(model, "forward", model))
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(**batch)
    except TypeError as fault:
        return str(fault)
    return None


def _no_tensors(model: Any, batch: Mapping[str, Any]) -> str | None:
    """What of a model's answer to a batch is no tensor; None where all is, or nobody can tell."""
    with contextlib.suppress(Exception):
        output = model(**batch)
        for name in ("logits", "loss"):
            value = getattr(output, name)
            if not hasattr(value, "detach"):
                return f"gives a {type(value).__name__} for {name} of a batch, and must give a tensor"
    return None


def checked_collate(part: Part, collate: Collate, of_tensors: bool = False) -> Collate:
    """A collate function that says whose it is, should it fail.

    A file that names no collator has the default one, which knows texts and no more: that is the likeliest fault.

    Args:
        part: The collator.
        collate: Its function.
        of_tensors: Whether it fails, too, where it gives something else than tensors; see `takes_tensors`.
    """

    def checked(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        try:
            batch = collate(rows)
        except FtrunError:
            raise
        except Exception as error:
            log.info("the collator failed", exc_info=True)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            said += line_in(error, part)
            named = "The file names no collator, and the model" if part.is_default else "The model"
            hint = f"{named} may want another: [collator] use = NAME. ftrun plugins lists them."
            raise part.fault(f"makes no batch of rows with {', '.join(rows[0])}: {said}", hint) from error
        if of_tensors and isinstance(batch, Mapping):
            _check_tensors(part, batch)
        return batch

    return checked


def _check_tensors(part: Part, batch: Mapping[str, Any]) -> None:
    if wrong := [name for name, value in batch.items() if not hasattr(value, "to")]:
        raise part.fault(f"gives a {type(batch[wrong[0]]).__name__} for {wrong[0]} of a batch, and must give a tensor")


def _check_batch(part: Part, batch: Any, rows: int) -> None:
    if not isinstance(batch, Mapping):
        raise part.fault(f"makes a {type(batch).__name__} of a batch of rows, and must make tensors by name")
    if "labels" not in batch:
        raise part.fault(f"leaves labels out of a batch; there are: {', '.join(batch) or 'none'}")
    if len(batch["labels"]) != rows:
        raise part.fault(f"gives {len(batch['labels'])} labels for {rows} rows")


@contextlib.contextmanager
def told_of_padding(
    plan: Plan, model: Any, rows: Sequence[Mapping[str, Any]], batch: Mapping[str, Any]
) -> Iterator[None]:
    """What a model raises on a batch that is padded to more tokens than it has positions, as a sentence.

    Only where it raises: to some models the number in their configuration is no limit.
    """
    try:
        yield
    except (RuntimeError, IndexError) as error:
        positions = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        shape = tuple(getattr(batch.get("input_ids"), "shape", ()))
        if not isinstance(positions, int) or len(shape) != 2 or shape[1] <= positions:
            raise
        longest = max(len(row["input_ids"]) for row in rows)
        if longest > positions:
            raise
        message = f"pads rows of up to {longest} tokens to {shape[1]}, and the model has {positions} positions"
        hint = f"Pad to {positions} tokens at the most; ftrun describe collator {plan.collator.offer.component.name}."
        raise plan.collator.fault(message, hint) from error


def check_predictions(plan: Plan, predictions: Predictions, rows: int, task: Task, labelled: bool = True) -> None:
    """Whether predictions of so many rows are what the contract says.

    Raises:
        ExperimentError: If they are not.
    """
    if not isinstance(predictions, Predictions):
        kind = type(predictions).__name__
        raise plan.backend.fault(f"predicts a {kind}, and must predict ftrun.contracts.Predictions")
    check_shape(plan.model, predictions, rows, task)
    if predictions.loss is None and labelled:
        raise plan.model.fault("gives no loss for rows with labels")


def check_shape(part: Part, predictions: Predictions, rows: int, task: Task) -> None:
    """Whether a model gives numbers for so many rows as the contract says, and a label for each place where it must.

    How many numbers a place has is known of a task with classes, and of the kinds that the runner knows.

    Raises:
        ExperimentError: If it does not.
    """
    _check_numbers(part, tuple(predictions.logits.shape), rows, task)
    check_places(part, predictions, task)


def _check_numbers(part: Part, shape: tuple[int, ...], rows: int, task: Task) -> None:
    count = task.num_labels if task.class_names or task.kind in KNOWN else None
    if len(shape) < 2 or shape[0] != rows or count not in (None, shape[-1]):
        for_each = "" if count is None else f" and {count} label{'s' if count > 1 else ''}"
        message = f"gives numbers of shape {shape} for {rows} rows{for_each}"
        hint = "They must be of shape (rows, numbers) or (rows, places, numbers), one number for each class."
        raise part.fault(message, hint)


def checked_fit(plan: Plan, job: Job, reporter: RunReporter, fit: FitResult) -> FitResult:
    """What a training came to, once all that was reported is known to be sound.

    Raises:
        ExperimentError: If it is not what the contract says.
        RunError: If a loss was not finite, or something could not be written.
    """
    reporter.settle()
    part = plan.backend
    if not isinstance(fit, FitResult):
        raise part.fault(f"came to a {type(fit).__name__} by fit, and must give an ftrun.contracts.FitResult")
    if fit.steps != reporter.steps:
        raise part.fault(f"says that it took {fit.steps} steps, and reported {reporter.steps}")
    if not fit.completed:
        if not reporter.stop_requested:
            raise part.fault(f"stopped after step {fit.steps}, and nobody asked it to")
        return fit
    folder = fit.model_folder
    if folder is None or not folder.is_relative_to(job.run_folder) or not folder.is_dir() or not any(folder.iterdir()):
        raise part.fault(f"has completed without a model in the run folder: its model_folder is {folder}")
    for split, rows in job.evaluation.items():
        predicted = fit.predictions.get(split)
        if predicted is None:
            raise part.fault(f"has completed without predictions of {split}")
        check_predictions(plan, predicted, len(rows), job.task)
    if job.evaluation and not fit.metrics:
        raise part.fault("has completed without metrics")
    return fit
