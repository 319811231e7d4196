"""What a person should know of how a training went."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import FitResult, Predictions, Task
from ftrun.execution.remarks import remarks_at_start, remarks_on, remarks_on_losses, without_effect
from ftrun.runs.journal import Journal
from ftrun.runs.records import MetricsRecord
from ftrun.settings import TrainingSettings
from helpers import plan_of


def test_a_model_that_says_one_class_is_told_of(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ftrun.run(tiny, overrides={"training.learning_rate": 0.0, "training.max_steps": 1})
    assert "for every row of validation" in capsys.readouterr().out


def test_a_training_that_changes_nothing_is_told_of(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"training.max_steps": 2, "training.eval_strategy": "steps", "training.eval_steps": 1}
    ftrun.run(tiny, overrides={**steps, "training.learning_rate": 1e-30})
    assert "in every evaluation: training has not changed the model" in " ".join(capsys.readouterr().out.split())


def remarks(tiny: Path, fit: FitResult, kind: str = "classification", **training: Any) -> list[str]:
    names = None if kind == "regression" else ("no", "yes")
    plan = plan_of(tiny, {f"training.{key}": value for key, value in training.items()})
    return remarks_on(plan, Task(kind, ("text",), "label", names), fit)


def predicted(*classes: int, kind: str = "classification") -> Predictions:
    logits = np.eye(2, dtype=np.float32)[list(classes)].reshape(-1, 2)
    return Predictions(logits, np.zeros(len(classes), np.int64), 0.5, kind)


def test_a_split_of_which_one_class_is_said_is_named_with_the_class(tiny: Path) -> None:
    fit = FitResult(3, 1.0, True, {}, {"validation": predicted(0, 1, 0), "hard": predicted(1, 1, 1)})
    (told,) = remarks(tiny, fit)
    assert told == 'the model predicts "yes" for every row of hard: its accuracy is that class\'s share'


def test_a_split_without_labels_has_no_accuracy(tiny: Path) -> None:
    bare = replace(predicted(1, 1), labels=None, loss=None)
    assert remarks(tiny, FitResult(3, 1.0, True, {}, {"test": bare})) == [
        'the model predicts "yes" for every row of test'
    ]


def test_of_a_training_that_went_well_nothing_is_said(tiny: Path) -> None:
    assert remarks(tiny, FitResult(3, 1.0, True, {}, {"validation": predicted(0, 1)})) == []


def test_a_split_of_which_no_row_is_given_any_class_is_named(tiny: Path) -> None:
    nothing = Predictions(np.full((3, 2), -0.1, np.float32), np.ones((3, 2), np.int64), 0.5, "multi_label")
    fit = FitResult(3, 1.0, True, {}, {"validation": nothing, "other": predicted(1, kind="multi_label")})
    (told,) = remarks(tiny, fit, "multi_label")
    assert told == "the model gives no row of validation any class: none is as probable as a half"


@pytest.mark.parametrize(
    ("kind", "told"), [("regression", ["the model predicts 1 for every row of validation"]), ("multi_label", [])]
)
def test_what_has_no_one_class_a_row_is_not_said_to_have_one(tiny: Path, kind: str, told: list[str]) -> None:
    assert remarks(tiny, FitResult(3, 1.0, True, {}, {"validation": predicted(1, 1, kind=kind)}), kind) == told


def test_a_split_without_rows_has_no_class(tiny: Path) -> None:
    assert remarks(tiny, FitResult(3, 1.0, True, {}, {"validation": predicted()})) == []


@pytest.mark.parametrize(("patience", "told"), [(1, "an evaluation without"), (3, "3 evaluations without")])
def test_a_training_that_stopped_early_says_why(tiny: Path, patience: int, told: str) -> None:
    best = {"early_stopping_patience": patience, "metric_for_best_model": "f1"}
    (sentence,) = remarks(tiny, FitResult(9, 1.0, True, stopped_early=True), **best)
    assert sentence.startswith(f"stopped early after step 9: {told}")


def test_the_step_that_the_best_model_is_of_is_told_once_it_is_known(tiny: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "f1"}
    assert remarks(tiny, FitResult(9, 1.0, True, model_step=4), **best) == [
        "the model is that of step 4, the best evaluation"
    ]
    assert remarks(tiny, FitResult(9, 1.0, False), **best) == []


def test_a_model_that_has_come_to_say_no_numbers_is_told_of_in_place_of_its_class(tiny: Path) -> None:
    said = predicted(0, 0, 0)
    said.logits[1:] = np.nan
    (told,) = remarks(tiny, FitResult(3, 1.0, True, {}, {"validation": said}))
    assert told == (
        "the model gives no finite numbers for 2 rows, the first of them row 2 of validation: its metrics have no value"
    )


def test_numbers_without_a_value_at_the_end_are_named(tiny: Path) -> None:
    same = Predictions(np.full((3, 1), 0.25, np.float32), np.arange(3.0, dtype=np.float32), 0.5, "regression")
    fit = FitResult(3, 1.0, True, {"eval/loss": 0.5, "eval/pearson": math.nan}, {"validation": same})
    assert remarks(tiny, fit, "regression") == [
        "the model predicts 0.25 for every row of validation",
        "not defined for these labels and predictions, so without a value: eval/pearson",
    ]


def test_infinite_numbers_at_the_end_are_named(tiny: Path) -> None:
    fit = FitResult(3, 1.0, True, {"eval/loss": 0.5, "eval/perplexity": math.inf, "eval/gain": -math.inf})
    assert remarks(tiny, fit) == ["infinite, and so never the best: eval/perplexity, eval/gain"]


def test_a_metric_that_had_no_value_in_any_evaluation_chose_no_best_model(tiny: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "f1", "save_strategy": "epoch"}
    fit = FitResult(3, 1.0, True, {"eval/loss": 0.5, "eval/f1": math.nan}, model_step=3)
    (told,) = remarks(tiny, fit, **best)
    assert told == (
        "f1 had no value in any evaluation, so that none was the best: the model is that of the last step, 3"
    )


IDLE: list[tuple[dict[str, Any], str]] = [
    ({"eval_steps": 50}, 'eval_steps has no effect with eval_strategy = "no"'),
    ({"eval_strategy": "epoch", "eval_steps": 0.1}, 'eval_steps has no effect with eval_strategy = "epoch"'),
    ({"save_strategy": "epoch", "save_steps": 50}, 'save_steps has no effect with save_strategy = "epoch"'),
    (
        {"lr_scheduler_type": "constant", "warmup_steps": 0.1},
        'warmup_steps has no effect with lr_scheduler_type = "constant"; "constant_with_warmup" has one',
    ),
    ({"early_stopping_threshold": 0.01}, "early_stopping_threshold has no effect without early_stopping_patience"),
]


@pytest.mark.parametrize(("settings", "told"), IDLE)
def test_a_key_that_is_set_and_changes_nothing_is_told(settings: dict[str, Any], told: str) -> None:
    assert without_effect(TrainingSettings(**settings)) == [told]


def test_of_keys_that_count_nothing_is_said() -> None:
    counting = {"eval_strategy": "steps", "save_strategy": "steps", "save_steps": 50, "warmup_steps": 2}
    patient = {"early_stopping_patience": 1, "early_stopping_threshold": 0.1}
    assert without_effect(TrainingSettings(**counting, **patient)) == without_effect(TrainingSettings()) == []


@pytest.mark.parametrize(("warmup", "told"), [(0, False), (0.9, False), (9, False), (10, True), (500, True)])
def test_a_rate_that_is_never_reached_is_told(warmup: float, told: bool) -> None:
    training = TrainingSettings(warmup_steps=warmup, learning_rate=3e-5)
    said = "the learning rate never comes to 3e-05: the warm-up is as long as the training, which has 10 steps"
    assert remarks_at_start(training, 10) == ([said] if told else [])


def test_a_run_tells_of_them_as_it_begins(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ftrun.run(tiny, overrides={"training.max_steps": 1, "training.warmup_steps": 9, "training.eval_steps": 3})
    said = " ".join(capsys.readouterr().out.split())
    assert "eval_steps has no effect" in said and "as long as the training, which has 1 step" in said


@pytest.mark.parametrize(
    ("numbers", "tells"),
    [
        ({1: {"eval/loss": 0.5}, 2: {"eval/loss": 0.5}}, True),
        ({0: {"eval/loss": 0.5}, 2: {"eval/loss": 0.5}}, True),
        ({1: {"eval/loss": 0.5}, 2: {"eval/loss": 0.5000001}}, False),
        ({1: {"eval/loss": 0.0}, 2: {"eval/loss": 0.0}}, False),
        ({2: {"eval/loss": 0.5}}, False),
        ({}, False),
        ({1: {"eval/a/loss": 0.5, "eval/b/loss": 1.0}, 2: {"eval/a/loss": 0.5, "eval/b/loss": 2.0}}, False),
        ({1: {"eval/loss": 0.5}, 2: {"eval/loss": 0.5, "train/learning_rate": 0.0}}, False),
    ],
)
def test_a_loss_that_never_changes_is_told_where_steps_were_taken(
    tmp_path: Path, numbers: dict[int, dict[str, float]], tells: bool
) -> None:
    """The second step is at a rate of 0.1, where it has no other."""
    journal = Journal(tmp_path / "journal.jsonl")
    for step in range(3):
        taken = {"train/learning_rate": 0.1, "train/grad_norm": 1.0} if step else {}
        journal.append(MetricsRecord(step, {**taken, **numbers.get(step, {})}))
    journal.close()
    told = ["the loss is 0.5 in every evaluation: training has not changed the model"]
    assert remarks_on_losses(tmp_path / "journal.jsonl") == (told if tells else [])
