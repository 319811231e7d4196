"""Scores as `evaluate` metrics of this package, computed by scikit-learn and SciPy: no network, no script."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np
from ftrun.contracts import Evaluator, Predictions, Task
from ftrun.errors import RunError
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    matthews_corrcoef,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    recall_score,
)

Score = Callable[[Any, Any, Mapping[str, Any]], float]
"""From references, predictions and what scikit-learn takes of classes, `average` and `pos_label`, to one number."""


def _correlation(function: Any) -> Score:
    def score(references: Any, predictions: Any, of: Mapping[str, Any]) -> float:
        if np.ptp(predictions) == 0 or np.ptp(references) == 0:  # a constant correlates with nothing
            return math.nan
        return float(function(predictions, references).statistic)

    return score


def _by_class(function: Any) -> Score:
    return lambda references, predictions, of: function(references, predictions, zero_division=0, **of)


def _matthews(references: Any, predictions: Any, of: Mapping[str, Any]) -> float:
    # with one class alone it is 0 by convention, of which scikit-learn warns where both have the same one
    if np.ptp(predictions) == 0 or np.ptp(references) == 0:
        return 0.0
    return float(matthews_corrcoef(references, predictions))


SCORES: Mapping[str, Score] = {
    "accuracy": lambda references, predictions, of: accuracy_score(references, predictions),
    "f1": _by_class(f1_score),
    "precision": _by_class(precision_score),
    "recall": _by_class(recall_score),
    "matthews_correlation": _matthews,
    "pearson": _correlation(pearsonr),
    "spearmanr": _correlation(spearmanr),
    "mse": lambda references, predictions, of: mean_squared_error(references, predictions),
    "mae": lambda references, predictions, of: mean_absolute_error(references, predictions),
}


class Scores(evaluate.Metric):  # type: ignore[misc]
    """Some of `SCORES` at once, as a metric that `evaluate` users know.

    Args:
        names: Keys of `SCORES`.
        kind: The task's.
        average: For scores counted class by class.
        positive: The class id that a "binary" average is of.
    """

    def __init__(self, names: Sequence[str], kind: str, average: str, positive: int = 1) -> None:
        self.names = names
        self.of = {"average": average, "pos_label": positive}
        self.kind = kind
        one: Any = datasets.Value("float32" if kind == "regression" else "int64")
        self.feature = datasets.List(one) if kind == "multi_label" else one
        # in memory: else evaluate would leave a lock file behind in HF_HOME
        super().__init__(keep_in_memory=True, experiment_id="ftrun")

    def _build_data_dir(self) -> str:
        return str(self._data_dir_root)  # and not made: nothing is kept there

    def _info(self) -> evaluate.MetricInfo:
        columns = dict.fromkeys(("predictions", "references"), self.feature)
        return evaluate.MetricInfo(
            description="Scores of predictions against references.",
            citation="",
            inputs_description="predictions and references: a number a row, or a list of 0 and 1.",
            features=datasets.Features(columns),
        )

    def _compute(self, *, predictions: Any, references: Any) -> dict[str, float]:
        exact = np.float64 if self.kind == "regression" else None
        predictions, references = np.asarray(predictions, exact), np.asarray(references, exact)
        of = self.of
        if references.ndim == 2 and references.shape[1] == 1:  # which scikit-learn takes for two classes, yes and no
            predictions, references = (np.pad(marks, ((0, 0), (0, 1))) for marks in (predictions, references))
            of = {**of, "labels": [0]}
        return {name: float(SCORES[name](references, predictions, of)) for name in self.names}


def evaluator(names: Sequence[str], task: Task, average: str | None = None, positive: int = 1) -> Evaluator:
    """An evaluator of scores by name.

    Args:
        names: Keys of `SCORES`.
        task: What is predicted.
        average: For scores counted class by class; "binary" for two classes, one of which a row has, and else "macro"
            by default.
        positive: The class id that "binary" is of.
    """
    of_two = task.kind != "multi_label" and task.num_labels == 2
    metric = Scores(names, task.kind, average or ("binary" if of_two else "macro"), positive)
    return lambda predictions: _computed(metric, predictions, {})


def evaluate_module(path: str, names: Sequence[str], options: Mapping[str, Any]) -> Evaluator:
    """An evaluator by a module of `evaluate`, whose script is run here.

    Raises:
        RunError: If it cannot be loaded, or computes other numbers than it was said to.
    """
    try:
        module = evaluate.load(path, keep_in_memory=True)
    except Exception as error:  # a script is run here, and may raise anything
        said = (
            str(error) if isinstance(error, (OSError, ValueError, ImportError)) else f"{type(error).__name__}: {error}"
        )
        raise RunError(f"the metric {path} cannot be loaded: {said}") from error

    def compute(predictions: Predictions) -> Mapping[str, float]:
        computed = _computed(module, predictions, options)
        if missing := sorted(set(names) - set(computed)):
            raise RunError(f"the metric {path} computes {', '.join(computed)}, and not {', '.join(missing)}")
        return {name: computed[name] for name in names}

    return compute


def _computed(metric: Any, predictions: Predictions, options: Mapping[str, Any]) -> dict[str, float]:
    computed: dict[str, float] = metric.compute(
        predictions=predictions.values.tolist(), references=predictions.labels.tolist(), **options
    )
    return computed
