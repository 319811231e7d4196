"""The Brier score of predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ftrun.contracts import Evaluator, Predictions
from scipy.special import softmax

from ftrun_brier import BrierSettings


def evaluator(settings: BrierSettings) -> Evaluator:
    """What measures predictions."""

    def measure(predictions: Predictions) -> Mapping[str, float]:
        probabilities = softmax(predictions.logits.astype(np.float64), axis=-1)
        truth = np.eye(probabilities.shape[-1])[predictions.labels]
        brier = _squared_error(probabilities, truth)
        if not settings.skill:
            return {"brier": brier}
        guess = _squared_error(truth.mean(axis=0), truth)
        return {"brier": brier, "brier_skill": 1 - brier / guess if guess else 0.0}

    return measure


def _squared_error(probabilities: np.ndarray, truth: np.ndarray) -> float:
    return float(((probabilities - truth) ** 2).sum(axis=-1).mean())
