"""A trained checkpoint's own order of classes: taken and said, or refused, and never a wrong number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import ftrun
import numpy as np
import pytest
from ftrun.contracts import BuiltModel, Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.execution.class_order import ClassOrder
from helpers import journal_of, slow
from hypothesis import given
from hypothesis import strategies as st
from makers import WORDS, make_word_teller, named

SENTIMENT = Task("classification", ("text",), "label", ("negative", "positive"))
THREE = Task("classification", ("text",), "label", ("entailment", "neutral", "contradiction"))


def experiment(checkpoint: Path, labels: Mapping[str, str], classes: Sequence[str], metrics: Sequence[str]) -> Path:
    """An experiment on texts of one word each, that trains at a rate of zero: the checkpoint is what is measured."""
    folder = checkpoint.parent
    rows = [f"{word},{labels[word]}" for word in labels for _ in range(2 + WORDS.index(word))]
    (folder / "rows.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    tables = "".join(f'[[metrics]]\nuse = "{name}"\n' for name in metrics)
    path = folder / "order.toml"
    path.write_text(
        f"""
name = "order"
[dataset]
use = "files"
train = "rows.csv"
validation = "rows.csv"
text_columns = ["text"]
class_names = {json.dumps(list(classes))}
[model]
use = "sequence-classification"
checkpoint = "./{checkpoint.name}"
[backend]
use = "loop"
[training]
max_steps = 1
learning_rate = 0.0
device = "cpu"
{tables}
[tracking]
enabled = false
pictures = false
"""
    )
    return path


@pytest.mark.parametrize("backend", ["trainer", *map(slow, ("loop", "accelerate"))])
def test_a_perfect_classifier_in_another_order_is_perfect(
    workdir: Path, backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = make_word_teller(workdir / "own", ["good", "bad"], **named("Positive", "NEGATIVE"))
    labels = {"good": "positive", "bad": "negative"}
    file = experiment(checkpoint, labels, ["negative", "positive"], ["accuracy", "f1"])
    result = ftrun.run(file, overrides={"backend.use": backend})
    assert result.metrics["eval/accuracy"] == 1.0 and result.metrics["eval/f1"] == 1.0
    assert result.metrics["eval/loss"] < 0.01
    assert "the checkpoint's order of classes is taken" in capsys.readouterr().out
    kept = json.loads((result.run_folder / "model" / "config.json").read_text())
    assert kept["id2label"] == {"0": "Positive", "1": "NEGATIVE"} and kept["label2id"] == {"Positive": 0, "NEGATIVE": 1}
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert [dict(zip(table["columns"], row, strict=True)) for row in table["data"]] == [
        {"text": word, "label": labels[word], "prediction": labels[word], "correct": True, "probability": ANY}
        for word in ("good", "good", "bad", "bad", "bad")
    ]
    assert journal_of(result.run_folder)[0]["tags"]["ftrun.model.classes"] == '["positive", "negative"]'


def test_binary_scores_count_the_datas_class_1(workdir: Path) -> None:
    checkpoint = make_word_teller(workdir / "own", ["good", "bad"], **named("positive", "negative"))
    file = experiment(checkpoint, {"good": "positive"}, ["negative", "positive"], ["precision", "recall"])
    counts = {"good,positive": 2, "good,negative": 1, "bad,positive": 3, "bad,negative": 4}
    rows = [row for row, count in counts.items() for _ in range(count)]
    (workdir / "rows.csv").write_text("\n".join(["text,label", *rows]))
    metrics = ftrun.run(file, progress=False).metrics
    assert metrics["eval/precision"] == pytest.approx(2 / 3) and metrics["eval/recall"] == pytest.approx(2 / 5)


def test_three_classes_as_mnlis_are_put_in_order(workdir: Path) -> None:
    """As roberta-large-mnli has them."""
    checkpoint = make_word_teller(workdir / "own", WORDS, **named("CONTRADICTION", "NEUTRAL", "ENTAILMENT"))
    labels = dict(zip(WORDS, ("contradiction", "neutral", "entailment"), strict=True))
    result = ftrun.run(experiment(checkpoint, labels, THREE.class_names or (), ["accuracy"]), progress=False)
    assert result.metrics["eval/accuracy"] == 1.0
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert {row[0]: row[1] for row in table["data"]} == labels and all(row[3] for row in table["data"])


def test_anybodys_evaluator_gets_the_datas_order(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ftrun_plugins.metrics.scores as scores

    seen: list[Any] = []
    monkeypatch.setattr(scores, "evaluator", lambda *_: lambda predictions: seen.append(predictions) or {"accuracy": 1})
    checkpoint = make_word_teller(workdir / "own", WORDS, **named("c", "a", "b"))
    file = experiment(checkpoint, dict(zip(WORDS, "cab", strict=True)), ["a", "b", "c"], ["accuracy"])
    ftrun.run(file, progress=False)
    rehearsal, *_, evaluation = seen
    for predictions, rows in ((rehearsal, 8), (evaluation, 9)):
        order = [2, 2, 0, 0, 0, 1, 1, 1, 1][:rows]
        assert predictions.labels.tolist() == order == predictions.logits.argmax(axis=1).tolist()


def test_a_run_resumed_in_another_order_of_classes_is_refused(workdir: Path) -> None:
    from helpers import died_after

    checkpoint = make_word_teller(workdir / "own", ["good", "bad"], **named("positive", "negative"))
    file = experiment(checkpoint, {"good": "positive", "bad": "negative"}, SENTIMENT.class_names or (), ["accuracy"])
    result = ftrun.run(
        file,
        overrides={"training.max_steps": 2, "training.save_strategy": "steps", "training.save_steps": 1},
        progress=False,
    )
    died = died_after(result.run_folder, 1, "died")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | named("negative", "positive")))
    refused = ftrun.resume(died.name, progress=False)
    assert refused.status == "FAILED" and refused.error
    assert "the order of the model's classes" in refused.error and "the model's weights" in refused.error


def built(*names: str) -> BuiltModel:
    model: Any = None
    return BuiltModel(model, None, dict, "key", "own", class_names=names or None)


ABC = Task("classification", ("text",), "label", ("a", "b", "c"))


@given(st.permutations(["a", "b", "c"]), st.lists(st.integers(0, 2), max_size=9))
def test_in_any_order_a_model_says_of_each_row_what_it_said(own: list[str], outputs: list[int]) -> None:
    """A perfect model, in its own order: whatever the order, its logits and labels name the same classes."""
    said = Predictions(np.eye(3)[outputs].reshape(-1, 3), np.array(outputs, np.int64), 0.5)
    told = ClassOrder(built(*own), ABC).in_task_order(said)
    names = ABC.class_names or ()
    assert [names[label] for label in told.labels] == [own[output] for output in outputs]
    assert told.values.tolist() == told.labels.tolist() and told.loss == 0.5
    assert said.labels.tolist() == outputs, "what the model said stays as it was"


def test_several_classes_a_row_change_their_columns() -> None:
    said = Predictions(np.array([[1.0, -1.0, -2.0]]), np.array([[1, 0, 0]]), 0.5, "multi_label")
    told = ClassOrder(built("c", "a", "b"), replace(ABC, kind="multi_label")).in_task_order(said)
    assert told.labels.tolist() == [[0, 0, 1]] == told.values.tolist()


def test_a_class_a_place_is_put_in_order_and_places_without_one_stay_so() -> None:
    said = Predictions(
        np.eye(3)[[[0, 1, 2], [2, 2, 2]]], np.array([[0, 1, -100], [2, -100, -100]]), 0.5, "token_classification"
    )
    told = ClassOrder(built("c", "a", "b"), replace(ABC, kind="token_classification")).in_task_order(said)
    assert told.labels.tolist() == [[2, 0, -100], [1, -100, -100]]
    assert told.values.tolist() == [[2, 0, 1], [1, 1, 1]]


def test_rows_without_labels_are_put_in_order_all_the_same() -> None:
    told = ClassOrder(built("c", "a", "b"), ABC).in_task_order(Predictions(np.eye(3)[[0]], None, None))
    assert told.labels is None and told.values.tolist() == [2]


def test_a_model_in_the_tasks_order_says_what_it_says() -> None:
    said = Predictions(np.eye(3), np.arange(3), 0.5)
    for model in (built(), built("a", "b", "c")):
        assert ClassOrder(model, ABC).in_task_order(said) is said


@pytest.mark.parametrize("own", [("a", "b"), ("a", "b", "x"), ("a", "a", "b"), ("A", "b", "c")])
def test_a_model_of_other_classes_is_refused(own: tuple[str, ...]) -> None:
    with pytest.raises(
        ExperimentError, match=rf"the model gives the classes {', '.join(own)}, and the task has a, b, c"
    ):
        ClassOrder(built(*own), ABC)
