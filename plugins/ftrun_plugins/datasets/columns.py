"""One split's columns, looked at as a whole: what is wrong with them, and text as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel, Dataset, DatasetInfo, Features
from datasets.table import InMemoryTable
from ftrun.errors import Problem, nearest
from ftrun.rowfiles import text_of

from ftrun_plugins.datasets import LabelledText
from ftrun_plugins.datasets.classes import Classes, as_name, is_minus_one, whole, written_otherwise
from ftrun_plugins.datasets.holding import arrow_of

FITTING = "Text, a number or a truth value fits."
SHOWN = 5
"""How many of several names a message lists."""
Places = np.ndarray[tuple[int], np.dtype[np.int64]]
"""Of rows among others, from 0."""


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


class SplitColumns:
    """One split with its columns.

    Args:
        origin: What to call it in messages, or where it comes from.
        rows: All of it.
        settings: The columns.
        is_test: Whether it may have no labels.
        places: Of the rows among all that there were; absent if these are all.
    """

    def __init__(
        self,
        origin: str | Origin,
        rows: Dataset,
        settings: LabelledText,
        is_test: bool = False,
        places: Places | None = None,
    ) -> None:
        self.origin = Origin(origin) if isinstance(origin, str) else origin
        self.name = self.origin.name
        self.places = places
        self.is_test = is_test
        self.rows = rows
        self.settings = settings
        self.label = settings.label_column
        self.feature = rows.features.get(self.label)
        self.table = arrow_of(rows)

    @property
    def has_column(self) -> bool:
        """Whether a label column is there."""
        return not set(self.settings.all_label_columns).isdisjoint(self.rows.column_names)

    @property
    def declared(self) -> Sequence[str] | None:
        """The names that the label column itself gives its ids."""
        return list(self.feature.names) if isinstance(self.feature, ClassLabel) else None

    def only(self, places: Places) -> Self:
        """The same with some rows only, which keep their numbers."""
        if len(places) == len(self.rows):
            return self
        return type(self)(self.origin, self.rows.select(places), self.settings, self.is_test, places)

    def row(self, place: int) -> str:
        """What to call the row at a place."""
        return self.origin.row(place if self.places is None else int(self.places[place]))

    def declared_problems(self) -> Iterator[Problem]:
        """That labels are places in class_names, and the column gives these places other names."""
        names, declared = self.settings.class_names, self.declared
        if not names or not declared or list(declared) in (names, [str(place) for place in range(len(declared))]):
            return
        here = "label_ids" if self.settings.label_ids else "class_names"
        message = f'{self.name} declares {_few(declared)} in column "{self.label}", and class_names has {_few(names)}'
        hint = f"Leave {here} out: the data names its classes itself" + (
            ", and class_names sets their order." if self.settings.label_ids else "."
        )
        yield Problem(message, f"dataset.{here}", hint)

    @property
    def knows_minus_one(self) -> bool:
        """Whether -1 stands for no label: the classes are known otherwise, and it is none of them."""
        settings = self.settings
        known = self.declared is not None or settings.label_ids or settings.class_names is not None
        return known and (settings.label_ids or "-1" not in (settings.class_names or ()))

    @property
    def how_to_drop(self) -> str:
        """The end of a hint about rows without a label, where a file can ask to leave them out and has not."""
        asked = self.settings.drop_unlabelled
        return " To leave such rows out: [dataset] drop_unlabelled = true." if asked is False else ""

    @property
    def labels_said(self) -> str:
        """The label columns in a message."""
        several = self.settings.label_columns
        return f"any of the columns {', '.join(several)}" if several else f'column "{self.label}"'

    def fits_labels(self, kind: pa.DataType) -> str | None:
        """What would fit as a label, where values of an Arrow type do not."""
        return None if is_plain(kind) else f'{FITTING} With several classes a row: [dataset] kind = "multi_label".'

    @property
    def label_place(self) -> str:
        """The key in the file that names the label columns."""
        return "dataset.label_columns" if self.settings.label_columns else "dataset.label_column"

    def column_problems(self) -> Iterator[Problem]:
        """What is wrong with the columns themselves."""
        if not len(self.rows):
            yield Problem(f"{self.name} has no rows", "dataset")
        places = dict.fromkeys(self.settings.text_columns, "dataset.text_columns")
        labels = self.settings.all_label_columns
        for column, place in {**places, **dict.fromkeys(labels, self.label_place)}.items():
            if column not in self.rows.column_names:
                if self.is_test and column in labels and not self.has_column:
                    continue
                close = nearest(column, self.rows.column_names)
                hint = f'Did you mean "{close}"? ' if close else ""
                hint += f"There are: {', '.join(self.rows.column_names)}."
                yield Problem(f'{self.name} has no column "{column}"', place, hint)
            elif misfit := self._misfit(kind := self.table.schema.field(column).type, column in labels):
                yield Problem(f'{self.name} has {kind} in column "{column}"', place, misfit)
            elif damage := _damage(self.table.column(column)):
                yield Problem(f'{self.name} is damaged in column "{column}": {damage}', place)

    def _misfit(self, kind: pa.DataType, is_label: bool) -> str | None:
        if is_label:
            return self.fits_labels(kind)
        return None if is_plain(kind) or pa.types.is_temporal(kind) else FITTING

    def text_problems(self) -> Iterator[Problem]:
        """Rows without their text."""
        for name in self.settings.text_columns:
            column = text_of(self.table.column(name))
            if column.null_count:
                hint = "Write an empty text there if that is meant, or leave the row out."
                yield self.first_of(pc.is_null(column), f'has no text in column "{name}"', hint, "dataset.text_columns")

    def blank_texts(self) -> Iterator[str]:
        """Sentences about rows whose text has nothing in it, or white space alone; files cannot tell that from text
        that is missing.
        """
        for name in self.settings.text_columns:
            blank = pc.equal(pc.utf8_trim_whitespace(text_of(self.table.column(name))), "")
            if count := pc.sum(blank).as_py():
                first = self.row(pc.index(blank, True).as_py())
                every = f"the {len(self.rows):,} rows of {self.name}"
                text = f'a blank text in column "{name}"'
                if count == 1:
                    yield f"1 of {every} has {text}, {first}: it is taken as it is"
                else:
                    yield f"{count:,} of {every} have {text}, the first of them {first}: they are taken as they are"

    def first_of(self, where: pa.ChunkedArray, message: str, hint: str, place: str | None = None) -> Problem:
        """A problem with some rows: the first one is named."""
        count = pc.sum(where).as_py()
        row = self.row(pc.index(where, True).as_py())
        rows = row if count == 1 else f"{count:,} rows, the first of them {row}"
        return Problem(f"{self.name} {message}: {rows}", place or self.label_place, hint)

    def unknown(self, values: Sequence[Any], classes: Classes, where: pa.ChunkedArray) -> Problem:
        """That some rows have labels which are none of the classes."""
        shown = ", ".join(f'"{self.shown(value)}"' for value in values[:SHOWN])
        more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
        known = _few(classes.names)
        close = nearest(self.shown(values[0]), classes.names)
        if classes.by_id:
            hint = f"With label_ids, labels are 0 to {len(classes.names) - 1}: the places of class_names."
            hint += self.how_to_drop if is_minus_one(values[0]) else ""
        elif classes.hint_ids and all(whole(value) is not None for value in values):
            hint = f"The classes: {known}. If the numbers are their places, from 0: [dataset] label_ids = true."
        elif classes.hint_ids:
            hint = (f'Did you mean "{close}"? ' if close else "") + f"The classes: {known}."
        elif meant := written_otherwise(self.shown(values[0]), classes.names):
            hint = f'Training has "{meant}": write the labels alike in all splits.'
        else:
            hint = f"Training has: {known}. If it is a class all the same, name all of them: [dataset] class_names."
        kind = "none of the classes" if classes.hint_ids or classes.by_id else "a class that training has not"
        return self.first_of(where, f'has {shown}{more} in column "{self.label}", {kind}', hint)

    def shown(self, value: Any) -> str:
        """A label as a person has to read it."""
        declared = self.declared
        if declared is not None and 0 <= value < len(declared):
            return str(declared[value])
        return as_name(value)

    def with_labels(self, labels: pa.ChunkedArray | pa.Array | None, feature: ClassLabel | None = None) -> Dataset:
        """The rows with text as text, and these labels, or none, in place of what the label columns hold."""
        table = self.table
        if labels is not None and self.label in table.column_names:
            table = table.set_column(table.column_names.index(self.label), self.label, labels)
        elif labels is not None:
            table = table.append_column(self.label, labels)
        kept_label = () if labels is None else (self.label,)
        spent = [name for name in self.settings.all_label_columns if name not in kept_label]
        table = table.drop_columns([name for name in spent if name in table.column_names])
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


def _few(names: Sequence[str]) -> str:
    """The first of the classes, in a message."""
    return ", ".join(names[: 2 * SHOWN]) + (", ..." if len(names) > 2 * SHOWN else "")


def is_plain(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are text, numbers or truth values."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    fits = [pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_floating]
    fits += [pa.types.is_boolean, pa.types.is_decimal, pa.types.is_null]
    return any(fit(kind) for fit in fits)


def _damage(column: pa.ChunkedArray) -> str | None:
    """What is wrong with a column that was read, such as text that is no UTF-8; nothing before looks at every byte."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        return str(error)
    return None
