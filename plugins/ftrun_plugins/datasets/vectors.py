"""Rows with any number of classes each, as a list of 0 and 1: one for every class, in one order for all rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasets import ClassLabel
from ftrun.errors import Problem

from ftrun_plugins.datasets.classes import Classes, as_name, is_minus_one, is_missing
from ftrun_plugins.datasets.columns import Places, is_plain
from ftrun_plugins.datasets.multi_label import ManyLabels, is_list, mark_of

FITTING = "A list with 0 or 1 for every class fits."
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


class LabelVectors(ManyLabels):
    """One split whose rows have a list each, with 0 or 1 for every class."""

    @cached_property
    def declared(self) -> Sequence[str] | None:
        """What the classes are called where the file does not say: as a ClassLabel has it that has a name for each of
        them, or by their places, from 0; one of two names may be for 0 and 1. None where no row has a label.
        """
        wide = self._lengths[self._any_mark]
        count = int(wide[0]) if len(wide) else 0
        inner = getattr(self.feature, "feature", None)
        names = list(inner.names) if isinstance(inner, ClassLabel) else []
        return (names if len(names) == count > 2 else [str(place) for place in range(count)]) or None

    def shown(self, value: Any) -> str:
        """A value as a person has to read it."""
        return as_name(value)

    def fits_labels(self, kind: pa.DataType) -> str | None:
        fits = pa.types.is_null(kind) or (is_list(kind) and is_plain(kind.value_type))
        return None if fits else FITTING

    @cached_property
    def _lengths(self) -> Any:
        """How many values each row has."""
        return pc.fill_null(pc.list_value_length(self.lists), 0).to_numpy(zero_copy_only=False)

    def _has_any(self, wanted: Sequence[Any]) -> Flags:
        """Which rows hold any of some values."""
        return np.asarray(self.rows_with(wanted).to_numpy(), bool)

    @cached_property
    def _held(self) -> list[Any]:
        """The distinct values in all lists."""
        held: list[Any] = pc.unique(self.each).to_pylist()
        return held

    @cached_property
    def _any_mark(self) -> Flags:
        """Which rows have something in their list, where -1 stands for nothing."""
        return self._has_any([value for value in self._held if not is_missing(value) and not is_minus_one(value)])

    def has_labels(self, known: Sequence[Any]) -> bool:
        """Whether any row of a test has a label: no list, an empty one, or one of -1 alone is none."""
        return self.has_column and bool(self._any_mark.any())

    def labelled_rows(self) -> Places:
        """The places of the rows that have a label."""
        return np.flatnonzero(self._any_mark)

    def value_problems(self) -> Iterator[Problem]:
        """Rows without a label, and what is neither 0 nor 1."""
        if not self._any_mark.all():
            hint = "Give each row a label, or none at all." if self.is_test else f"{FITTING}{self.how_to_drop}"
            yield self._first(~self._any_mark, f'has no label in column "{self.label}"', hint)
        elif wrong := [value for value in self._held if mark_of(value) is None]:
            shown = "nothing" if is_missing(wrong[0]) else f'"{self.shown(wrong[0])}"'
            message = f'has {shown} in a list in column "{self.label}", which is neither 0 nor 1'
            yield self._first(self._has_any(wrong), message, "Give each row 1 for every class that it is of, else 0.")
        elif not self.settings.class_names and (one := self._lengths == 1).any():
            message = f'has a list of 1 in column "{self.label}", and with one class there is nothing to tell apart'
            yield self._first(one, message, FITTING)

    def class_problems(self, classes: Classes) -> Iterator[Problem]:
        """Lists that are not of all the classes, or of such as the column names in another order."""
        yield from self.declared_problems()
        other = self._lengths != len(classes.names)
        if other.any():
            count = self._lengths[other][0]
            whence = "class_names has" if self.settings.class_names else "the first row to train on has"
            message = f'has a list of {count} in column "{self.label}", where {whence} {len(classes.names)} classes'
            yield self._first(other, message, FITTING)

    def _first(self, where: Flags, message: str, hint: str) -> Problem:
        return self.first_of(pa.chunked_array([pa.array(where)]), message, hint)

    def _marks_of(self, classes: Classes) -> Any:
        held = pc.unique(self.each)
        marks = np.array([bool(mark_of(value)) for value in held.to_pylist()], np.int8)
        return marks[pc.index_in(self.each, value_set=held).to_numpy()].reshape(-1, len(classes.names))
