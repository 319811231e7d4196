"""What opening a data set has in common, wherever it comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ftrun.contracts import Task
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins.datasets import LabelledText, Limits
from ftrun_plugins.datasets.repositories import Opened

if TYPE_CHECKING:
    from datasets import Dataset


def first_rows(rows: Dataset, limit: int | None) -> Dataset:
    """The first `limit` rows, or all of them."""
    return rows.select(range(min(limit, len(rows)))) if limit else rows


def choose(opened: Opened, train: str, evaluation: Sequence[str], limits: Limits) -> tuple[Dataset, dict[str, Dataset]]:
    """The rows to train and to evaluate on.

    Raises:
        ExperimentError: If a split is not there.
    """
    for split in (train, *evaluation):
        if split not in opened.splits:
            known = ", ".join(opened.splits)
            raise ExperimentError(Problem(f'the data set has no split "{split}"', "dataset", f"It has: {known}."))
    rows = {split: first_rows(opened.splits[split], limits.max_eval_samples) for split in evaluation}
    return first_rows(opened.splits[train], limits.max_train_samples), rows


def labelled_task(rows: Dataset, settings: LabelledText) -> Task:
    """The task that the settings and the columns together tell.

    Raises:
        ExperimentError: If a column is missing, or the label's classes are not known.
    """
    from datasets import ClassLabel

    columns = tuple(settings.text_columns)
    for place, column in [
        *(("dataset.text_columns", name) for name in columns),
        ("dataset.label_column", settings.label_column),
    ]:
        if column not in rows.column_names:
            raise ExperimentError(
                Problem(f'there is no column "{column}"', place, f"There are: {', '.join(rows.column_names)}.")
            )
    if settings.kind == "regression":
        return Task("regression", columns, settings.label_column)
    feature = rows.features[settings.label_column]
    names: Sequence[str]
    if settings.class_names:
        names = settings.class_names
    elif isinstance(feature, ClassLabel):
        names = feature.names
    else:
        names = [str(value) for value in sorted(set(rows[settings.label_column]))]
    _check_labels(rows, settings.label_column, names)
    return Task("classification", columns, settings.label_column, tuple(names))


def with_label_ids(splits: Mapping[str, Dataset], task: Task) -> dict[str, Dataset]:
    """The rows with labels that are class ids where they were class names."""
    if task.class_names is None:
        return dict(splits)
    ids = {name: index for index, name in enumerate(task.class_names)}

    def with_ids(rows: Dataset) -> Dataset:
        from datasets import ClassLabel, Features

        column = task.label_column
        features = Features({**rows.features, column: ClassLabel(names=list(ids))})
        return rows.map(lambda row: {column: ids[str(row[column])]}, features=features)

    return {
        split: with_ids(rows) if _by_name(rows, task.label_column, task.class_names) else rows
        for split, rows in splits.items()
    }


def _by_name(rows: Dataset, column: str, names: Sequence[str]) -> bool:
    """Whether labels are names (or numbers that are not 0, 1, 2, ...) rather than class ids."""
    values = set(rows[column])
    return not values <= set(range(-1, len(names)))


def _check_labels(rows: Dataset, column: str, names: Sequence[str]) -> None:
    values = set(rows[column])
    if len(names) < 2:
        raise ExperimentError(Problem(f'all labels in column "{column}" are the same', "dataset.label_column"))
    if any(value is None for value in values):
        raise ExperimentError(Problem(f'some rows have no label in column "{column}"', "dataset.label_column"))
    unknown = sorted(
        str(value)
        for value in values
        if str(value) not in names and not (isinstance(value, int) and 0 <= value < len(names))
    )
    if unknown:
        shown = ", ".join(unknown[:5])
        raise ExperimentError(Problem(f"labels that are none of the classes: {shown}", "dataset.class_names"))
