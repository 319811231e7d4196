"""Predicting with a model that was trained: rows of a file, of a split, or of one's own."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ftrun.contracts import BackendSession, BuiltModel, Job, Predictions, Rows, Splits, Task
from ftrun.errors import ExperimentError, Problem, RunError, nearest
from ftrun.execution.changes import changed_data
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.decoding import PREDICTED, Decoding
from ftrun.execution.encoded_labels import KNOWN
from ftrun.execution.encoding import BATCH_ROWS, CheckedEncode
from ftrun.execution.preparation import build_collate, load_model, open_data, open_session
from ftrun.execution.process import environment_restored, faults_logged, refuse_several_processes
from ftrun.execution.recording import logistic
from ftrun.execution.remarks import without_numbers
from ftrun.execution.row_tables import RowTable, by_name, refuse_no_rows, rows_of_split
from ftrun.execution.trained import Trained
from ftrun.execution.watcher import Watcher
from ftrun.rowfiles import listed, suspected_delimiter
from ftrun.runs.history import read_history

SHARE = "probability_"
"""What the columns of probabilities begin with, before the class's name."""
FLOAT16 = "training.fp16"
"""Where a session tells that its device has no float16."""
TOLD_ROWS = 32
"""Rows between two looks at the bar."""
USUAL_TEXT = (("text",), ("sentence",), ("sentence1", "sentence2"), ("premise", "hypothesis"))
"""Columns that are taken for the text where neither a run nor a person says which."""


@contextlib.contextmanager
def predicting(trained: Trained, watcher: Watcher) -> Iterator[Predictor]:
    """The model, loaded and ready.

    Raises:
        ExperimentError: If it cannot be loaded, or its data set not be opened where it is needed.
        RunError: If a part fails in a way that it does not explain.
    """
    refuse_several_processes()
    watcher.working("importing")
    faults = faults_logged("predict", trained.plan.parts.values())
    with faults, environment_restored(), watcher:
        able, opened = _opened(trained, watcher)
        with opened as session:
            session.seed(able.plan.seed)
            yield Predictor(able, session, watcher)


def _opened(trained: Trained, watcher: Watcher) -> tuple[Trained, BackendSession]:
    """The session to predict in: of a model that was trained in float16, in float32 where the device lacks that."""
    try:
        return trained, open_session(trained.plan)
    except ExperimentError as refused:
        if [problem.place for problem in refused.problems] != [FLOAT16]:
            raise
    training = trained.plan.training.model_copy(update={"fp16": False})
    able = replace(trained, plan=replace(trained.plan, training=training))
    session = open_session(able.plan)
    watcher.notice("it was trained in float16, which is not to be had here: it predicts in float32")
    return able, session


