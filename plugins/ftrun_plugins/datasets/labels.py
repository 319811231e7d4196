"""What a row's label is, decided once for all splits; text as text, and labels as a model takes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset
from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import decoded

from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.classes import (
    Classes,
    as_name,
    in_order,
    is_minus_one,
    is_missing,
    odd_classes,
    whole_and_not,
    words_for_nothing,
)
from ftrun_plugins.datasets.columns import Origin, Places, SplitColumns
from ftrun_plugins.datasets.multi_label import ManyLabels
from ftrun_plugins.datasets.vectors import LabelVectors

LARGEST_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True)
class Labelled:
    """Rows whose text is text and whose labels are class ids, or numbers.

    Attributes:
        task: What they ask of a model.
        train: Rows to train on; evaluation: rows to evaluate on by split.
        notices: What a person should know of the labels.
        test: Rows for a test by split; without a label column where none has a label.
    """

    task: Task
    train: Dataset
    evaluation: Mapping[str, Dataset]
    notices: Sequence[str] = ()
    test: Mapping[str, Dataset] = field(default_factory=dict)


def labelled(
    train: Dataset,
    evaluation: Mapping[str, Dataset],
    settings: LabelledText,
    names: Mapping[str, str | Origin],
    test: Mapping[str, Dataset] | None = None,
) -> Labelled:
    """Decide what the classes are, and bring every split to them.

    The classes are `class_names`; else those that the training split declares (ClassLabel); else the values of its
    label column, numbers in their order and text in its own. A row's class is that of this name; its label is taken for
    a class id only where the data declares it (ClassLabel) or the file does (`label_ids`).

    Args:
        train: Rows to train on, all of them: a class may be in rows that are not used.
        evaluation: Rows to evaluate on by split.
        settings: The columns, and what the labels are.
        names: What to call each split in messages, or where it comes from; the training split under "".
        test: Rows for a test by split; each has labels in all rows, or in none: no label column, or only blanks or -1.

    Raises:
        ExperimentError: With everything that is wrong with columns, text and labels, and where.
    """
    kind: type[_OneLabel | ManyLabels] = ManyLabels if settings.kind == "multi_label" else _OneLabel
    kind = LabelVectors if settings.label_vectors else kind
    splits = [kind(names[split], rows, settings) for split, rows in {"": train, **evaluation}.items()]
    tests = {split: kind(names[split], rows, settings, is_test=True) for split, rows in (test or {}).items()}
    every = [*splits, *tests.values()]
    _raise(problem for split in every for problem in split.column_problems())
    of_training = [value for value in splits[0].values if not (splits[0].knows_minus_one and is_minus_one(value))]
    known = {split: one for split, one in tests.items() if one.has_labels(of_training)}
    hidden = {split: one for split, one in tests.items() if split not in known}
    _raise(problem for split in hidden.values() for problem in split.text_problems())
    splits, dropped = _without_unlabelled(splits) if settings.drop_unlabelled else (splits, [])
    splits += known.values()
    _raise(problem for split in splits for problem in (*split.text_problems(), *split.value_problems()))
    _raise(splits[0].doubt() if isinstance(splits[0], ManyLabels) else iter(()))
    rows, class_names, told = _brought_together(splits, settings)
    blank = [sentence for split in (*splits, *hidden.values()) for sentence in split.blank_texts()]
    notices = [*dropped, *told, *blank]
    task = Task(settings.kind, tuple(settings.text_columns), settings.label_column, class_names)
    notices += [f'{one.name} has no column "{one.label}"' for one in hidden.values() if not one.has_column]
    named = dict(zip([*evaluation, *known], rows[1:], strict=True))
    bare = {split: one.without_labels() for split, one in hidden.items()}
    return Labelled(
        task,
        rows[0],
        {split: named[split] for split in evaluation},
        notices,
        {split: named[split] if split in known else bare[split] for split in tests},
    )


def _without_unlabelled(
    splits: Sequence[_OneLabel | ManyLabels],
) -> tuple[list[_OneLabel | ManyLabels], list[str]]:
    """The splits without the rows that have no label, and sentences that count them."""
    kept = [split.labelled_rows() for split in splits]
    _raise(
        Problem(f"{split.name} has no row with a label in {split.labels_said}", "dataset.drop_unlabelled")
        for split, rows in zip(splits, kept, strict=True)
        if not len(rows)
    )
    notices = []
    for split, rows in zip(splits, kept, strict=True):
        every, left = len(split.rows), len(split.rows) - len(rows)
        if left:
            notices.append(f"{left:,} of the {every:,} rows of {split.name} have no label and are left out")
    notices += _minus_one_as_class(splits[0])
    return [split.only(rows) for split, rows in zip(splits, kept, strict=True)], notices


def _minus_one_as_class(train: _OneLabel | ManyLabels) -> list[str]:
    """A sentence if -1 is a class to be learned, where a file asks for rows without a label to be left out."""
    settings = train.settings
    if settings.kind == "regression" or settings.label_vectors or settings.class_names or train.knows_minus_one:
        return []
    if not (found := [value for value in train.values if is_minus_one(value)]):
        return []
    count = pc.sum(train.rows_with(found)).as_py()
    return [
        f"{as_name(found[0])} is a class of its own here, of {count:,} of the {len(train.rows):,} rows of "
        f"{train.name}: if it stands for no label, name the classes: [dataset] class_names"
    ]


def _brought_together(
    splits: Sequence[_OneLabel | ManyLabels], settings: LabelledText
) -> tuple[list[Dataset], tuple[str, ...] | None, list[str]]:
    """The rows of all splits with their labels, the classes that they share, and what there is to know of these."""
    if settings.kind == "regression":
        return [split.with_numbers() for split in splits if isinstance(split, _OneLabel)], None, []
    classes = Classes(_class_names(splits[0], settings), settings)
    _raise(problem for split in splits for problem in split.class_problems(classes))
    notices = odd_classes(classes.names, len(splits[0].rows), settings.label_column)
    if not (settings.label_columns or settings.class_names or splits[0].declared):
        notices += words_for_nothing(classes.names)
    return [split.with_ids(classes) for split in splits], tuple(classes.names), notices


def _raise(problems: Iterator[Problem]) -> None:
    if found := list(problems):
        raise ExperimentError(*found)


def _class_names(train: _OneLabel | ManyLabels, settings: LabelledText) -> tuple[str, ...]:
    if told := settings.label_columns or settings.class_names or train.declared:
        names = tuple(told)
        few = f'column "{train.label}" declares one class alone, "{names[0]}"'
    else:
        names = tuple(as_name(value) for value in sorted(train.values, key=in_order))
        few = f'all labels in column "{train.label}" are the same, "{names[0]}"' if names else "no row has a label"
        _raise(_written_twice(train, names))
    if len(names) < 2:
        raise ExperimentError(Problem(f"{train.name}: {few}", "dataset.label_column"))
    return names


def _written_twice(train: _OneLabel | ManyLabels, names: Sequence[str]) -> Iterator[Problem]:
    """Text in which a whole number stands with a fraction of 0, too, as pandas writes it where a cell is missing."""
    for one, other in whole_and_not(names):
        message = f'has "{other}" in column "{train.label}", and "{one}" in other rows'
        hint = "Write a number alike in all rows; if they are two classes, name all of them: [dataset] class_names."
        yield train.first_of(train.rows_with([other]), message, hint)


class _OneLabel(SplitColumns):
    """One split whose rows have a label each."""

    @cached_property
    def column(self) -> pa.ChunkedArray:
        return decoded(self.table.column(self.label))

    @cached_property
    def values(self) -> list[Any]:
        """The distinct values of the label column."""
        values: list[Any] = pc.unique(self.column).to_pylist()
        return values

    def has_labels(self, known: Sequence[Any]) -> bool:
        """Whether any row of a test has a label: -1, where that is none of those known of training, stands for none."""
        if not self.has_column:
            return False
        told = [value for value in self.values if not is_missing(value)]
        return any(not is_minus_one(value) for value in told) or any(map(is_minus_one, known if told else ()))

    # ------------------------------------------------------------ rows without a label

    def labelled_rows(self) -> Places:
        """The places of the rows that have a label."""
        missing = [value for value in self.values if self._is_no_label(value)]
        if not missing:
            return np.arange(len(self.rows))
        column = self.column
        lacks = pc.or_(pc.fill_null(self.rows_with(missing), True), pc.is_null(column))
        return np.flatnonzero(~lacks.to_numpy())

    def _is_no_label(self, value: Any) -> bool:
        """A blank one, or -1 where the classes are known otherwise and it is none of them."""
        return is_missing(value) or (self.knows_minus_one and is_minus_one(value))

    # ------------------------------------------------------------ what is wrong

    def value_problems(self) -> Iterator[Problem]:
        """What can be no class, whatever the classes are, or no number."""
        if self.settings.kind == "regression":
            yield from self.number_problems()
            return
        raw = self.table.column(self.label)
        if pa.types.is_decimal(raw.type) and len(pc.unique(raw)) > len(self.values):
            hint = "Write them as text, or as whole numbers."
            yield Problem(
                f'{self.name} has {raw.type} in column "{self.label}", too long for classes', self.label_place, hint
            )
        missing = [value for value in self.values if is_missing(value)]
        if self.declared is not None:
            missing += [value for value in self.values if value == -1]  # as `datasets` has rows without a label
        if missing:
            hint = f"Give each row a label, or leave it out.{self.how_to_drop}"
            if self.declared is not None:
                hint = "-1 stands for a label that is kept secret: train and evaluate on other splits."
                hint += self.how_to_drop
            if self.is_test:
                hint = "Give each row a label, or none at all."
            yield self.first_of(self.rows_with(missing), f'has no label in column "{self.label}"', hint)
        if fractions := [value for value in self.values if isinstance(value, float) and value % 1]:
            hint = 'Numbers to be predicted as such: [dataset] kind = "regression".'
            yield self.first_of(
                self.rows_with(fractions), f'has {fractions[0]} in column "{self.label}", which is no class', hint
            )

    def class_problems(self, classes: Classes) -> Iterator[Problem]:
        """Labels that are none of the classes, or that the column declares to be other ones."""
        if classes.by_id:
            yield from self.declared_problems()
        if unknown := [value for value in self.values if classes(value, self.declared) is None]:
            yield self.unknown(unknown, classes, self.rows_with(unknown))

    def number_problems(self) -> Iterator[Problem]:
        column = self.column
        if self.declared is not None or pa.types.is_boolean(column.type):
            hint = 'Predict classes: kind = "classification".'
            yield Problem(f'{self.name} has classes in column "{self.label}", not numbers', "dataset.kind", hint)
            return
        missing = pc.is_null(column)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            missing = pc.or_(missing, pc.equal(pc.utf8_trim_whitespace(column), ""))
        elif pa.types.is_floating(column.type):
            missing = pc.or_(missing, pc.fill_null(pc.is_nan(column), False))
        missing = pc.fill_null(missing, True)
        if pc.any(missing).as_py():
            hint = "Give each row a number" + (", or none at all." if self.is_test else f".{self.how_to_drop}")
            yield self.first_of(missing, f'has no label in column "{self.label}"', hint)
            return
        if bad := next(((row, cell) for row, cell in self._unreadable_numbers()), None):
            row, cell = bad
            comma = isinstance(cell, str) and "," in cell
            hint = "Write it with a point." if comma else 'For names of classes: kind = "classification".'
            message = (
                f'{self.name} has {cell!r} in column "{self.label}", {self.row(row)}, which is no finite float32 number'
            )
            yield Problem(message, "dataset.label_column", hint)

    def _unreadable_numbers(self) -> Iterator[tuple[int, Any]]:
        """Cells that are no number, with their rows; looked at one by one only where there are some."""
        numbers = _numbers(self.column)
        if numbers is not None and pc.all(_is_float32(numbers)).as_py():
            return
        for row, cell in enumerate(self.column.to_pylist()):
            single = _numbers(pa.chunked_array([pa.array([cell])]))
            if single is None or not _is_float32(single)[0].as_py():
                yield row, cell

    def rows_with(self, values: Sequence[Any]) -> pa.ChunkedArray:
        """Which rows have one of these labels."""
        column = self.column
        found = pc.is_in(column, value_set=pa.array(values, column.type))
        if any(value != value for value in values):
            found = pc.or_(found, pc.fill_null(pc.is_nan(column), False))
        return found

    # ------------------------------------------------------------ as the model takes them

    def with_ids(self, classes: Classes) -> Dataset:
        column = self.column
        values = pc.unique(column)
        ids = pa.array([classes(value, self.declared) for value in values.to_pylist()], pa.int64())
        labels = pc.take(ids, pc.index_in(column, value_set=values))
        return self.with_labels(labels, ClassLabel(names=list(classes.names)))

    def with_numbers(self) -> Dataset:
        labels = _numbers(self.column)
        assert labels is not None
        return self.with_labels(labels)

    def without_labels(self) -> Dataset:
        return self.with_labels(None)


def _is_float32(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.less_equal(pc.abs(numbers), LARGEST_FLOAT32)  # false for NaN, too


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as float64; None if something in it is no number."""
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.utf8_trim_whitespace(column)
        return column.cast(pa.float64(), safe=False)  # of whole numbers above 2^53 the nearest
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
