"""A metric of ftrun: the Brier score, the mean squared error of the predicted probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ftrun import hookimpl
from ftrun.contracts import Direction, Evaluator, Metric, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import Settings
from pydantic import Field

ftrun_contract = "1.1"


class BrierSettings(Settings):
    """Settings of the metric "brier"."""

    skill: bool = Field(
        False, description="Also how much better it is than saying the share of each class of every row."
    )


def _yields(settings: BrierSettings, task: Task) -> Mapping[str, Direction]:
    if task.kind != "classification":
        raise ExperimentError(Problem(f"a Brier score is of probabilities of classes, and this is {task.kind}", "use"))
    return {"brier": "min", "brier_skill": "max"} if settings.skill else {"brier": "min"}


def _build(settings: BrierSettings, task: Task) -> Evaluator:
    from ftrun_brier.scores import evaluator

    return evaluator(settings)


@hookimpl
def ftrun_metrics() -> Sequence[Metric]:
    """Offer the metric."""
    return [
        Metric(
            name="brier",
            summary="Mean squared error of the predicted probabilities",
            settings=BrierSettings,
            yields=_yields,
            build=_build,
        )
    ]
