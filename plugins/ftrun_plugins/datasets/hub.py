"""Any data set of text and labels on the Hub."""

from __future__ import annotations

import json
from collections.abc import Container, Sequence

from datasets import ClassLabel, Dataset
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, Problem
from ftrun.rowfiles import suspected_delimiter

from ftrun_plugins.datasets import HubSettings, LabelledText
from ftrun_plugins.datasets.classes import as_name
from ftrun_plugins.datasets.configurations import OTHERWISE
from ftrun_plugins.datasets.cutting import CUT_OFF, cut_where_none
from ftrun_plugins.datasets.holding import header_again, holds, rows_over_lines
from ftrun_plugins.datasets.inference import LABELS, refuse_no_header, with_columns
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.quoted import Numbers, Suspect, swallowed
from ftrun_plugins.datasets.repositories import Opened, open_repository
from ftrun_plugins.datasets.rewritten import as_written
from ftrun_plugins.datasets.selection import selected, splits_named


def build(settings: HubSettings, evaluated: bool = True) -> Splits:
    """Open the splits that the settings name.

    Args:
        settings: Which, and what they hold.
        evaluated: Whether a validation split is cut off where there is none.

    Raises:
        ExperimentError: If a split or column is not there, or the labels make no sense.
    """
    opened = open_repository(settings.path, settings.name, settings.revision)
    asked = _evaluation(settings, opened)
    (name, train), evaluation, test = splits_named(opened, settings.train_split, asked, settings.test_splits or [])
    _refuse_one_cell(opened, train, name)
    columns, told = _columns(settings, train, name)
    opened = as_written(opened, columns)
    (_, train), evaluation, test = splits_named(opened, settings.train_split, asked, settings.test_splits or [])
    read = {name: train, **evaluation, **test}
    odd = [one for split, rows in read.items() for one in _odd_rows(opened, rows, split, columns)]
    names = {"": name, **{split: split for split in (*evaluation, *test)}}
    everything = labelled(train, evaluation, columns, names, test)
    if opened.form == "csv":
        refuse_no_header(settings, everything.task, name, "dataset.path")
    cut = cut_where_none(everything, settings, name, opened.digest, evaluated)
    used, notices = selected(cut.rows, settings, name)
    return Splits(
        task=used.task,
        train=used.train,
        evaluation=used.evaluation,
        name=f"{settings.path}/{settings.name}" if settings.name else settings.path,
        source=opened.source,
        digest=opened.digest,
        notices=[*opened.notices, *told, *odd, *notices],
        train_split=name,
        test=used.test,
        test_at_end=list(test),
        digests=cut.digests,
    )


def _evaluation(settings: HubSettings, opened: Opened) -> Sequence[str]:
    """The splits to evaluate on; none where one is to be cut off."""
    if settings.evaluation_splits is not None:
        return settings.evaluation_splits
    if CUT_OFF not in opened.splits:
        return []
    if settings.validation_size is not None:
        message = f"the data set has a split {CUT_OFF}, and validation_size would cut off another one"
        hint = 'Leave it out; or take parts: train_split = "train[:90%]", evaluation_splits = ["train[90%:]"].'
        raise ExperimentError(Problem(message, "dataset.validation_size", hint))
    return [CUT_OFF]


def _delimiter(opened: Opened) -> str:
    return str(opened.options.get("sep") or opened.options.get("delimiter") or ",")


def _refuse_one_cell(opened: Opened, train: Dataset, name: str) -> None:
    """Refuse CSV whose cells stand apart by something else than the data set says."""
    if opened.form == "csv" and (mark := suspected_delimiter(train.column_names, _delimiter(opened))):
        message = f"the header of {name} is one cell, {train.column_names[0]!r}"
        hint = f"Is {json.dumps(mark)} between its cells? {OTHERWISE}"
        raise ExperimentError(Problem(message, "dataset.path", hint))


def _odd_rows(opened: Opened, rows: Dataset, name: str, columns: LabelledText) -> Sequence[str]:
    """A sentence about rows of CSV that a stray `"` seems to have made one of.

    Raises:
        ExperimentError: If one is the header.
    """
    if opened.form != "csv":
        return []
    if (place := header_again(rows)) is not None:
        hint = "Of files that are put together the first alone keeps its header."
        raise ExperimentError(Problem(f"row {place + 1:,} of {name} is the header again", "dataset.path", hint))
    over_lines = rows_over_lines(rows, _delimiter(opened))
    suspects = [Suspect(f"row {place + 1:,} of {name}", inside) for place, inside in over_lines]
    if not suspects:
        return []
    known: dict[int, Container[str]] = {}
    for place, column in enumerate(rows.column_names):
        if column in columns.all_label_columns:
            names = getattr(rows.features[column], "names", None) or ()
            labels = {as_name(value).strip() for value in rows.unique(column) if value is not None}
            known[place] = Numbers() if columns.kind == "regression" else labels.union(names)
    return swallowed(suspects, known, 'read the files with [dataset] use = "files" and quoting = false')


def _columns(settings: HubSettings, train: Dataset, name: str) -> tuple[LabelledText, Sequence[str]]:
    """The columns that are wanted; looked for in the training split where they are not said."""
    if settings.text_columns is not None and settings.label_named:
        return settings.with_columns(settings.text_columns, settings.label_named), []
    if settings.text_columns is not None and LABELS[0] in train.column_names:
        return settings.with_columns(settings.text_columns, LABELS[0]), []
    table = train.with_format("arrow")
    found = {
        column: "values" if isinstance(train.features[column], ClassLabel) else holds(table[column][:])
        for column in train.column_names
    }
    return with_columns(settings, found, name)