class Predictor:
    """A model that predicts.

    Args:
        trained: The model.
        session: The backend's, entered.
        watcher: Sees it go by.
    """

    def __init__(self, trained: Trained, session: BackendSession, watcher: Watcher) -> None:
        self.trained = trained
        self.session = session
        self.watcher = watcher

    @cached_property
    def splits(self) -> Splits:
        """The data set that it was trained on, opened.

        Raises:
            ExperimentError: If no run is known, or it cannot be opened.
        """
        run = self.trained.run
        if run is None:
            message = f"no run is known of {self.trained.folder}, so it has no splits"
            raise ExperimentError(Problem(message, "--data", "Name a file."))
        splits, _ = open_data(self.trained.plan, self.watcher)
        for change in changed_data(read_history(run), splits):
            self.watcher.notice(f"since the run: {change.sentence}")
        return splits

    @cached_property
    def tags(self) -> Mapping[str, str]:
        """What the run has on record beside its settings; nothing where no run is known."""
        return read_history(self.trained.run).tags if self.trained.run else {}

    @cached_property
    def task(self) -> Task:
        """What it has learnt."""
        return self.trained.task or self.splits.task

    def predict(self, table: RowTable, text_columns: Sequence[str] = ()) -> dict[str, list[Any]]:
        """The columns that are added to rows: `prediction`, and for classes `probability_CLASS`, or what the model's
        `decode` gives.

        Args:
            table: The rows.
            text_columns: Those that hold the text, where it is not those of the task.

        Raises:
            ExperimentError: If something about the rows is wrong; nothing was computed then.
            RunError: If the model says no finite numbers.
        """
        columns = source_columns(table, self.task, text_columns)
        task = with_text(self.task, columns)
        inputs = inputs_of(table, task, columns)
        built = self._load(task)
        if built.decode is None and task.kind not in KNOWN:
            who = self.trained.plan.model.offer.who
            message = f"{who} does not say what it predicts of a row for {task.kind}"
            hint = "Who makes it gives its model a `decode` (ftrun.contracts.BuiltModel, since 1.2)."
            raise ExperimentError(Problem(message, "model.use", hint))
        if built.decode is None:
            refuse_taken(table, [PREDICTED, *(f"{SHARE}{name}" for name in task.class_names or ())])
            said = self.said(table.name, len(table), inputs, task, tell=self.watcher.predicting, built=built)
            if silent := without_numbers(table.name, said):
                raise RunError(f"{silent}: there is nothing to predict by; a smaller learning rate may train it better")
            return added_columns(task, said)
        return self._decoded(built, table, inputs, task)

    def _load(self, task: Task) -> BuiltModel:
        return load_model(self.trained.plan, self.trained.folder, task, self.watcher)

    def _decoded(
        self, built: BuiltModel, table: RowTable, inputs: Mapping[str, Sequence[Any]], task: Task
    ) -> dict[str, list[Any]]:
        """What the model itself tells of its predictions, held to the contract."""
        predictions = self.said(table.name, len(table), inputs, task, tell=self.watcher.predicting, built=built)
        told = Decoding(self.trained.plan.model, built, task).decoded(predictions)
        refuse_taken(table, list(told))
        return {name: list(cells) for name, cells in told.items()}

    def said(
        self,
        name: str,
        rows: int,
        columns: Mapping[str, Sequence[Any]],
        task: Task,
        weights: Sequence[float] | None = None,
        tell: Callable[[str, int, int], None] | None = None,
        built: BuiltModel | None = None,
    ) -> Predictions:
        """What the model says of raw columns, in the order of the task's classes, with the rows, and decoded.

        Args:
            name: What to call the rows.
            rows: How many they are.
            columns: What `inputs_of` gives, and the labels where there are some.
            task: With the columns' names.
            weights: How much a row of each class counts in the loss, in the order of the task's classes.
            tell: Called with the name, the rows that are behind, and all of them; they are evaluated if absent.
            built: The model, where it is loaded already.
        """
        built, tell = built or self._load(task), tell or self.watcher.evaluating
        order = ClassOrder(built, task, self.trained.plan.model.who)
        job = self._job(built, task, order.in_output_order(weights) if weights else None)
        tell(name, 0, rows)
        encode = CheckedEncode.of(built, name, task, self.trained.plan.model.who)
        encoded = RowsOnDemand(replace(built, encode=encode), columns, rows, lambda done: tell(name, done, rows))
        predictions = order.in_task_order(self.session.predict(job, encoded))
        return Decoding(self.trained.plan.model, built, task).complete(predictions, columns)

    def _job(self, built: BuiltModel, task: Task, weights: Sequence[float] | None) -> Job:
        plan = self.trained.plan
        return Job(
            model=built.model,
            tokenizer=built.tokenizer,
            train=[],
            evaluation={},
            collate=build_collate(plan, built),
            evaluators=(),
            training=plan.training,
            task=task,
            seed=plan.seed,
            data_seed=plan.seed,
            run_folder=self.trained.folder.parent,
            class_weights=weights,
        )


@dataclass
class RowsOnDemand:
    """Rows that are encoded as they are asked for, one after the other: never all of them are kept.

    Attributes:
        built: The model with its `encode`.
        columns: What is encoded, raw.
        rows: How many there are.
        progress: Called with the rows that are behind.
    """

    built: BuiltModel
    columns: Mapping[str, Sequence[Any]]
    rows: int
    progress: Callable[[int], None]
    _first: int = 0
    _batch: Sequence[Mapping[str, Any]] = ()

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, row: int, /) -> Mapping[str, Any]:
        if not self._first <= row < self._first + len(self._batch):
            self._first = row - row % BATCH_ROWS
            self._batch = self._encoded(slice(self._first, self._first + BATCH_ROWS))
        if row == self.rows - 1 or row % TOLD_ROWS == TOLD_ROWS - 1:
            self.progress(row + 1)
        return self._batch[row - self._first]

    def _encoded(self, some: slice) -> Sequence[Mapping[str, Any]]:
        encoded = self.built.encode({name: cells[some] for name, cells in self.columns.items()})
        return [dict(zip(encoded, row, strict=True)) for row in zip(*encoded.values(), strict=True)]


def split_named(splits: Splits, name: str) -> Rows:
    """The rows of a split, as the run used it.

    Raises:
        ExperimentError: If there is no such split.
    """
    there = {splits.train_split: splits.train, **splits.evaluation, **splits.test}
    if name in there:
        return there[name]
    refuse_no_rows(name)  # a folder, say, that is called so
    close = nearest(name, there)
    hint = f"Did you mean {close}? " if close else ""
    message = f'there is no file and no split "{name}"'
    raise ExperimentError(Problem(message, "--data", f"{hint}The run's data set has: {', '.join(there)}."))


