"""What the numbers of an evaluation are called, and that they are what was promised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import Metric, Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import Offer, load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.measures import MetricError, WritingError, build_evaluator, metric_directions, rows_without_numbers
from ftrun.planning.parts import Part
from ftrun.planning.plan import make_plan
from ftrun.settings import Settings
from helpers import journal_of, points_of

TWO = Task("classification", ("text",), "label", ("no", "yes"))
PREDICTIONS = Predictions(np.eye(2, dtype="float32")[[0, 1, 1]], np.array([0, 1, 0]), 0.5)


def part(name: str | None, promised: Mapping[str, Any], given: Mapping[str, float]) -> Part:
    """A metric of somebody's package."""
    metric = Metric(
        name="theirs", summary="", yields=lambda settings, task: promised, build=lambda settings, task: lambda _: given
    )
    return Part("theirs", Offer(metric, "their-package", "3"), Settings(), name)


def refused(path: Path, overrides: dict[str, Any]) -> dict[str | None, str]:
    """By place: the message with its hint."""
    with pytest.raises(ExperimentError) as caught:
        make_plan(load_experiment(path, overrides=overrides), load_catalogue())
    return {problem.place: f"{problem.message} | {problem.hint}" for problem in caught.value.problems}


def metrics(*tables: dict[str, Any]) -> dict[str, Any]:
    return {"metrics": list(tables)}


def test_the_same_metric_is_measured_twice_under_two_names(tiny: Path) -> None:
    both = metrics({"use": "f1"}, {"use": "f1", "average": "macro", "name": "f1_macro"})
    best = {"training.metric_for_best_model": "f1_macro", "training.load_best_model_at_end": True}
    result = ftrun.run(tiny, overrides={**both, **best, "training.save_strategy": "epoch"}, progress=False)
    assert result.status == "FINISHED", result.error
    assert set(result.metrics) == {"eval/loss", "eval/f1", "eval/f1_macro"}
    assert result.metrics["eval/f1"] != result.metrics["eval/f1_macro"]
    (told,) = [
        record["tags"] for record in journal_of(result.run_folder) if "ftrun.model_step" in record.get("tags", {})
    ]
    scores = {step: value for (key, step), value in points_of(result.run_folder).items() if key == "eval/f1_macro"}
    assert scores[int(told["ftrun.model_step"])] == max(scores.values())
    again = make_plan(load_experiment(result.run_folder / "experiment.toml"), load_catalogue()).resolved()
    assert again["metrics"] == [{"use": "f1"}, {"use": "f1", "name": "f1_macro", "average": "macro"}]


def test_a_name_takes_the_place_of_an_only_number_and_goes_before_several() -> None:
    several, only = (
        part("mine", {"a": "max", "b": "min"}, {"b": 1.0, "a": 2.0}),
        part("mine2", {"a": "min"}, {"a": 3.0}),
    )
    assert metric_directions([several, only], TWO) == {"loss": "min", "mine_a": "max", "mine_b": "min", "mine2": "min"}
    assert build_evaluator(several, TWO)(PREDICTIONS) == {"mine_a": 2.0, "mine_b": 1.0}
    assert build_evaluator(only, TWO)(PREDICTIONS) == {"mine2": 3.0}


@pytest.mark.parametrize("given", [{}, {"b": 1.0}, {"a": 1.0, "loss": 0.0}])
def test_a_metric_that_breaks_its_promise_is_told_with_whose_it_is(given: dict[str, float]) -> None:
    with pytest.raises(ExperimentError, match=r'the metric "theirs" of their-package 3 promised "a", and gave') as told:
        build_evaluator(part(None, {"a": "max"}, given), TWO, "metrics[2]")(PREDICTIONS)
    assert [problem.place for problem in told.value.problems] == ["metrics[2]"]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("kind", "logits", "silent"),
    [
        ("classification", [[0, 1], [NAN, NAN], [0, NAN]], [1, 2]),
        ("classification", [[-INF, 1], [-INF, -INF], [INF, INF]], [1, 2]),
        ("multi_label", [[0, 1], [NAN, 1]], [1]),
        ("regression", [[0], [INF], [NAN]], [1, 2]),
        ("of_places", [[[0, -INF]], [[NAN, 0]]], [1]),
    ],
)
def test_of_a_row_of_which_the_model_says_no_number_there_is_no_score(
    kind: str, logits: list[Any], silent: list[int]
) -> None:
    predictions = Predictions(np.array(logits, "float32"), np.zeros(len(logits), "int64"), NAN, kind)
    assert rows_without_numbers(predictions) == silent
    theirs = part("sure", {"right": "max"}, {"right": 1.0})
    (told,) = build_evaluator(theirs, TWO)(predictions).values()
    assert told != told


@pytest.mark.parametrize("name", ["", "a/b", "a b", ".", "..", "é", "x" * 101, "-a", 3, True, ["a"], "a\n"])
def test_a_name_that_is_none_is_told(tiny: Path, name: Any) -> None:
    found = refused(tiny, metrics({"use": "f1", "name": name}))
    assert "must be at most 100 letters" in found["metrics[0].name"]


def test_two_of_one_name_are_told_with_the_way_out(tiny: Path) -> None:
    found = refused(tiny, metrics({"use": "glue"}, {"use": "f1"}))
    assert found == {
        "metrics[1]": 'f1 is already measured | Leave one out, or give this one a name of its own: name = "f1_2".'
    }
    assert "loss is already measured" in refused(tiny, metrics({"use": "f1", "name": "loss"}))["metrics[0]"]


