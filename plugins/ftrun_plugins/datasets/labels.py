"""What a row's label is, decided once for all splits; text as text, and labels as a model takes them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetInfo, Features
from datasets.table import InMemoryTable
from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem, nearest
from ftrun.rowfiles import as_text, decoded, text_of

from ftrun_plugins.datasets import LabelledText

LARGEST_FLOAT32 = 3.4028234663852886e38
SHOWN = 5
"""How many of several names a message lists."""
MANY_CLASSES = 50
"""So many, and hardly two rows of each, are worth a question."""


@dataclass(frozen=True)
class Origin:
    """Where the rows of a split come from, for messages.

    Attributes:
        name: What to call the split.
        parts: The names of its files and how many rows each has, where it is of several.
    """

    name: str
    parts: Sequence[tuple[str, int]] = ()

    def row(self, place: int) -> str:
        """What to call the row at a place."""
        for name, rows in self.parts:
            if place < rows:
                return f"row {place + 1} of {name}"
            place -= rows
        return f"row {place + 1}"


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
    splits = [_Split(names[split], rows, settings) for split, rows in {"": train, **evaluation}.items()]
    tests = {split: _Split(names[split], rows, settings, is_test=True) for split, rows in (test or {}).items()}
    every = [*splits, *tests.values()]
    _raise(problem for split in every for problem in split.column_problems())
    known = {split: one for split, one in tests.items() if one.has_labels(splits[0])}
    hidden = {split: one for split, one in tests.items() if split not in known}
    _raise(problem for split in hidden.values() for problem in split.text_problems())
    splits, dropped = _without_unlabelled(splits) if settings.drop_unlabelled else (splits, [])
    splits += known.values()
    if settings.kind == "regression":
        _raise(problem for split in splits for problem in (*split.text_problems(), *split.number_problems()))
        task = Task("regression", tuple(settings.text_columns), settings.label_column)
        rows, notices = [split.with_numbers() for split in splits], []
    else:
        _raise(problem for split in splits for problem in (*split.text_problems(), *split.value_problems()))
        classes = _Classes(_class_names(splits[0], settings), settings)
        _raise(problem for split in splits for problem in split.class_problems(classes))
        task = Task("classification", tuple(settings.text_columns), settings.label_column, tuple(classes.names))
        rows, notices = [split.with_ids(classes) for split in splits], _odd_classes(classes.names, splits[0])
    notices = [*dropped, *notices]
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


def _without_unlabelled(splits: Sequence[_Split]) -> tuple[list[_Split], list[str]]:
    """The splits without the rows that have no label, and sentences that count them."""
    kept = [split.labelled_rows() for split in splits]
    _raise(
        Problem(f'{split.name} has no row with a label in column "{split.label}"', "dataset.drop_unlabelled")
        for split, rows in zip(splits, kept, strict=True)
        if not len(rows)
    )
    notices = []
    for split, rows in zip(splits, kept, strict=True):
        every, left = len(split.rows), len(split.rows) - len(rows)
        if left:
            notices.append(f"{left:,} of the {every:,} rows of {split.name} have no label and are left out")
    return [split.only(rows) for split, rows in zip(splits, kept, strict=True)], notices


def _raise(problems: Iterator[Problem]) -> None:
    if found := list(problems):
        raise ExperimentError(*found)


def _class_names(train: _Split, settings: LabelledText) -> tuple[str, ...]:
    if settings.class_names:
        return tuple(settings.class_names)
    if isinstance(train.feature, ClassLabel):
        return tuple(train.feature.names)
    names = tuple(as_name(value) for value in sorted(train.values, key=_order))
    if len(names) < 2:
        message = f'{train.name}: all labels in column "{train.label}" are the same, "{names[0]}"'
        raise ExperimentError(Problem(message, "dataset.label_column"))
    return names


def _odd_classes(names: Sequence[str], train: _Split) -> list[str]:
    """Sentences about classes that are hardly meant."""
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(" ".join(name.casefold().split()), []).append(name)
    notices = [
        f"the classes {', '.join(map(repr, group))} differ in nothing but case or spaces"
        for group in alike.values()
        if len(group) > 1
    ]
    rows = len(train.rows)
    if len(names) > MANY_CLASSES and 2 * len(names) > rows:
        notices.append(f'there are {len(names):,} classes in {rows:,} rows; is "{train.label}" the label column?')
    return notices


def _order(value: Any) -> tuple[float, str]:
    """Numbers in their order, also where a file has them as text, and before them no text."""
    name = as_name(value)
    try:
        number = float(name)
    except ValueError:
        number = math.inf
    return (number if number == number else math.inf), name


def as_name(value: Any) -> str:
    """The name of the class that a value of a label column stands for: as the file has it."""
    return value if isinstance(value, str) else as_text(value)


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _is_minus_one(value: Any) -> bool:
    return not isinstance(value, bool) and as_name(value).strip() in ("-1", "-1.0")


class _Classes:
    """The one map from labels to class ids."""

    def __init__(self, names: Sequence[str], settings: LabelledText) -> None:
        self.names = names
        self.by_id = settings.label_ids
        self.hint_ids = not settings.label_ids and settings.class_names is not None
        self._ids = {name: index for index, name in enumerate(names)}

    def __call__(self, value: Any, declared: Sequence[str] | None) -> int | None:
        """The id of a value's class; None if it is none of them.

        Args:
            value: As the column has it.
            declared: The names that a ClassLabel column gives its ids.
        """
        if self.by_id:
            number = _whole(value)
            return number if number is not None and 0 <= number < len(self.names) else None
        if declared is not None:
            return self._ids.get(declared[value]) if 0 <= value < len(declared) else None
        return next((self._ids[name] for name in _spellings(value) if name in self._ids), None)


def _whole(value: Any) -> int | None:
    """The class id that a cell or a number, which has no fraction, is."""
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _spellings(value: Any) -> Sequence[str]:
    """A value's name, and those of the same value in a column of another type: 1 is 1.0, true is True."""
    name = as_name(value)
    if isinstance(value, bool):
        return (name, name.capitalize(), name.upper())
    whole = None if isinstance(value, str) else _whole(value)
    return (name,) if whole is None else (name, str(whole), f"{whole}.0")


