"""Predictions are the run's own, on every row; what is wrong with rows is told before anything is computed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import Predictions, Task
from ftrun.errors import ExperimentError
from ftrun.execution.prediction import added_columns, inputs_of, predicting, probabilities_of, table_of_split
from ftrun.execution.row_tables import RowTable
from ftrun.execution.trained import find_trained
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import load_catalogue
from helpers import rows_of, run, slow, splits_of
from makers import WORDS, make_checkpoint, make_word_teller, named
from test_own_backend import bag as bag

SINGLE = [{"text": f"{word} {'film ' * (row % 7)}", "label": word} for row in range(9) for word in ("good", "bad")]
SCORES = [{"text": f"word {'longer ' * (row % 7)}", "label": row / 4} for row in range(19)]


def files(rows: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
    """A data set of one file, to train and to evaluate on."""
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    return {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"], **settings}


def predicted(
    target: str | Path, table: RowTable | None = None, split: str = "validation", text_columns: tuple[str, ...] = ()
) -> dict[str, list[Any]]:
    with predicting(find_trained(str(target), load_catalogue(), "cpu"), Watcher()) as predictor:
        return predictor.predict(table or table_of_split(predictor.splits, split), text_columns)


def recorded(result: ftrun.RunResult) -> dict[str, list[Any]]:
    """The table of a run's predictions, by column."""
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    return {name: [row[place] for row in table["data"]] for place, name in enumerate(table["columns"])}


def test_encode_gets_every_column_of_rows_but_the_label() -> None:
    table = RowTable("mine", {"review": ["a"], "answer": [None], "text": ["other"], "label": ["yes"]})
    task = Task("answers", ("text",), class_names=("no", "yes"))
    assert inputs_of(table, task, ["review"]) == {"text": ["a"], "review": ["a"], "answer": [None]}


def test_only_probabilities_are_told_as_such() -> None:
    shares = {"prediction": ["a", "b"], "probability_a": [0.9, 0.2], "probability_b": [0.1, 0.8]}
    assert probabilities_of(shares) == [{"a": 0.9, "b": 0.1}, {"a": 0.2, "b": 0.8}]
    assert probabilities_of({"prediction": ["Paris"], "prediction_start": [-1], "margin": [-0.14]}) is None
    assert probabilities_of({"prediction": [1.5]}) is None


@pytest.mark.parametrize("kind", ["classification", "of_places"])
def test_the_labels_of_a_split_are_shown_by_name(kind: str) -> None:
    labels = {"classification": [1, 0, -1], "of_places": [[1, 0], [], [0, -100]]}[kind]
    splits = splits_of(rows_of(text=["a", "b", "c"], label=labels), kind)
    shown = {"classification": ["yes", "no", None], "of_places": [["yes", "no"], [], ["no", None]]}[kind]
    assert table_of_split(splits, "validation").columns["label"] == shown


@pytest.mark.parametrize("backend", ["trainer", *map(slow, ("loop", "accelerate"))])
def test_a_pairs_predictions_are_the_runs_own_on_every_row(tiny: Path, backend: str) -> None:
    result = run(tiny, {"backend": {"use": backend}, "dataset.max_eval_samples": 146})
    told = predicted(result.run_folder)
    assert len(told["prediction"]) == 146
    assert told["prediction"] == recorded(result)["prediction"]
    for row, name in enumerate(told["prediction"]):
        shares = {key.removeprefix("probability_"): cells[row] for key, cells in told.items() if key != "prediction"}
        assert max(shares, key=lambda key: shares[key]) == name and math.isclose(sum(shares.values()), 1)


def test_single_texts_and_their_classes_are_the_runs_own(tiny: Path) -> None:
    result = run(tiny, {"dataset": files(SINGLE), "metrics": [{"use": "accuracy"}], "model.max_length": 6})
    told = predicted(result.run_folder)
    assert told["prediction"] == recorded(result)["prediction"]
    assert list(told) == ["prediction", "probability_bad", "probability_good"]


def test_a_regressions_numbers_are_the_runs_own_to_the_last_bit(tiny: Path) -> None:
    changed = {"dataset": files(SCORES, kind="regression"), "metrics": []}
    result = run(tiny, changed)
    assert predicted(result.run_folder) == {"prediction": recorded(result)["prediction"]}


def test_a_checkpoints_own_order_of_classes_is_put_into_the_datas(tiny: Path) -> None:
    make_word_teller(Path("teller"), ["soso", "good", "bad"], **named("soso", "good", "bad"))
    rows = [{"text": word, "label": word} for word in WORDS]
    model = {"use": "sequence-classification", "checkpoint": "./teller"}
    result = run(tiny, {"dataset": files(rows), "model": model, "metrics": [], "training.learning_rate": 0.0})
    told = predicted(result.run_folder, RowTable("rows", {"text": ["bad", "good", "soso"]}))
    assert told["prediction"] == ["bad", "good", "soso"]
    assert list(told) == ["prediction", "probability_bad", "probability_good", "probability_soso"]
    assert told["probability_good"][1] > 0.9
    shutil.rmtree("teller")
    assert predicted(result.run_folder)["prediction"] == WORDS


