"""What figures and tables show, counted: class by class, pair by pair, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def confusion(labels: Ints, said: Ints, classes: int) -> Ints:
    """Rows by their true class and, in its columns, the predicted one."""
    return np.bincount(labels * classes + said, minlength=classes * classes).reshape(classes, classes)


class Confused(NamedTuple):
    """Rows of one class that were taken for another: how many, and the share of all of that class."""

    label: int
    said: int
    rows: int
    share: float


def most_confused(labels: Ints, said: Ints, classes: int, most: int) -> list[Confused]:
    """The pairs of classes that are confused most often, at most so many, the most frequent first."""
    wrong = labels != said
    pairs, counts = np.unique(labels[wrong] * classes + said[wrong], return_counts=True)
    support = np.bincount(labels, minlength=classes)
    found = []
    for place in np.argsort(-counts, kind="stable")[:most]:
        label, other = divmod(int(pairs[place]), classes)
        found.append(Confused(label, other, int(counts[place]), float(counts[place] / support[label])))
    return found


@dataclass(frozen=True)
class ByClass:
    """Scores of every class; 0 where a division by 0 would be, as scikit-learn's `zero_division=0`.

    Attributes:
        support: Rows of the class.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    support: Ints


def by_class(labels: Ints, said: Ints, classes: int) -> ByClass:
    """The scores of every class."""
    support, taken = np.bincount(labels, minlength=classes), np.bincount(said, minlength=classes)
    return _scores(support, taken, np.bincount(labels[labels == said], minlength=classes))


def by_class_of_many(labels: Ints, said: Ints) -> ByClass:
    """The scores of every class, where a row has any number: 0 or 1 by row and class."""
    return _scores(labels.sum(axis=0), said.sum(axis=0), (labels * said).sum(axis=0))


def _scores(support: Ints, taken: Ints, hits: Ints) -> ByClass:
    f1 = 2 * hits / np.maximum(support + taken, 1)
    return ByClass(hits / np.maximum(taken, 1), hits / np.maximum(support, 1), f1, support)


@dataclass(frozen=True)
class RankedCurve:
    """Precision over recall as ever more rows are taken for the class, those of equal probability together.

    Attributes:
        average_precision: The area below it in steps, as scikit-learn's `average_precision_score`.
    """

    recall: Floats
    precision: Floats
    average_precision: float


def precision_over_recall(there: NDArray[np.bool_], probability: Floats) -> RankedCurve:
    """The curve of one class, of which there must be a row.

    Args:
        there: Which rows are of it.
        probability: How probable that was said to be.
    """
    order = np.argsort(-probability, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    hits = np.cumsum(there[order])[ends]
    precision, recall = hits / (ends + 1), hits / hits[-1]
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return RankedCurve(np.append(0.0, recall), np.append(precision[0], precision), average)


@dataclass(frozen=True)
class Reliability:
    """How often rows are right, by how probable that was said to be.

    Attributes:
        edges: Of the bins, one more than there are.
        rows: In each bin; right: the share of them that is; sure: their mean probability; NaN where there is no row.
        error: The expected calibration error, Guo et al., "On Calibration of Modern Neural Networks", 2017.
    """

    edges: Floats
    rows: Ints
    right: Floats
    sure: Floats
    error: float


def reliability(is_right: NDArray[np.bool_], probability: Floats, bins: int = 15) -> Reliability:
    """Rows in bins of equal width by the probability of what was said of them; each bin holds its upper edge."""
    places = np.clip(np.ceil(probability * bins).astype(int) - 1, 0, bins - 1)
    rows = np.bincount(places, minlength=bins)
    summed: list[Any] = [np.bincount(places, weights=weights, minlength=bins) for weights in (is_right, probability)]
    with np.errstate(invalid="ignore"):
        right, sure = (total / rows for total in summed)
    error = float(np.abs(summed[0] - summed[1]).sum() / max(len(probability), 1))
    return Reliability(np.linspace(0, 1, bins + 1), rows, right, sure, error)


def smoothed(values: Floats, span: float) -> Floats:
    """An exponential mean over about so many values, without the pull of a first one.

    Args:
        values: In their order; what is not finite is passed over.
        span: As in pandas' `ewm(span=...)`.
    """
    kept = 1 - 2 / (span + 1)
    found, total, weight = np.full(len(values), np.nan), 0.0, 0.0
    for place, value in enumerate(values.tolist()):
        if np.isfinite(value):
            total, weight = total * kept + value, weight * kept + 1
        found[place] = total / weight if weight else np.nan
    return found