class _Split:
    """One split with its columns, looked at as a whole."""

    def __init__(
        self,
        origin: str | Origin,
        rows: Dataset,
        settings: LabelledText,
        is_test: bool = False,
        places: np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
    ) -> None:
        self.origin = Origin(origin) if isinstance(origin, str) else origin
        self.name = self.origin.name
        self.places = places  # of the rows among all that there were
        self.is_test = is_test
        self.rows = rows
        self.settings = settings
        self.label = settings.label_column
        self.feature = rows.features.get(self.label)
        self.table: pa.Table = rows.data.table if rows._indices is None else rows.with_format("arrow")[:]

    @property
    def has_column(self) -> bool:
        """Whether the label column is there."""
        return self.label in self.rows.column_names

    @cached_property
    def column(self) -> pa.ChunkedArray:
        return decoded(self.table.column(self.label))

    @property
    def declared(self) -> Sequence[str] | None:
        """The names that the label column itself gives its ids."""
        return list(self.feature.names) if isinstance(self.feature, ClassLabel) else None

    @cached_property
    def values(self) -> list[Any]:
        """The distinct values of the label column."""
        values: list[Any] = pc.unique(self.column).to_pylist()
        return values

    def has_labels(self, train: _Split) -> bool:
        """Whether any row of a test has a label: -1, where training has no such label, stands for none."""
        if not self.has_column:
            return False
        told = [value for value in self.values if not _is_missing(value)]
        return any(not _is_minus_one(value) for value in told) or any(map(_is_minus_one, train.values if told else ()))

    # ------------------------------------------------------------ rows without a label

    def labelled_rows(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The places of the rows that have a label."""
        missing = [value for value in self.values if self._is_no_label(value)]
        if not missing:
            return np.arange(len(self.rows))
        column = self.column
        lacks = pc.or_(pc.fill_null(self._is_any(missing), True), pc.is_null(column))
        return np.flatnonzero(~lacks.to_numpy())

    def _is_no_label(self, value: Any) -> bool:
        """A blank one, or -1 where the classes are known otherwise and it is none of them."""
        if _is_missing(value):
            return True
        settings = self.settings
        known = self.declared is not None or settings.label_ids or settings.class_names is not None
        named = not settings.label_ids and "-1" in (settings.class_names or ())
        return known and not named and _is_minus_one(value)

    def only(self, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> _Split:
        """The same with some rows only, which keep their numbers."""
        if len(places) == len(self.rows):
            return self
        return _Split(self.origin, self.rows.select(places), self.settings, self.is_test, places)

    def row(self, place: int) -> str:
        """What to call the row at a place."""
        return self.origin.row(place if self.places is None else int(self.places[place]))

    # ------------------------------------------------------------ what is wrong

    def column_problems(self) -> Iterator[Problem]:
        if not len(self.rows):
            yield Problem(f"{self.name} has no rows", "dataset")
        places = dict.fromkeys(self.settings.text_columns, "dataset.text_columns")
        for column, place in {**places, self.label: "dataset.label_column"}.items():
            if column not in self.rows.column_names:
                if self.is_test and column == self.label:
                    continue
                close = nearest(column, self.rows.column_names)
                hint = f'Did you mean "{close}"? ' if close else ""
                hint += f"There are: {', '.join(self.rows.column_names)}."
                yield Problem(f'{self.name} has no column "{column}"', place, hint)
            elif not _fits(kind := self.table.schema.field(column).type, column == self.label):
                hint = "Text, a number or a truth value fits; several labels a row are not there yet."
                yield Problem(f'{self.name} has {kind} in column "{column}"', place, hint)
            elif damage := _damage(self.table.column(column)):
                yield Problem(f'{self.name} is damaged in column "{column}": {damage}', place)

    def text_problems(self) -> Iterator[Problem]:
        for name in self.settings.text_columns:
            column = self.table.column(name)
            if column.null_count:
                hint = "Write an empty text there if that is meant, or leave the row out."
                yield self._first_of(
                    pc.is_null(column), f'has no text in column "{name}"', hint, "dataset.text_columns"
                )

    def value_problems(self) -> Iterator[Problem]:
        """What can be no class, whatever the classes are."""
        missing = [value for value in self.values if _is_missing(value)]
        if self.declared is not None:
            missing += [value for value in self.values if value == -1]  # as `datasets` has rows without a label
        if missing:
            hint = f"Give each row a label, or leave it out.{self._how_to_drop}"
            if self.declared is not None:
                hint = "-1 stands for a label that is kept secret: train and evaluate on other splits."
                hint += self._how_to_drop
            if self.is_test:
                hint = "Give each row a label, or none at all."
            yield self._first_of(self._is_any(missing), f'has no label in column "{self.label}"', hint)
        if fractions := [value for value in self.values if isinstance(value, float) and value % 1]:
            hint = 'Numbers to be predicted as such: [dataset] kind = "regression".'
            yield self._first_of(
                self._is_any(fractions), f'has {fractions[0]} in column "{self.label}", which is no class', hint
            )

    def class_problems(self, classes: _Classes) -> Iterator[Problem]:
        if unknown := [value for value in self.values if classes(value, self.declared) is None]:
            yield self._unknown(unknown, classes)

    def _unknown(self, values: Sequence[Any], classes: _Classes) -> Problem:
        shown = ", ".join(f'"{self._shown(value)}"' for value in values[:SHOWN])
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        known = ", ".join(classes.names[: 2 * SHOWN]) + (", ..." if len(classes.names) > 2 * SHOWN else "")
        close = nearest(self._shown(values[0]), classes.names)
        if classes.by_id:
            hint = f"With label_ids, labels are 0 to {len(classes.names) - 1}: the places of class_names."
            hint += self._how_to_drop if _is_minus_one(values[0]) else ""
        elif classes.hint_ids and all(_whole(value) is not None for value in values):
            hint = f"The classes: {known}. If the numbers are their places, from 0: [dataset] label_ids = true."
        elif classes.hint_ids:
            hint = (f'Did you mean "{close}"? ' if close else "") + f"The classes: {known}."
        else:
            hint = f"Training has: {known}. If it is a class all the same, name all of them: [dataset] class_names."
        kind = "none of the classes" if classes.hint_ids or classes.by_id else "a class that training has not"
        return self._first_of(self._is_any(values), f'has {shown}{more} in column "{self.label}", {kind}', hint)

    def _shown(self, value: Any) -> str:
        declared = self.declared
        if declared is not None and 0 <= value < len(declared):
            return str(declared[value])
        return as_name(value)

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
            hint = "Give each row a number" + (", or none at all." if self.is_test else f".{self._how_to_drop}")
            yield self._first_of(missing, f'has no label in column "{self.label}"', hint)
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

    def _first_of(
        self, where: pa.ChunkedArray, message: str, hint: str, place: str = "dataset.label_column"
    ) -> Problem:
        """A problem with some rows: the first one is named."""
        count = pc.sum(where).as_py()
        row = self.row(pc.index(where, True).as_py())
        rows = row if count == 1 else f"{count:,} rows, the first of them {row}"
        return Problem(f"{self.name} {message}: {rows}", place, hint)

    @property
    def _how_to_drop(self) -> str:
        asked = self.settings.drop_unlabelled
        return " To leave such rows out: [dataset] drop_unlabelled = true." if asked is False else ""

    def _is_any(self, values: Sequence[Any]) -> pa.ChunkedArray:
        column = self.column
        found = pc.is_in(column, value_set=pa.array(values, column.type))
        if any(value != value for value in values):
            found = pc.or_(found, pc.fill_null(pc.is_nan(column), False))
        return found

    # ------------------------------------------------------------ as the model takes them

    def with_ids(self, classes: _Classes) -> Dataset:
        column = self.column
        values = pc.unique(column)
        ids = pa.array([classes(value, self.declared) for value in values.to_pylist()], pa.int64())
        labels = pc.take(ids, pc.index_in(column, value_set=values))
        return self._with(labels, ClassLabel(names=list(classes.names)))

    def with_numbers(self) -> Dataset:
        labels = _numbers(self.column)
        assert labels is not None
        return self._with(labels, None)

    def without_labels(self) -> Dataset:
        return self._with(None, None)

    def _with(self, labels: pa.ChunkedArray | None, feature: ClassLabel | None) -> Dataset:
        table = self.table
        if labels is not None:
            table = table.set_column(table.column_names.index(self.label), self.label, labels)
        elif self.label in table.column_names:
            table = table.drop_columns([self.label])
        for name in self.settings.text_columns:
            table = table.set_column(table.column_names.index(name), name, text_of(self.table.column(name)))
        table = table.replace_schema_metadata(None)
        features = Features.from_arrow_schema(table.schema)
        kept = {name: self.rows.features[name] for name in table.column_names if name in self.rows.features}
        features.update({name: kept[name] for name in kept if name not in (*self.settings.text_columns, self.label)})
        if feature is not None:
            features[self.label] = feature
        # a fingerprint of its own: `datasets` would hash the whole table to make one up
        fingerprint = f"{self.rows._fingerprint}-labelled"
        return Dataset(InMemoryTable(table), info=DatasetInfo(features=features), fingerprint=fingerprint)


def _fits(kind: pa.DataType, label: bool) -> bool:
    """Whether values of an Arrow type can be text, or labels."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    fits = [pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating]
    fits += [pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null, *([] if label else [pa.types.is_temporal])]
    return any(fit(kind) for fit in fits)


def _damage(column: pa.ChunkedArray) -> str | None:
    """What is wrong with a column that was read, such as text that is no UTF-8; nothing before looks at every byte."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _is_float32(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.less_equal(pc.abs(numbers), LARGEST_FLOAT32)  # false for NaN, too


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as float64; None if something in it is no number."""
    try:
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            column = pc.utf8_trim_whitespace(column)
        return column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
