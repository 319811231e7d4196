"""Settings of the loss that mean nothing for a task are told before any work, where the file tells the task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.planning.objective import objective_problems
from ftrun.settings import TrainingSettings
from helpers import plan_of


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"training.class_weights": [1, 2, 3]}, "there are 3 weights for 2 classes"),
        (
            {"dataset": {"use": "glue", "task": "stsb"}, "training.label_smoothing_factor": 0.1},
            "it is for a task with one class for a label, and here a label is numbers",
        ),
    ],
)
def test_it_is_told_by_the_plan(tiny: Path, setting: dict[str, object], told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        plan_of(tiny, setting)


def test_what_suits_the_task_is_taken(tiny: Path) -> None:
    plan = plan_of(tiny, {"training.class_weights": [1, 2], "training.label_smoothing_factor": 0.1})
    assert plan.training.class_weights == [1, 2]


OWN = Task("spans", ("text",), class_names=("start", "end"))


@pytest.mark.parametrize("setting", [{"label_smoothing_factor": 0.1}, {"class_weights": [1.0, 2.0]}], ids=str)
def test_a_loss_of_ones_own_is_not_replaced_by_another(setting: dict[str, object]) -> None:
    (problem,) = objective_problems(TrainingSettings(**setting), OWN)  # type: ignore[arg-type]
    assert problem.place == f"training.{next(iter(setting))}"
    assert "nothing says so of the task, spans" in str(problem) and "cross_entropy=True" in str(problem)
    assert not objective_problems(TrainingSettings(**setting), replace(OWN, cross_entropy=True))  # type: ignore[arg-type]
    assert not objective_problems(TrainingSettings(), OWN)
