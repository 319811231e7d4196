"""What a look at an experiment's data and model finds, typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Lengths:
    """Tokens of the rows of a split, before any is cut.

    Attributes:
        rows: Rows that were looked at; of a large split these are spread over all of it.
        median, most: Tokens of the row in the middle, and of the one that 95 % are no longer than.
        longest: Tokens of the longest row.
        cut: Rows that are longer than the model takes; None where the model does not say what it takes.
    """

    rows: int
    median: int
    most: int
    longest: int
    cut: int | None


@dataclass(frozen=True)
class Numbers:
    """The labels of a regression."""

    lowest: float
    mean: float
    highest: float


@dataclass(frozen=True)
class SplitFacts:
    """One split.

    Attributes:
        name: As the data set has it; context: "training", "evaluation" or "test", as in MLflow.
        rows: How many there are.
        labels: Labels of each class by name, or the range of a regression's labels; None where there are no labels, or
            for a kind of task that has neither.
        lengths: None where the model does not tell lengths.
        loss: The mean loss of one batch, before any training; None where there are no labels.
        counted: What the share of a class is of: rows, or where each place in a row has a label, these.
    """

    name: str
    context: str
    rows: int
    labels: Mapping[str, int] | Numbers | None
    lengths: Lengths | None
    loss: float | None
    counted: int


@dataclass(frozen=True)
class Inspection:
    """Data and model of an experiment, opened, and one batch of each split put through the model.

    Attributes:
        splits: The training split first.
        max_length: Tokens that the model takes; None where it does not say.
        parameters, trainable: Numbers that the model consists of, and those of them that are trained.
        is_cut_by_setting: Whether a key of `[model]`, `max_length`, says after how many tokens a row is cut.
    """

    splits: Sequence[SplitFacts]
    max_length: int | None
    parameters: int
    trainable: int
    is_cut_by_setting: bool = False