@pytest.mark.parametrize("number", ["..", "a/../b", "/a", "a//b", "a/", "a=b", ""])
def test_a_number_that_mlflow_takes_no_key_of_is_told(number: str) -> None:
    with pytest.raises(ExperimentError, match="MLflow takes no metric with the name"):
        metric_directions([part(None, {number: "max"}, {})], TWO)


def test_a_number_with_a_slash_can_tell_the_best() -> None:
    from ftrun.contracts import BestBy
    from ftrun.planning.measures import best_by
    from ftrun.settings import TrainingSettings

    directions = metric_directions([part(None, {"by/class": "max"}, {}), part("eval_x", {"y": "max"}, {})], TWO)
    for told, key in {"by/class": "eval/by/class", "eval_by/class": "eval/by/class", "eval_x": "eval/eval_x"}.items():
        training = TrainingSettings(metric_for_best_model=told)
        assert best_by(training, directions, ["validation"]) == BestBy(key, True)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall"])
def test_binary_averages_of_three_classes_are_refused_before_any_work(tiny: Path, metric: str) -> None:
    rows = [{"text": f"word {i}", "label": "abc"[i % 3]} for i in range(12)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    files = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    wrong = {**metrics({"use": "accuracy"}, {"use": metric, "average": "binary"}), "dataset": files}
    told = '"binary" is for two classes, and the task has 3'
    assert told in refused(tiny, {**wrong, "dataset.class_names": ["a", "b", "c"]})["metrics[1].average"]
    (Path("rows.json").parent / "no-model").mkdir()
    result = ftrun.run(tiny, overrides={**wrong, "model.tokenizer": "no-model"}, progress=False)
    assert result.status == "FAILED" and result.error and f"metrics[1].average: {told}" in result.error


def test_metrics_without_rows_to_evaluate_on_may_be_for_the_test(tiny: Path) -> None:
    rows = [{"text": f"word {i}", "label": "ab"[i % 2]} for i in range(12)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    files = {"use": "files", "train": "rows.json", "test": "rows.json"}
    settings = {
        "dataset": files,
        "training.eval_strategy": "no",
        "training.max_steps": 1,
        **metrics({"use": "accuracy"}),
    }
    result = ftrun.run(tiny, overrides=settings, progress=False)
    assert set(result.metrics) == {"test/loss", "test/accuracy"}, result.error


def test_a_number_that_is_to_tell_the_best_is_missed_before_the_model_is_built(tiny: Path) -> None:
    rows = [{"text": f"word {i}", "label": "ab"[i % 2]} for i in range(12)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    files = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    Path("no-model").mkdir()
    wrong = {"dataset": files, "model.tokenizer": "no-model", "training.metric_for_best_model": "f1_macro"}
    result = ftrun.run(tiny, overrides={**wrong, **metrics({"use": "f1"})}, progress=False)
    assert result.error and "training.metric_for_best_model: no metric here yields" in result.error


@pytest.mark.parametrize("average", ["binary", "macro"])
def test_averages_are_of_no_use_to_a_regression(tiny: Path, average: str) -> None:
    Path("rows.json").write_text(json.dumps({"text": "word", "label": 1.5}))
    files = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    wrong = {**metrics({"use": "f1", "average": average}), "dataset": {**files, "kind": "regression"}}
    assert (
        "a metric of classification and multi_label, and the task is regression" in refused(tiny, wrong)["metrics[0]"]
    )


def test_a_metric_that_raises_is_named_with_what_it_should_have_done() -> None:
    def evaluator(_: Predictions) -> Mapping[str, float]:
        raise ValueError("too few of them")

    metric = Metric(name="theirs", summary="", yields=lambda s, t: {"a": "max"}, build=lambda s, t: evaluator)
    theirs = Part("theirs", Offer(metric, "their-package", "3"), Settings())
    with pytest.raises(MetricError, match='the metric "theirs" of their-package 3 raised ValueError: too few') as told:
        build_evaluator(theirs, TWO)(PREDICTIONS)
    assert "must give NaN" in str(told.value) and isinstance(told.value.__cause__, ValueError)


def _written(predictions: Predictions) -> None:
    predictions.logits[0] = 0


def _added(predictions: Predictions) -> None:
    predictions.labels.__iadd__(1)


def _sorted(predictions: Predictions) -> None:
    predictions.values.sort() if predictions.kind == "regression" else predictions.logits.sort()


@pytest.mark.parametrize("write", [_written, _added, _sorted])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_metric_that_writes_into_predictions_is_refused_by_name(write: Any, kind: str) -> None:
    said = Predictions(np.array([[2.0], [1.0]], "float32"), np.array([1, 0]), 0.5, kind)
    metric = Metric(name="theirs", summary="", yields=lambda s, t: {"a": "max"}, build=lambda s, t: write)
    theirs = Part("theirs", Offer(metric, "their-package", "3"), Settings())
    with pytest.raises(WritingError, match='the metric "theirs" of their-package 3 writes into') as told:
        build_evaluator(theirs, TWO, "metrics[1]")(said)
    assert "Copy what is to be changed" in str(told.value) and told.value.problems[0].place == "metrics[1]"
    assert (said.logits.tolist(), said.labels.tolist()) == ([[2.0], [1.0]], [1, 0])
    said.logits[0] = 0  # whose they are may still write


def test_predictions_of_ones_own_task_need_be_no_arrays() -> None:
    theirs = part(None, {"a": "max"}, {"a": 1.0})
    bare = Predictions(PREDICTIONS.logits, [["a"], [], ["b"]], 0.5, "of_words")
    assert build_evaluator(theirs, TWO)(bare) == {"a": 1.0}