def test_rows_need_no_label_and_columns_may_be_called_otherwise(tiny: Path) -> None:
    result = run(tiny, {"training.max_steps": 2})
    table = RowTable("rows", {"a": ["one"], "b": ["two"]})
    with pytest.raises(ExperimentError, match='rows has no column "sentence1", "sentence2"'):
        predicted(result.run_folder, table)
    told = predicted(result.run_folder, table, text_columns=("a", "b"))
    assert told == predicted(result.run_folder, RowTable("rows", {"sentence1": ["one"], "sentence2": ["two"]}))
    with pytest.raises(ExperimentError, match="there must be as many"):
        predicted(result.run_folder, table, text_columns=("a",))


def test_every_split_of_the_runs_data_is_there_by_its_name(tiny: Path) -> None:
    result = run(tiny, {"training.max_steps": 2})
    assert len(predicted(result.run_folder, split="test")["prediction"]) == 146
    assert len(predicted(result.run_folder, split="train")["prediction"]) == 44
    with pytest.raises(ExperimentError, match=r'no split "vlidation".*\n.*Did you mean validation\?'):
        predicted(result.run_folder, split="vlidation")


def test_a_name_of_what_is_predicted_is_taken_by_nothing_else(tiny: Path) -> None:
    result = run(tiny, {"training.max_steps": 2})
    columns = {"sentence1": ["one"], "sentence2": ["two"], "probability_equivalent": ["0.5"]}
    with pytest.raises(ExperimentError, match='has a column "probability_equivalent" already'):
        predicted(result.run_folder, RowTable("rows", columns))


def test_a_model_of_another_making_predicts_in_its_own_terms(workdir: Path) -> None:
    make_word_teller(Path("teller"), ["good", "bad"], **named("thumbs up", "thumbs down"))
    told = predicted("teller", RowTable("rows", {"id": [1, 2], "text": ["bad", "good"]}))
    assert told["prediction"] == ["thumbs down", "thumbs up"]
    with pytest.raises(ExperimentError, match=r"no column that is known to hold the text.*\n.*--text-column"):
        predicted("teller", RowTable("rows", {"review": ["bad"]}))
    with pytest.raises(ExperimentError, match=r"no run is known of .*teller, so it has no splits"):
        predicted("teller")


def test_a_model_without_a_head_is_refused(workdir: Path) -> None:
    make_checkpoint(workdir / "base")
    with pytest.raises(ExperimentError, match="no head that was trained"):
        predicted("base", RowTable("rows", {"text": ["a"]}))


@pytest.mark.usefixtures("bag")
def test_a_model_that_cannot_be_read_back_says_so(tiny: Path) -> None:
    result = run(tiny, {"model": {"use": "bag"}, "collator": {"use": "bag"}, "training.max_steps": 1})
    with pytest.raises(ExperimentError, match=r'model "bag".*does not say how to read back what it saved.*\n.*`load`'):
        predicted(result.run_folder)


def test_what_a_model_encodes_of_further_rows_is_held_to_one_for_each(tiny: Path) -> None:
    result = run(tiny, {"training.max_steps": 1})
    with predicting(find_trained(result.run, load_catalogue(), "cpu"), Watcher()) as predictor:
        built = predictor._load(predictor.task)
        short = replace(built, encode=lambda batch: {**built.encode(batch), "input_ids": [[1]]})
        columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"]}
        with pytest.raises(
            ExperimentError, match=r'the model "sequence.* gives 1 rows of input_ids by encode for 2 rows'
        ):
            predictor.said("rows", 2, columns, predictor.task, built=short)


def test_labels_are_told_in_the_datas_terms(tiny: Path) -> None:
    result = run(tiny, {"training.max_steps": 2})
    with predicting(find_trained(result.run, load_catalogue(), "cpu"), Watcher()) as predictor:
        table = table_of_split(predictor.splits, "validation")
    assert set(table.columns["label"]) == {"equivalent", "not_equivalent"}


def columns_of(task: Task, logits: list[list[float]]) -> Mapping[str, list[Any]]:
    return added_columns(task, Predictions(np.array(logits, dtype="float32"), None, None, task.kind))


def test_probabilities_of_logits_of_any_size() -> None:
    task = Task("classification", ("text",), class_names=("a", "b"))
    assert columns_of(task, [[-1000, 1000], [0, 0]]) == {
        "prediction": ["b", "a"],
        "probability_a": [0.0, 0.5],
        "probability_b": [1.0, 0.5],
    }
    told = columns_of(replace(task, kind="multi_label"), [[-1000, 1000], [3, 3]])
    assert told["prediction"] == [["b"], ["a", "b"]] and told["probability_b"][0] == 1.0
    assert columns_of(Task("regression", ("text",)), [[0.5], [2]]) == {"prediction": [0.5, 2.0]}
