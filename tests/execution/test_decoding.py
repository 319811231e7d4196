"""Metrics and the record have the rows, and what the model itself tells of them, when they ask for it and not before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
import their_parts
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.contracts import BuiltModel, FitResult, Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.decoding import Decoding, RawColumns, Terms
from helpers import died_after, plan_of, points_of, rows_of, slow, splits_of
from plugin_packages import site as site
from their_parts import built

ROWS = rows_of(text=["a", "b", "c"], label=[0, 1, 1], extra=[7, 8, 9])
TASK = Task("classification", ("text",), "label", ("no", "yes"))
SAID = Predictions(np.eye(2)[[0, 1, 0]], np.array([0, 1, 1]), 0.5)


class Counted:
    """A `decode` that counts how often it is asked, and keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[Mapping[str, Sequence[Any]]] = []

    def __call__(self, columns: Mapping[str, Sequence[Any]], predictions: Predictions) -> Mapping[str, Sequence[Any]]:
        self.given.append(columns)
        told = zip(columns["text"], predictions.values, strict=True)
        return {"prediction": [f"{text}{value}" for text, value in told]}


def decoding(tiny: Path, model: BuiltModel) -> Decoding:
    return Decoding(plan_of(tiny).model, model, TASK)


def test_columns_are_read_when_they_are_asked_for() -> None:
    columns = RawColumns(ROWS)
    assert (list(columns), len(columns)) == (["text", "label", "extra"], 3)
    assert columns["extra"] == [7, 8, 9] and "other" not in columns and columns.get("other") is None
    assert RawColumns(ROWS, [2, 0])["text"] == ["c", "a"]


def test_decode_is_asked_once_for_all_metrics_and_sees_no_label(tiny: Path) -> None:
    decode = Counted()
    terms = Terms(lambda predictions: predictions, decoding(tiny, built(decode=decode)), ROWS)
    seen: list[Predictions] = []
    unasked = terms.evaluator(lambda predictions: seen.append(predictions) or {})
    unasked(SAID)
    assert not decode.given, "a metric that does not ask costs nothing"
    asked = terms.evaluator(lambda predictions: {"b1": (predictions.decoded or {})["prediction"].count("b1")})
    assert asked(SAID) == asked(SAID) == {"b1": 1} and len(decode.given) == 1
    assert set(decode.given[0]) == {"text", "extra"} and decode.given[0].get("label") is None
    assert seen[0].rows is not None and seen[0].rows["label"] == [0, 1, 1]


def test_rows_that_nobody_knows_are_none(tiny: Path) -> None:
    terms = Terms(lambda predictions: predictions, decoding(tiny, built(decode=Counted())), ROWS)
    fewer = Predictions(SAID.logits[:2], SAID.labels[:2], 0.5)
    assert (terms(fewer).rows, terms(fewer).decoded) == (None, None)
    bare = Terms(lambda predictions: predictions, decoding(tiny, built()), ROWS)(SAID)
    assert bare.rows is not None and bare.decoded is None


def test_an_evaluator_and_the_record_get_the_tasks_order(tiny: Path) -> None:
    abc = replace(TASK, class_names=("a", "b", "c"))
    order = ClassOrder(built(class_names=("c", "a", "b")), abc)
    said = Predictions(np.eye(3)[[0]], np.array([0]), 0.5)
    terms = Terms(order.in_task_order, decoding(tiny, built(decode=Counted())))
    assert terms.evaluator(lambda predictions: {"class": predictions.labels[0]})(said) == {"class": 2}
    fit = FitResult(3, 1.0, True, {"eval/f1": 1.0}, {"validation": said})
    told = terms.fit(fit, splits_of(rows_of(text=["a"], label=[2])))
    assert told.predictions["validation"].labels.tolist() == [2] and told.metrics == {"eval/f1": 1.0}
    assert dict(told.predictions["validation"].decoded or {}) == {"prediction": ["a2"]}


@pytest.mark.parametrize(
    ("decode", "told"),
    [
        (lambda columns, said: {"text": ["a"]}, 'gives no column "prediction" by decode'),
        (lambda columns, said: {"prediction": ["a"]}, "gives 1 cells of prediction for 3 rows by decode"),
        (lambda columns, said: columns["label"], "raised KeyError: 'label' by decode"),
    ],
)
def test_a_decode_that_is_none_is_blamed_on_the_model(tiny: Path, decode: Any, told: str) -> None:
    whole = decoding(tiny, built(decode=decode)).complete(SAID, RawColumns(ROWS))
    with pytest.raises(ExperimentError, match="model: the model .*" + told):
        dict(whole.decoded or {})


METRIC = """
from collections.abc import Mapping
from ftrun import hookimpl
from ftrun.contracts import Metric, Predictions

def build(settings, task):
    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        assert predictions.rows is not None and predictions.decoded is None
        told, true = predictions.labels.tolist(), predictions.rows[task.label_column]
        assert told == list(true), "each row is its own"
        return {"longest": max(map(len, predictions.rows[task.text_columns[0]]))}
    return evaluate

@hookimpl
def ftrun_metrics():
    return [Metric(name="longest", summary="The longest text", yields=lambda s, t: {"longest": "max"}, build=build)]
"""


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_a_metric_on_rows_is_measured_wherever_metrics_are(tiny: Path, site: Any, backend: str) -> None:
    site.add(METRIC)
    settings = {"metrics": [{"use": "longest"}], "dataset.test": True, "training.max_steps": 4, "backend.use": backend}
    saving = {"training.save_strategy": "steps", "training.save_steps": 2}
    result = ftrun.run(tiny, overrides={**settings, **saving}, progress=False)
    assert result.status == "FINISHED", result.error
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert result.metrics["eval/longest"] == max(len(row[table["columns"].index("sentence1")]) for row in table["data"])
    assert "test/longest" in result.metrics
    resumed = ftrun.resume(died_after(result.run_folder, 2, "died"), progress=False)
    assert resumed.status == "FINISHED" and points_of(resumed.run_folder) == points_of(result.run_folder)
    for data in ("validation", "test"):
        done = CliRunner().invoke(group, ["evaluate", result.run, "--data", data, "--json"], standalone_mode=False)
        assert done.return_value == 0, done.output
        where = "eval" if data == "validation" else "test"
        assert json.loads(done.stdout)["longest"] == result.metrics[f"{where}/longest"]
    looked = CliRunner().invoke(
        group, ["check", "--deep", str(tiny), "--set", 'metrics=[{use="longest"}]'], standalone_mode=False
    )
    assert looked.return_value == 0, looked.output


@pytest.mark.slow
def test_a_backend_that_does_not_say_which_rows_it_predicts_has_them_of_the_only_split(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hits(predictions: Predictions) -> Mapping[str, float]:
        assert predictions.rows is not None and predictions.decoded is not None
        return {"hits": float(list(predictions.decoded["prediction"]) == list(predictions.rows["text"]))}

    decode = lambda columns, said: {"prediction": columns["text"]}  # noqa: E731
    parts: Any = {"metric": lambda settings, task: hits, "model": lambda settings, splits: built(decode=decode)}
    outcome = their_parts.run(parts, workdir, monkeypatch)
    assert outcome.result.metrics == {"eval/hits": 1.0}, outcome.result.error
