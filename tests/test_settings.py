"""The [training] table is TrainingArguments', name for name and default for default."""

from __future__ import annotations

import dataclasses
import enum
import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
from ftrun.settings import OTHER_SPELLINGS, OWN_KEYS, Settings, TrainingSettings, steps_of, validate
from ftrun.training_arguments import NOT_TAKEN
from hypothesis import given
from hypothesis import strategies as st

FIELDS = TrainingSettings.model_fields


@pytest.fixture(scope="module")
def arguments() -> dict[str, object]:
    from transformers import TrainingArguments

    return {field.name: field.default for field in dataclasses.fields(TrainingArguments)}


def test_every_key_is_transformers_or_in_the_list_of_our_own(arguments: dict[str, object]) -> None:
    assert len(FIELDS) > 20
    assert set(FIELDS) - set(arguments) == OWN_KEYS


def test_every_default_is_transformers(arguments: dict[str, object]) -> None:
    ours = {name: field.default for name, field in FIELDS.items() if name not in OWN_KEYS}
    assert ours == {name: arguments[name] for name in ours}


def test_every_other_spelling_leads_to_a_key_that_is_there(arguments: dict[str, object]) -> None:
    assert set(OTHER_SPELLINGS.values()) <= set(FIELDS)
    assert not set(OTHER_SPELLINGS) & set(FIELDS)


def test_settings_do_not_change_once_they_are_validated() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        TrainingSettings().learning_rate = 1.0  # type: ignore[misc]


def refused(**values: Any) -> dict[str | None, str]:
    """By place: the message with its hint."""
    _, problems = validate(TrainingSettings, values, "training", OTHER_SPELLINGS, NOT_TAKEN)
    return {problem.place: f"{problem.message} | {problem.hint}" for problem in problems}


@given(st.floats(1e-6, 0.999999) | st.integers(1, 10**6), st.integers(1, 10**6))
def test_steps_mean_what_they_mean_in_transformers(steps: float, total: int) -> None:
    from transformers import TrainerState

    told, _ = validate(TrainingSettings, {"eval_steps": steps, "save_steps": steps, "eval_strategy": "steps"})
    assert told and told.eval_steps == told.save_steps == steps and type(told.eval_steps) is type(steps)
    state = TrainerState()
    state.compute_steps(type("Arguments", (), {f"{kind}_steps": steps for kind in ("logging", "eval", "save")}), total)
    assert steps_of(told.eval_steps, total) == state.eval_steps == state.save_steps


@pytest.mark.parametrize(("steps", "told"), [(2.5, "whole number of steps"), (0, "greater than 0"), (-0.5, "greater")])
def test_steps_that_are_none_are_told(steps: float, told: str) -> None:
    assert told in refused(eval_steps=steps)["training.eval_steps"]
    assert told in refused(save_steps=steps)["training.save_steps"]


@pytest.mark.parametrize("weights", [[1, 2.5], [0.1], [1e-30], "balanced", None])
def test_weights_of_classes_are_taken(weights: Any) -> None:
    told, problems = validate(TrainingSettings, {"class_weights": weights})
    assert told and told.class_weights == weights and not problems


@pytest.mark.parametrize(
    "weights", [[], [1, 0], [-1], [True, 1], ["1"], [1e999], [1, 1e-46], [1e39], [float("nan")], "even", {"a": 1}]
)
def test_what_is_no_list_of_weights_is_told_in_one_sentence(weights: Any) -> None:
    told = refused(class_weights=weights)
    assert list(told) == ["training.class_weights"]
    assert (
        'must be "balanced" or a list of positive numbers that float32 has, one for each class, not'
        in told["training.class_weights"]
    )


@pytest.mark.parametrize("smoothing", [-0.1, 1.1])
def test_smoothing_is_a_share(smoothing: float) -> None:
    assert "must be" in refused(label_smoothing_factor=smoothing)["training.label_smoothing_factor"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"eval_delay": 2}, 'keeps nothing back with eval_strategy = "no"'),
        ({"eval_delay": 0.5, "eval_strategy": "epoch"}, "keeps nothing back: the first evaluation is after epoch 1"),
        ({"eval_delay": 500, "eval_strategy": "steps"}, "keeps nothing back: the first evaluation is after step 500"),
        ({"eval_delay": 1000, "eval_strategy": "epoch"}, "counts epochs with .* 1000 is more than the training's 3 epochs"),
        (
            {"eval_delay": 8, "eval_strategy": "steps", "eval_steps": 2, "max_steps": 7},
            'counts steps with eval_strategy = "steps", and 8 is more than the training\'s 7 steps',
        ),
        ({"torch_empty_cache_steps": 5, "device": "cpu"}, 'for the memory of a GPU, and the device is "cpu"'),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_refused(settings: dict[str, Any], told: str) -> None:
    (message,) = refused(**settings).values()
    assert re.search(told, message)


def test_a_delay_between_the_first_evaluation_and_the_end_is_taken() -> None:
    for settings in (
        {"eval_delay": 2, "eval_strategy": "epoch"},
        {"eval_delay": 3, "eval_strategy": "epoch"},
        {"eval_delay": 10, "eval_strategy": "epoch", "max_steps": 7},
        {"eval_delay": 2, "eval_strategy": "steps", "eval_steps": 0.1},
    ):
        assert not refused(**settings)


def test_what_transformers_fills_in_is_filled_in() -> None:
    from transformers import TrainingArguments

    arguments = TrainingArguments(eval_strategy="steps", use_cpu=True)
    ours = TrainingSettings(eval_strategy="steps")
    assert ours.eval_steps == arguments.eval_steps == 500
    assert TrainingSettings().eval_steps is TrainingArguments(use_cpu=True).eval_steps is None
    assert ours.model_dump()["eval_steps"] == 500 and type(TrainingSettings(save_steps=7.0).save_steps) is int


def test_training_arguments_takes_every_value_as_we_do() -> None:
    """Both read the same values to the same end, those that are kept apart from the strategies too."""
    from transformers import TrainingArguments

    unusual: dict[str, Any] = {
        "num_train_epochs": 1.5,
        "max_steps": 7,
        "warmup_steps": 0.3,
        "eval_steps": 4.0,
        "save_steps": 0.25,
    }
    unusual |= {"eval_strategy": "steps", "save_strategy": "best", "metric_for_best_model": "f1", "data_seed": 3}
    ours, theirs = TrainingSettings(**unusual), TrainingArguments(**unusual, use_cpu=True)
    for key in unusual:
        assert getattr(ours, key) == getattr(theirs, key), key


class Red(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(("declared", "value", "called"), [(Path, "data", "Path"), (Red, "red", "Red")])
@pytest.mark.parametrize("wrapped", [lambda one: one, lambda one: one | None, lambda one: list[one]])  # type: ignore[valid-type]
def test_a_setting_that_is_declared_as_what_no_file_holds_is_its_components_fault(
    declared: Any, value: str, called: str, wrapped: Any
) -> None:
    model = pydantic.create_model("Theirs", __base__=Settings, key=(wrapped(declared), ...))
    is_list = "list" in str(wrapped(declared))
    nothing, (problem,) = validate(model, {"key": [value] if is_list else value}, "dataset")
    assert nothing is None and problem.place == ("dataset.key[0]" if is_list else "dataset.key")
    assert problem.message == f'takes a {called}, which no file holds, not "{value}"'
    assert problem.hint and "its component's fault" in problem.hint and "ftrun.settings.LocalPath" in problem.hint
