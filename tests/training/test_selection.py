"""Which evaluation is the best, and how long to look for a better one."""

from __future__ import annotations

import pytest
from ftrun.contracts import BestBy
from ftrun.settings import TrainingSettings
from ftrun.training.selection import Selection


def judged(values: list[float], greater_is_better: bool = True, **training: float) -> Selection:
    selection = Selection(
        BestBy("eval/f1", greater_is_better),
        TrainingSettings(eval_strategy="epoch", **training),  # type: ignore[arg-type]
    )
    for step, value in enumerate(values, 1):
        selection.judge(step, {"eval/f1": value})
    return selection


def test_a_gain_below_the_threshold_is_the_best_and_does_not_renew_patience() -> None:
    selection = judged([0.5, 0.55, 0.58], early_stopping_patience=2, early_stopping_threshold=0.1)
    assert selection.step == 3 and selection.waited == 2 and selection.is_over


def test_a_gain_above_the_threshold_renews_patience() -> None:
    selection = judged([0.5, 0.55, 0.7], early_stopping_patience=2, early_stopping_threshold=0.1)
    assert selection.step == 3 and selection.waited == 0 and not selection.is_over


@pytest.mark.parametrize(("greater_is_better", "best"), [(True, 2), (False, 3)])
def test_the_best_goes_by_the_metrics_direction_and_the_first_of_equals_stays(
    greater_is_better: bool, best: int
) -> None:
    assert judged([0.5, 0.9, 0.1, 0.9, 0.1], greater_is_better).step == best


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("greater_is_better", [True, False])
def test_what_is_not_finite_is_never_better(value: str, greater_is_better: bool) -> None:
    selection = judged([float(value), 0.1, float(value)], greater_is_better)
    assert (selection.step, selection.metric) == (2, 0.1)
