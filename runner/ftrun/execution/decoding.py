"""What metrics and the record have of predictions beside numbers: the rows, and what the model itself tells of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftrun.contracts import BuiltModel, Evaluator, FitResult, Predictions, Rows, Splits, Task
from ftrun.errors import FtrunError
from ftrun.planning.answers import placed_errors
from ftrun.planning.blame import line_in
from ftrun.planning.conformance import said
from ftrun.planning.parts import Part
from ftrun.rowfiles import listed

PREDICTED = "prediction"
"""The column that is added to rows, and that a model's `decode` must give."""

Columns = Mapping[str, Sequence[Any]]


class RawColumns(Mapping[str, Sequence[Any]]):
    """Rows of a data set column by column; each is read when it is asked for, and kept by nobody here.

    Args:
        rows: The rows.
        places: Which of them are meant, in which order; all if absent.
    """

    def __init__(self, rows: Rows, places: Sequence[int] | None = None) -> None:
        self._rows, self._places = rows, places

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name not in self._rows.column_names:
            raise KeyError(name)
        rows = self._rows if self._places is None else self._rows.select(self._places)
        return list(rows[name][:])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.column_names)

    def __len__(self) -> int:
        return len(self._rows.column_names)


class _Without(Mapping[str, Sequence[Any]]):
    """Columns but for one."""

    def __init__(self, columns: Columns, name: str) -> None:
        self._columns, self._name = columns, name

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name == self._name:
            raise KeyError(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._columns if name != self._name)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Decoded(Mapping[str, Sequence[Any]]):
    """What is told by a function that is called when it is first asked for."""

    def __init__(self, tell: Callable[[], Columns]) -> None:
        self._tell = tell
        self._told: Columns | None = None

    @property
    def _columns(self) -> Columns:
        if self._told is None:
            self._told = self._tell()
        return self._told

    def __getitem__(self, name: str) -> Sequence[Any]:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


class Decoding:
    """How predictions come to their rows, and to what the model tells of these.

    Args:
        part: The model's component.
        built: The model.
        task: What it learns. Its `decode` sees no label.
    """

    def __init__(self, part: Part, built: BuiltModel, task: Task) -> None:
        self._part, self._built, self._task = part, built, task

    def complete(self, predictions: Predictions, rows: Columns | None = None) -> Predictions:
        """Predictions in the task's order of classes, with their `rows` and `decoded`.

        Args:
            predictions: As they are.
            rows: Of what, where they do not say so themselves.
        """
        known = predictions.rows if rows is None else rows
        if known is None:
            return predictions
        whole = replace(predictions, rows=known, decoded=None)
        if self._built.decode is None:
            return whole
        return replace(whole, decoded=_Decoded(lambda: self.decoded(whole)))

    def decoded(self, predictions: Predictions) -> Columns:
        """What the model itself tells of predictions with rows, held to the contract.

        Raises:
            ExperimentError: If it raises, or gives something else.
        """
        assert self._built.decode and predictions.rows is not None
        part, count = self._part, len(predictions.logits)
        try:
            with placed_errors(part, "model"):
                told = self._built.decode(_Without(predictions.rows, self._task.label_column), predictions)
        except FtrunError:
            raise
        except Exception as fault:
            hint = "It must tell something of any row, whatever a model that is not trained yet says of it."
            raise part.fault(f"raised {said(fault)} by decode{line_in(fault, part)}", hint) from fault
        if not isinstance(told, Mapping) or PREDICTED not in told:
            raise part.fault(f'gives no column "{PREDICTED}" by decode')
        if wrong := [name for name, cells in told.items() if len(cells) != count]:
            raise part.fault(f"gives {len(told[wrong[0]])} cells of {wrong[0]} for {count} rows by decode")
        if taken := [name for name in told if name in (*self._task.text_columns, self._task.label_column)]:
            hint = "A column that decode adds must have another name than those of the task."
            raise part.fault(f"gives a column {listed(taken)} by decode, which is one of the task's own", hint)
        return told


class Terms:
    """Predictions as evaluators have them: made once of what a backend gives, for all metrics of an evaluation.

    Args:
        ordered: Puts them in the task's order of classes.
        decoding: Completes them.
        only: The rows that predictions of as many are of, where they do not say so themselves.
    """

    def __init__(
        self, ordered: Callable[[Predictions], Predictions], decoding: Decoding, only: Rows | None = None
    ) -> None:
        self._ordered, self._decoding, self._only = ordered, decoding, only
        self._given: Predictions | None = None
        self._made: Predictions | None = None

    def __call__(self, predictions: Predictions) -> Predictions:
        """The predictions in these terms."""
        if self._made is None or self._given is not predictions:
            self._made = self._decoding.complete(self._ordered(predictions), self._raw(predictions))
            self._given = predictions
        return self._made

    def _raw(self, predictions: Predictions) -> Columns | None:
        if predictions.rows is None and self._only is not None and len(predictions.logits) == len(self._only):
            return RawColumns(self._only)
        return predictions.rows

    def evaluator(self, evaluator: Evaluator) -> Evaluator:
        """An evaluator that is given predictions in these terms."""
        return lambda predictions: evaluator(self(predictions))

    def fit(self, fit: FitResult, splits: Splits) -> FitResult:
        """A fit's result with its predictions in these terms, the rows of each split known."""
        there = {**splits.test, **splits.evaluation}
        predictions = {
            split: self._decoding.complete(self._ordered(predicted), RawColumns(there[split]))
            for split, predicted in fit.predictions.items()
        }
        return replace(fit, predictions=predictions)
