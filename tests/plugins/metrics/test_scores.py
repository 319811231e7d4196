"""Metrics: the numbers that they promise, by their definition, offline and without traces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import Metric, Predictions, Task
from ftrun.errors import ExperimentError, RunError
from ftrun.planning.catalogue import load_catalogue
from hypothesis import given, settings
from hypothesis import strategies as st

TWO = Task("classification", ("text",), "label", ("no", "yes"), "glue/mrpc")
THREE = Task("classification", ("text",), "label", ("a", "b", "c"))
NUMBER = Task("regression", ("text",), "label")


def compute(name: str, task: Task, predictions: list[Any], labels: list[Any], **values: Any) -> dict[str, float]:
    component = load_catalogue().find("metric", name, "").component
    assert isinstance(component, Metric)
    options = component.settings(**values)
    if task.kind == "regression":
        logits, references = np.array(predictions, "float32")[:, None], np.array(labels, "float32")
    else:
        logits, references = np.eye(task.num_labels, dtype="float32")[predictions], np.array(labels)
    computed = dict(component.build(options, task)(Predictions(logits, references, 0.0)))
    assert set(computed) == set(component.yields(options, task))
    return computed


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30))
def test_accuracy_and_f1_are_what_they_are_defined_to_be(pairs: list[tuple[int, int]]) -> None:
    said, true = zip(*pairs, strict=True)
    hits = sum(a == b == 1 for a, b in pairs)
    found = compute("glue", TWO, list(said), list(true))
    assert found["accuracy"] == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
    assert found["f1"] == pytest.approx(2 * hits / (sum(said) + sum(true)) if sum(said) + sum(true) else 0.0)


def test_the_course_majority_class_of_mrpc_scores_as_people_puzzle_over() -> None:
    labels = [1] * 279 + [0] * 129
    assert compute("glue", TWO, [1] * 408, labels) == {
        "accuracy": pytest.approx(0.6838, abs=1e-4),
        "f1": pytest.approx(0.8122, abs=1e-4),
    }


@pytest.mark.parametrize(
    ("benchmark", "task", "expected"),
    [
        ("glue/cola", TWO, {"matthews_correlation"}),
        ("glue/stsb", NUMBER, {"pearson", "spearmanr"}),
        ("glue/mnli", THREE, {"accuracy"}),
    ],
)
def test_glue_measures_what_glue_takes(benchmark: str, task: Task, expected: set[str]) -> None:
    task = Task(task.kind, task.text_columns, task.label_column, task.class_names, benchmark)
    assert set(compute("glue", task, [0, 1], [0, 1])) == expected


def test_many_classes_are_averaged_macro_unless_told() -> None:
    said, true = [0, 0, 1, 2], [0, 1, 1, 2]
    assert compute("f1", THREE, said, true)["f1"] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert compute("f1", THREE, said, true, average="micro")["f1"] == pytest.approx(3 / 4)


def test_correlation_is_of_the_ranks_too() -> None:
    assert compute("correlation", NUMBER, [1.0, 2.0, 4.0], [1.0, 2.0, 3.0])["spearmanr"] == pytest.approx(1.0)


@pytest.mark.parametrize("constant", [([2.0, 2.0], [1.0, 3.0]), ([1.0, 3.0], [2.0, 2.0]), ([1.0], [1.0])])
def test_a_constant_correlates_with_nothing(constant: tuple[list[float], list[float]]) -> None:
    assert all(value != value for value in compute("correlation", NUMBER, *constant).values())


def test_errors_are_computed_in_full_where_float32_would_have_no_square() -> None:
    assert compute("regression-errors", NUMBER, [3e20, 0.0], [0.0, 0.0])["mse"] == pytest.approx(4.5e40)


@pytest.mark.parametrize("name", ["f1", "precision", "recall", "roc_auc", "average_precision"])
def test_of_two_classes_the_second_is_measured_unless_another_is_named(name: str) -> None:
    said, true, other = [0, 0, 1, 1, 1], [0, 1, 1, 1, 0], [1, 1, 0, 0, 0]
    found = compute(name, TWO, said, true)
    assert compute(name, TWO, said, true, positive_class="yes") == found
    swapped = [1 - label for label in true]
    assert compute(name, TWO, said, true, positive_class="no") == pytest.approx(compute(name, TWO, other, swapped))


@pytest.mark.parametrize(
    ("task", "values", "words"),
    [
        (TWO, {"positive_class": "Yes"}, 'there is no class "Yes"'),
        (TWO, {"positive_class": "yes", "average": "macro"}, "one class of two, and all classes are averaged"),
        (THREE, {"positive_class": "a"}, "one class of two, and all classes are averaged"),
    ],
)
def test_a_class_that_cannot_be_the_one_is_refused(task: Task, values: Any, words: str) -> None:
    component: Any = load_catalogue().find("metric", "f1", "").component
    with pytest.raises(ExperimentError, match=words):
        component.yields(component.settings(**values), task)


def test_a_run_says_once_which_class_is_measured(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of_one = [{"use": "f1"}, {"use": "recall"}, {"use": "precision", "average": "macro"}]
    ftrun.run(tiny, overrides={"metrics": of_one, "training.max_steps": 1})
    told = " ".join(capsys.readouterr().out.split())
    assert told.count('metrics of one class are of "equivalent", the second; positive_class = "not_equivalent"') == 1


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_one_class_that_rows_may_have_is_measured_alone(average: str) -> None:
    """Not averaged with the rows that are not of it, as if these were of another class."""
    toxic = Task("multi_label", ("text",), "label", ("toxic",))
    metric: Any = load_catalogue().find("metric", "f1", "").component
    said = Predictions(np.array([[1], [-1], [-1]], "float32"), np.array([[1], [1], [0]]), 0.5, "multi_label")
    assert metric.build(metric.settings(average=average), toxic)(said) == {"f1": pytest.approx(2 / 3)}
    assert metric.build(metric.settings(average="samples"), toxic)(said) == {"f1": pytest.approx(1 / 3)}


def test_no_lock_file_is_left_behind() -> None:
    before = set(Path(os.environ["HF_HOME"]).rglob("*"))
    compute("accuracy", TWO, [0], [0])
    assert set(Path(os.environ["HF_HOME"]).rglob("*")) == before


SCRIPT = """
import datasets
import evaluate