def table_of_split(splits: Splits, name: str) -> RowTable:
    """The rows of a split, with labels in the data's terms."""
    return table_of_rows(name, split_named(splits, name), splits.task)


def table_of_rows(name: str, rows: Rows, task: Task) -> RowTable:
    """Rows of a data set, with labels in the data's terms."""
    table = rows_of_split(name, rows)
    labels = table.columns.get(task.label_column)
    names = task.class_names
    if labels is None or names is None:
        return table
    name_of = _classes_there if task.kind == "multi_label" else by_name
    told = [name_of(label, names) for label in labels]
    return replace(table, columns={**table.columns, task.label_column: told})


def _classes_there(label: Any, names: Sequence[str]) -> Any:
    """The classes of a row, of its list of 0 and 1; None where it has no label."""
    if not isinstance(label, list) or len(label) != len(names):
        return None
    return [name for name, there in zip(names, label, strict=True) if there == 1]


def inputs_of(table: RowTable, task: Task, columns: Sequence[str]) -> dict[str, Sequence[Any]]:
    """All columns of rows but that of the label, as `encode` gets them: those that hold the text by the names that the
    task has for them, and the others by their own.

    Raises:
        ExperimentError: If a cell is no text where the task's kind wants text, or there is none.
    """
    take = table.texts if task.kind in KNOWN else table.cells
    texts = {name: take(column) for name, column in zip(task.text_columns, columns, strict=True)}
    return {**{name: cells for name, cells in table.columns.items() if name != task.label_column}, **texts}


def with_text(task: Task, columns: Sequence[str]) -> Task:
    """The task with text columns, where nothing has told them."""
    return task if task.text_columns else replace(task, text_columns=tuple(columns))


def source_columns(table: RowTable, task: Task, asked: Sequence[str]) -> Sequence[str]:
    """The columns of rows that hold the text, in the order of the task's.

    Args:
        table: The rows.
        task: Whose text columns they are by default.
        asked: Those that a person names.

    Raises:
        ExperimentError: If they are not there, or not as many.
    """
    there = list(table.columns)
    columns = tuple(asked) or task.text_columns or next((some for some in USUAL_TEXT if set(some) <= set(there)), ())
    hint = f"There are: {listed(there)}. Say which: --text-column NAME, twice for a pair."
    if not columns:
        raise table.wrong("has no column that is known to hold the text", hint)
    if task.text_columns and len(columns) != len(task.text_columns):
        message = f"{listed(columns)} for the model's {listed(task.text_columns)}: there must be as many"
        raise ExperimentError(Problem(message, "--text-column"))
    if missing := [name for name in columns if name not in there]:
        if table.suffix in (".csv", ".tsv") and (mark := suspected_delimiter(there, table.delimiter)):
            hint = f"Its header is one cell, {there[0]!r}; is {mark!r} between its cells? --delimiter {mark!r}"
        close = nearest(missing[0], there)
        raise table.wrong(f"has no column {listed(missing)}", f'Did you mean "{close}"? {hint}' if close else hint)
    return columns


def refuse_taken(table: RowTable, added: Sequence[str]) -> None:
    """Refuse rows that have a column by the name of one that is added.

    Raises:
        ExperimentError: If there is one.
    """
    if taken := [name for name in added if name in table.columns]:
        hint = "Give it another name there, or leave it out."
        raise table.wrong(f"has a column {listed(taken)} already, which is a name of what is predicted", hint)


def added_columns(task: Task, predictions: Predictions) -> dict[str, list[Any]]:
    """What is predicted, column by column: names of classes and their probabilities, or a number."""
    values, names = predictions.values.tolist(), task.class_names
    if names is None:
        return {PREDICTED: values}
    if task.kind == "multi_label":
        told: list[Any] = [[name for name, on in zip(names, row, strict=True) if on] for row in values]
        shares = [[logistic(logit) for logit in row] for row in predictions.logits.tolist()]
    else:
        told = [names[value] for value in values]
        shares = [_softmax(row) for row in predictions.logits.tolist()]
    return {PREDICTED: told, **{f"{SHARE}{name}": [row[at] for row in shares] for at, name in enumerate(names)}}


def probabilities_of(added: Mapping[str, Sequence[Any]]) -> list[dict[str, float]] | None:
    """From what is added to rows to each row's probabilities by class; None where it is something else."""
    shares = {name: cells for name, cells in added.items() if name != PREDICTED}
    if not shares or not all(name.startswith(SHARE) for name in shares):
        return None
    names = [name.removeprefix(SHARE) for name in shares]
    return [dict(zip(names, row, strict=True)) for row in zip(*shares.values(), strict=True)]


def _softmax(logits: Sequence[float]) -> list[float]:
    highest = max(logits)
    powers = [math.exp(logit - highest) for logit in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]
