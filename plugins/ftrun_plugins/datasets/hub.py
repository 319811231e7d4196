"""Any data set of text and labels on the Hub."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import ClassLabel, Dataset
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins.datasets import HubSettings, LabelledText
from ftrun_plugins.datasets.cutting import CUT_OFF, cut_where_none
from ftrun_plugins.datasets.holding import holds
from ftrun_plugins.datasets.inference import LABELS, header_doubts, refuse_no_header, with_columns
from ftrun_plugins.datasets.labels import labelled
from ftrun_plugins.datasets.odd_csv import csv_notices, refuse_one_cell
from ftrun_plugins.datasets.repositories import Opened, open_repository
from ftrun_plugins.datasets.rewritten import as_written
from ftrun_plugins.datasets.selection import selected, splits_named, with_splits


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
    named = (settings.train_split, asked, settings.test_splits or [])
    (name, train), _, _ = splits_named(opened, *named)
    if opened.form == "csv":
        refuse_one_cell(opened, train, name)
    columns, told = _columns(settings, train, name)
    opened = as_written(with_splits(opened, *named), columns)
    (name, train), evaluation, test = splits_named(opened, *named)
    odd = csv_notices(opened, {name: train, **evaluation, **test}, columns) if opened.form == "csv" else []
    names = {"": name, **{split: split for split in (*evaluation, *test)}}
    everything = labelled(train, evaluation, columns, names, test)
    if opened.form == "csv":
        refuse_no_header(settings, everything.task, name, "dataset.path")
        odd += header_doubts(settings, everything.task, name)
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
