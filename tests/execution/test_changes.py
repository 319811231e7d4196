"""What a run's numbers depend on is compared with what it was begun with, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.execution.changes import (
    Change,
    changed_classes,
    changed_data,
    changed_environment,
    changed_model,
    changed_settings,
    unchanged_data,
)
from ftrun.execution.row_sample import sample_checksum
from ftrun.runs.history import History
from ftrun.runs.records import DatasetRecord
from helpers import rows_of, splits_of

MACHINE = {
    "ftrun.device": "cpu",
    "ftrun.precision": "float32",
    "ftrun.processor": "Abacus",
    "ftrun.threads": "2",
    "ftrun.version.torch": "2.9",
    "ftrun.version.mlflow": "3.1",
    "ftrun.host": "here",
}


def begun(tags: Mapping[str, str] = {}, datasets: Any = ()) -> History:
    return History(tags, datasets, "experiment.toml", None, 0, 0)


@pytest.mark.parametrize(
    ("now", "told"),
    [
        ({"ftrun.device": "cuda:0"}, ["device: the run was begun with cpu, and now it is cuda:0"]),
        ({"ftrun.precision": "bfloat16"}, ["precision: the run was begun with float32, and now it is bfloat16"]),
        ({"ftrun.version.abacus": "1.0"}, ["abacus: the run was begun with nothing, and now it is 1.0"]),
        ({"ftrun.version.torch": None}, ["torch: the run was begun with 2.9, and now it is nothing"]),
        ({"ftrun.version.mlflow": "4.0", "ftrun.host": "there", "mlflow.user": "another"}, []),
    ],
)
def test_what_the_numbers_depend_on_is_compared_and_nothing_else(
    now: Mapping[str, str | None], told: list[str]
) -> None:
    tags = {key: value for key, value in {**MACHINE, **now}.items() if value is not None}
    assert [str(change) for change in changed_environment(begun(MACHINE), tags)] == told


def test_a_run_that_never_came_to_be_recorded_has_no_environment_to_compare() -> None:
    assert changed_environment(begun(), MACHINE) == []


def test_settings_that_change_no_number_are_no_change() -> None:
    before = {"name": "a", "training": {"device": "cpu", "save_steps": 3}, "tracking": {"uri": "x"}, "seed": 1}
    before |= {"push": {"repo": "me/mine", "private": True}}
    now = {"name": "b", "training": {"device": "cuda"}, "backend": {"use": "loop"}, "seed": 1, "format": 1}
    assert changed_settings(before, now) == []


SAVING, KEEPING = "training.save_strategy", "training.load_best_model_at_end"


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ({SAVING: "steps"}, {SAVING: "epoch"}, None),
        ({SAVING: "steps"}, {SAVING: "best"}, "the run was begun with steps, and now it is best"),
        ({SAVING: "best"}, {SAVING: "no"}, "the run was begun with best, and now it is no"),
        ({SAVING: "best", KEEPING: True}, {SAVING: "steps", KEEPING: True}, None),
    ],
)
def test_a_strategy_that_keeps_another_checkpoint_as_the_best_is_a_change(
    before: Mapping[str, Any], now: Mapping[str, Any], told: str | None
) -> None:
    """With load_best_model_at_end the checkpoint of the best is kept whatever the strategy."""
    assert [change.sentence for change in changed_settings(before, now)] == ([told] if told else [])


def test_only_a_best_whose_checkpoint_was_kept_counts_after_a_change_of_strategy() -> None:
    assert Change(SAVING, "steps", "best").forgets_best and not Change(SAVING, "best", "steps").forgets_best


def test_what_makes_other_tokens_of_the_rows_forgets_the_best_and_what_trains_otherwise_does_not() -> None:
    assert Change("model.tokenizer", "mine", "yours").forgets_best and Change("model.use", "a", "b").forgets_best
    assert not Change("model.dropout", "0.1", "0.2").forgets_best


def test_classes_by_other_names_or_in_another_order_are_a_change_and_forget_the_best() -> None:
    def task(*names: str) -> Task:
        return Task("classification", ("text",), "label", names or None)

    assert changed_classes(task("no", "yes"), task("no", "yes")) == [] == changed_classes(None, task("no", "yes"))
    (change,) = changed_classes(task("no", "yes"), task("yes", "no"))
    assert str(change) == "the classes in their order: the run was begun with no, yes, and now it is yes, no"
    assert change.forgets_best


def test_settings_that_matter_are_named_in_order_whichever_side_has_them() -> None:
    before = {"seed": 1, "training": {"learning_rate": 5e-5}, "metrics": [{"use": "f1"}]}
    now = {"seed": 2, "training": {"bf16": True}, "metrics": [{"use": "f1"}]}
    assert changed_settings(before, now) == [
        Change("seed", "1", "2"),
        Change("training.bf16", None, "true"),
        Change("training.learning_rate", "5e-05", None),
    ]


def test_data_are_compared_by_their_contents_and_their_rows() -> None:
    rows = rows_of(text=["a", "b"], label=[0, 1])
    records = [DatasetRecord("d/train", "here", "1" * 40, "train", 2, ["text", "label"], "training")]
    assert changed_data(begun(datasets=records), splits_of(rows, digest="1" * 40)) == []
    (other,) = changed_data(begun(datasets=records), splits_of(rows, digest="2" * 40))
    assert other.name == "the data's split train for training" and other.before != other.now
    (fewer,) = changed_data(begun(datasets=records), splits_of(rows.select([0]), digest="1" * 40))
    assert (fewer.before, fewer.now) == ("111111111111, 2 rows", "111111111111, 1 rows")


def test_rows_that_a_digest_does_not_tell_of_are_compared_where_the_run_knows_of_them() -> None:
    rows, others = rows_of(text=["a", "b"], label=[0, 1]), rows_of(text=["a", "c"], label=[0, 1])
    task = splits_of(rows).task
    known = DatasetRecord("d/train", "here", "v1", "train", 2, [], "training", sample_checksum(rows, task))
    of_before = DatasetRecord("d/validation", "here", "v1", "validation", 2, [], "evaluation")
    history = begun(datasets=[known, of_before])
    assert changed_data(history, splits_of(rows, digest="v1")) == []
    (other,) = changed_data(history, splits_of(others, digest="v1"))
    assert other.name == "the data's split train for training"
    assert str(other.before).startswith("v1, 2 rows of checksum ") and str(other.now).endswith("by the same digest")
    assert unchanged_data(history, splits_of(others, digest="v1")) == [("evaluation", "validation")]


def test_weights_are_compared_where_the_run_knows_of_some() -> None:
    digest, classes = "ftrun.model.digest", "ftrun.model.classes"
    assert changed_model(begun({"ftrun.run": "x"}), {digest: "a" * 40}) == []
    (weights,) = changed_model(begun({digest: "a" * 40}), {digest: "b" * 40})
    assert weights == Change("the model's weights", "a" * 12, "b" * 12)
    (order,) = changed_model(begun({"ftrun.run": "x"}), {classes: '["no", "yes"]'})
    assert order == Change("the order of the model's classes", None, '["no", "yes"]')


def test_the_code_of_a_plugin_is_compared_where_the_run_knows_of_it() -> None:
    code, same = "ftrun.code.theirs", {"ftrun.run": "x"}
    assert changed_environment(begun(same), {**same, code: "a" * 64}) == []
    (edited,) = changed_environment(begun({**same, code: "a" * 64}), {**same, code: "b" * 64})
    assert edited == Change("the code of theirs", "a" * 12, "b" * 12)


def test_what_a_backend_takes_is_compared_where_it_is_the_same_backend() -> None:
    before = {"backend": {"use": "theirs", "trust": 0.5}}
    assert changed_settings(before, {"backend": {"use": "theirs", "trust": 0.9}}) == [
        Change("backend.trust", "0.5", "0.9")
    ]
    assert changed_settings(before, {"backend": {"use": "loop"}}) == []


@pytest.mark.parametrize(
    ("name", "forgets"),
    [
        ("training.metric_for_best_model", True),
        ("training.class_weights", True),
        ("training.label_smoothing_factor", True),
        ("metrics.0.average", True),
        ("dataset.max_eval_samples", True),
        ("dataset.validation", True),
        ("the data's split validation for evaluation", True),
        ("model.max_length", True),
        ("training.learning_rate", False),
        ("dataset.max_train_samples", False),
        ("dataset.test", False),
        ("dataset.train.0", False),
        ("the data's split train for training", False),
        ("the data's split test for test", False),
    ],
)
def test_what_an_evaluation_measures_and_on_what_decides_whether_the_best_of_before_counts(
    name: str, forgets: bool
) -> None:
    assert Change(name, "a", "b").forgets_best == forgets