class Share(evaluate.Metric):
    def _info(self):
        columns = {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
        return evaluate.MetricInfo(description="", citation="", features=datasets.Features(columns))

    def _compute(self, predictions, references, of=1):
        return {"share": sum(p == of for p in predictions) / len(predictions)}
"""


def test_a_module_of_evaluate_is_run_when_it_is_trusted(tiny: Path) -> None:
    (tiny.parent / "share.py").write_text(SCRIPT)
    metric = {"use": "evaluate", "path": "./share.py", "yields": {"share": "max"}, "trust_remote_code": True}
    both = [{**metric, "options": {"of": 0}}]
    result = ftrun.run(tiny, overrides={"metrics": both, "training.max_steps": 1}, progress=False)
    assert result.status == "FINISHED", (result.error, (result.run_folder / "log.txt").read_text())
    assert 0 <= result.metrics["eval/share"] <= 1


MANY = Task("multi_label", ("text",), "label", ("a", "b", "c"))
SAID, TRUE = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 0]]), np.array([[1, 0, 0], [0, 0, 0], [1, 1, 1]])


def of_many(name: str, task: Task = MANY, **values: Any) -> float:
    component = load_catalogue().find("metric", name, "").component
    assert isinstance(component, Metric)
    options = component.settings(**values)
    (number,) = component.yields(options, task)
    said = Predictions(np.where(SAID == 1, 1.0, -1.0).astype("float32"), TRUE, 0.0, "multi_label")
    return float(component.build(options, task)(said)[number])


def test_of_any_number_of_classes_all_must_be_right_or_each_counts() -> None:
    assert of_many("accuracy") == pytest.approx(1 / 3)
    assert of_many("f1", average="micro") == pytest.approx(2 * 3 / (4 + 4))
    assert of_many("f1") == of_many("f1", average="macro") == pytest.approx((1 + 1 + 0) / 3)
    assert of_many("f1", average="weighted") == pytest.approx((2 * 1 + 1 * 1 + 1 * 0) / 4)
    assert of_many("f1", average="samples") == pytest.approx((2 / 3 + 0 + 4 / 5) / 3)
    assert of_many("precision", average="micro") == of_many("recall", average="micro") == 0.75


@pytest.mark.parametrize(
    ("name", "task", "values", "words"),
    [
        ("f1", MANY, {"average": "binary"}, '"binary" is for one class a row'),
        ("f1", THREE, {"average": "samples"}, '"samples" is for any number of classes a row'),
        ("matthews_correlation", MANY, {}, "a metric of classification, and the task is multi_label"),
        ("glue", MANY, {}, "none of GLUE's tasks"),
        ("accuracy", NUMBER, {}, "a metric of classification and multi_label, and the task is regression"),
    ],
)
def test_a_metric_that_does_not_suit_the_task_is_refused(name: str, task: Task, values: Any, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        of_many(name, task, **values)


@pytest.mark.parametrize(
    ("script", "told"), [("def (", "SyntaxError"), ("1 / 0", "ZeroDivisionError"), ("import no_x", "no_x")]
)
def test_a_script_that_cannot_be_run_is_told(workdir: Path, script: str, told: str) -> None:
    from ftrun_plugins.metrics.scores import evaluate_module

    (workdir / "odd.py").write_text(script)
    with pytest.raises(RunError, match=rf"the metric \./odd\.py cannot be loaded: .*{told}"):
        evaluate_module("./odd.py", ["x"], {})


def test_no_folder_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ftrun_plugins.metrics.scores import Scores

    (tmp_path / "file").touch()
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", str(tmp_path / "file" / "metrics"))
    metric = Scores(["accuracy"], "classification", "macro")
    assert metric.compute(predictions=[0, 1], references=[0, 0]) == {"accuracy": 0.5}
