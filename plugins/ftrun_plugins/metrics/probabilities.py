"""Metrics of probabilities, which are the softmax of the logits in float64, or where a row has any number of classes
their sigmoid; scikit-learn's where it has them.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from ftrun.contracts import Evaluator, Predictions
from scipy.special import expit, softmax
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

Measure = Callable[[Any, Any], float]
"""From class ids of shape (rows,), or 0 and 1 of shape (rows, classes), and probabilities of shape (rows, classes) to
one number."""


def evaluator(name: str, measure: Measure) -> Evaluator:
    """An evaluator of one number of probabilities; NaN where it has no value, as on logits that are not finite.

    Args:
        name: What the number is called.
        measure: What computes it.
    """

    def evaluate(predictions: Predictions) -> dict[str, float]:
        with np.errstate(invalid="ignore"):
            logits = np.asarray(predictions.logits, "float64")
            probabilities = expit(logits) if predictions.kind == "multi_label" else softmax(logits, axis=-1)
        if not np.isfinite(probabilities).all():
            return {name: float("nan")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            return {name: float(measure(np.asarray(predictions.labels), probabilities))}

    return evaluate


def roc_auc(average: str, multi_class: str, positive: int = 1) -> Measure:
    """Area under the ROC curve, by `sklearn.metrics.roc_auc_score`: of one class where there are two.

    NaN where the labels are all of one class, and with more than two classes where one of them has no row. Where a row
    has any number of classes, NaN where one of them has no row, or has all.

    Args:
        average: How the areas of more than two classes are averaged.
        multi_class: Each class against the rest ("ovr"), or against each other ("ovo").
        positive: The class id of that one class.
    """

    def measure(labels: Any, probabilities: Any) -> float:
        classes = probabilities.shape[1]
        if labels.ndim == 2:
            return (
                float(roc_auc_score(labels, probabilities, average=average)) if _ranked(labels, average) else math.nan
            )
        if len(np.unique(labels)) < (2 if average == "micro" else classes):
            return float("nan")
        if classes == 2:
            return float(roc_auc_score(labels == positive, probabilities[:, positive]))
        named = {"labels": np.arange(classes), "average": average, "multi_class": multi_class}
        return float(roc_auc_score(labels, probabilities, **named))

    return measure


def average_precision(average: str, positive: int = 1) -> Measure:
    """Area under the precision-recall curve in steps, by `sklearn.metrics.average_precision_score`: of one class where
    there are two, else of each class against the rest.

    NaN where the labels are all of one class, and in "macro" where one of the classes has no row. Where a row has any
    number of classes, as `roc_auc`.

    Args:
        average: How the areas of more than two classes are averaged.
        positive: The class id of that one class.
    """

    def measure(labels: Any, probabilities: Any) -> float:
        classes = probabilities.shape[1]
        if labels.ndim == 2:
            known = _ranked(labels, average)
            return float(average_precision_score(labels, probabilities, average=average)) if known else math.nan
        if len(np.unique(labels)) < (classes if average == "macro" else 2):
            return float("nan")
        if classes == 2:
            return float(average_precision_score(labels == positive, probabilities[:, positive]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a class without a row, which counts nothing here
            return float(average_precision_score(np.eye(classes)[labels], probabilities, average=average))

    return measure


def _ranked(labels: Any, average: str) -> bool:
    """Whether rows that are of a class and rows that are not are there: of all classes together, or of every one."""
    counts = labels.sum(axis=None if average == "micro" else 0)
    return bool(((counts > 0) & (counts < (labels.size if average == "micro" else len(labels)))).all())


def cross_entropy(labels: Any, probabilities: Any) -> float:
    """Mean negative log of the probability of the right class, by `sklearn.metrics.log_loss`, in nats; where a row has
    any number of classes, of every class's right answer.
    """
    if labels.ndim == 2:
        both = np.stack([1 - probabilities.ravel(), probabilities.ravel()], axis=1)
        return float(log_loss(labels.ravel(), both, labels=[0, 1]))
    classes = probabilities.shape[1]
    return float(log_loss(labels, probabilities, labels=np.arange(classes))) if classes > 1 else 0.0


def expected_calibration_error(bins: int) -> Measure:
    """How far the probability of the predicted class is from the share of rows that it is right on.

    Rows are put into bins of equal width by that probability; the mean of |share right - mean probability| over the
    bins, weighted by their rows. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, equation 3.

    Args:
        bins: Their number; each holds its upper edge.
    """

    def measure(labels: Any, probabilities: Any) -> float:
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
        places = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
        gaps = np.bincount(places, weights=right - sure, minlength=bins)
        return float(np.abs(gaps).sum() / len(labels))

    return measure
