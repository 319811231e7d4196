"""What a run writes down of itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ftrun
import numpy as np
import pytest
from ftrun.contracts import BuiltModel, Predictions, Splits, Task
from ftrun.execution.recording import (
    as_toml,
    display_name,
    group_of,
    model_tags,
    plugin_tags,
    record_data,
    record_predictions,
    record_task,
    recorded_task,
    run_tags,
)
from ftrun.planning.catalogue import load_catalogue
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from helpers import journal_of, plan_of, rows_of, splits_of
from plugin_packages import HEAD, Site, offering


def test_predictions_are_a_table_of_the_validation_rows(tiny: Path) -> None:
    result = ftrun.run(tiny, progress=False)
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert table["columns"] == ["idx", "sentence1", "sentence2", "label", "prediction", "correct", "probability"]
    assert len(table["data"]) == 20
    assert sum(row[-2] for row in table["data"]) / 20 == pytest.approx(result.metrics["eval/accuracy"])


def test_predictions_are_json_whatever_the_cells_are(workdir: Path) -> None:
    from datetime import date

    from datasets import Dataset

    rows = Dataset.from_dict(
        {
            "idx": [date(2026, 1, 2), None],
            "note": [{"of": float("nan")}, None],
            "text": ["a", "b"],
            "label": [1.0, float("nan")],
        }
    )
    splits = Splits(Task("regression", ("text", "note")), rows, {"validation": rows}, "mine", "here", "1")
    predicted = Predictions(np.array([[0.5], [np.nan]], np.float32), np.array([1.0, np.nan], np.float32), 0.0)
    folder = RunFolder.create(workdir / "runs", "odd")
    journal = Journal(folder.journal)
    record_predictions(journal, folder, splits, {"validation": predicted})
    journal.close()

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    table = json.loads(folder.predictions("validation").read_text(), parse_constant=refuse)
    assert table["data"] == [["2026-01-02", "a", {"of": None}, 1.0, 0.5], [None, "b", None, None, None]]


def written(workdir: Path, told: Splits, predictions: Mapping[str, Predictions]) -> dict[str, Any]:
    """The table of predictions on `validation`."""
    folder = RunFolder.create(workdir / "runs", "tiny")
    journal = Journal(folder.journal)
    record_predictions(journal, folder, told, predictions)
    journal.close()
    table: dict[str, Any] = json.loads(folder.predictions("validation").read_text(encoding="utf-8"))
    return table


def test_a_row_of_which_the_model_says_no_numbers_has_no_class(workdir: Path) -> None:
    told = splits_of(rows_of(text=["a", "b", "c"], label=[0, 0, 1]))
    logits = np.array([[1.0, 1.0], [np.nan, 1.0], [-np.inf, 0.0]], np.float32)
    one = written(workdir, told, {"validation": Predictions(logits, np.array([0, 0, 1]), 0.5)})
    assert one["data"] == [
        ["a", "no", "no", True, 0.5],
        ["b", "no", None, None, None],
        ["c", "yes", "yes", True, 1.0],
    ]
    several = splits_of(rows_of(text=["a", "b"], label=[[0, 1], [1, 0]]), "multi_label")
    said = Predictions(np.array([[-1, np.nan], [0, -50]], np.float32), np.array([[0, 1], [1, 0]]), 0.5, "multi_label")
    many = written(workdir, several, {"validation": said})
    assert [row[:4] for row in many["data"]] == [["a", ["yes"], None, None], ["b", ["no"], ["no"], True]]


def test_classes_are_told_by_their_names_with_whether_they_are_right(workdir: Path) -> None:
    told = splits_of(rows_of(text=["gut", "负"], label=[1, 0]))
    logits = np.log(np.array([[0.1, 0.9], [0.25, 0.75]])).astype("float32")
    assert written(workdir, told, {"validation": Predictions(logits, np.array([1, 0]), 0.5)}) == {
        "columns": ["text", "label", "prediction", "correct", "probability"],
        "data": [["gut", "yes", "yes", True, pytest.approx(0.9)], ["负", "no", "yes", False, pytest.approx(0.75)]],
    }
    (array,) = Path("runs").glob("*/predictions/validation.npy")
    assert np.load(array).tolist() == logits.tolist()


def test_a_probability_is_there_however_large_the_logits_are(workdir: Path) -> None:
    told = splits_of(rows_of(text=["a", "b", "c"], label=[1, 0, 0]))
    logits = np.array([[-1e4, 1e4], [1e-30, 0], [np.nan, 0]], np.float32)
    table = written(workdir, told, {"validation": Predictions(logits, np.array([1, 0, 0]), 0.5)})
    assert [row[-1] for row in table["data"]] == [1.0, 0.5, None]


def test_several_classes_a_row_are_told_by_their_names(workdir: Path) -> None:
    told = splits_of(rows_of(text=["a", "b", "c"], label=[[1, 1], [0, 1], [0, 0]]), "multi_label")
    logits = np.array([[1.0, 2.0], [1.0, 1.0], [-1.0, -1.0]], np.float32)
    labels = np.array([[1, 1], [0, 1], [0, 0]])
    table = written(workdir, told, {"validation": Predictions(logits, labels, 0.5, "multi_label")})
    assert table["data"] == [
        ["a", ["no", "yes"], ["no", "yes"], True, *map(pytest.approx, (0.7310586, 0.8807971))],
        ["b", ["yes"], ["no", "yes"], False, *map(pytest.approx, (0.7310586, 0.7310586))],
        ["c", [], [], True, *map(pytest.approx, (0.2689414, 0.2689414))],
    ]
    assert table["columns"][-2:] == ["probability_no", "probability_yes"]


def test_a_class_a_place_is_told_where_there_is_one(workdir: Path) -> None:
    told = splits_of(rows_of(text=["a b", "c"], label=[[1, 0], [1]]), "token_classification")
    logits = np.eye(2, dtype=np.float32)[[[0, 1, 0], [0, 0, 1]]]
    predicted = Predictions(logits, np.array([[-100, 1, 0], [-100, 1, -100]]), 0.5, "token_classification")
    assert written(workdir, told, {"validation": predicted})["data"] == [
        ["a b", ["yes", "no"], ["yes", "no"], True],
        ["c", ["yes"], ["no"], False],
    ]


def test_a_task_of_ones_own_is_told_as_its_model_decodes_it(workdir: Path) -> None:
    rows = rows_of(text=["a b", "c"], label=[[1, 0], [1]], idx=[4, 5])
    told, shape = splits_of(rows, "token_classification"), (np.zeros((2, 3, 2)), np.zeros((2, 3)))

    def table(labelled: bool = True, **decoded: list[Any]) -> dict[str, Any]:
        columns = {name: rows[name][:] for name in rows.column_names}
        labels = shape[1] if labelled else None
        said = Predictions(shape[0], labels, 0.5, "token_classification", columns, decoded)
        return written(workdir, told, {"validation": said})

    assert table(prediction=["A", ""], sure=[0.5, float("nan")], text=["x", "y"]) == {
        "columns": ["idx", "text", "label", "prediction", "sure"],
        "data": [[4, "a b", ["yes", "no"], "A", 0.5], [5, "c", ["yes"], "", None]],
    }
    assert table(prediction=[["yes", "no"], [None]])["data"] == [
        [4, "a b", ["yes", "no"], ["yes", "no"], True],
        [5, "c", ["yes"], [None], False],
    ]
    assert table(labelled=False, prediction=["A", "C"])["columns"] == ["idx", "text", "prediction"]


def test_a_label_that_is_no_class_stands_as_the_data_has_it(workdir: Path) -> None:
    rows = rows_of(text=["a", "b"], label=["Paris", "Rome"])
    told = splits_of(rows, "answers")
    columns = {"text": ["a", "b"], "label": ["Paris", "Rome"]}
    said = Predictions(np.zeros((2, 3, 2)), np.zeros((2, 3)), 0.5, "answers", columns, {"prediction": ["Paris", "no"]})
    table = written(workdir, told, {"validation": said})
    assert table == {
        "columns": ["text", "label", "prediction"],
        "data": [["a", "Paris", "Paris"], ["b", "Rome", "no"]],
    }


def test_rows_without_their_text_are_told_by_their_labels_alone(workdir: Path) -> None:
    told = splits_of(rows_of(label=[0.5, 1.5]), "regression")
    predicted = Predictions(np.array([[1.0], [2.0]], np.float32), np.array([0.5, 1.5], np.float32), 0.5)
    assert written(workdir, told, {"validation": predicted}) == {
        "columns": ["label", "prediction"],
        "data": [[0.5, 1.0], [1.5, 2.0]],
    }


def test_the_tables_are_named_for_mlflow_to_show_them(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "tiny")
    journal = Journal(folder.journal)
    predicted = Predictions(np.array([[1.0]], np.float32), np.array([0.5], np.float32), 0.5)
    both = {"validation": rows_of(text=["a"], label=[0.5]), "hard": rows_of(text=["a"], label=[0.5])}
    told = splits_of(both["hard"], "regression", evaluation=both)
    record_predictions(journal, folder, told, dict.fromkeys(both, predicted))
    journal.close()
    *artifacts, tags = journal_of(folder.path)
    assert [record["path"] for record in artifacts] == ["predictions/validation.json", "predictions/hard.json"]
    shown = json.loads(tags["tags"]["mlflow.loggedArtifacts"])
    assert shown == [{"path": record["path"], "type": "table"} for record in artifacts]


def test_data_that_are_recorded_already_are_not_recorded_again(workdir: Path) -> None:
    journal = Journal(workdir / "journal.jsonl")
    record_data(journal, splits_of(rows_of(text=["a"], label=[0]), train_split="rows"), [("evaluation", "validation")])
    journal.close()
    (record,) = journal_of(workdir)
    assert (record["context"], record["split"], record["name"], record["rows"]) == ("training", "rows", "mine/rows", 1)
    assert record["columns"] == ["text", "label"]


def test_the_experiment_on_record_runs_as_it_stands(tiny: Path) -> None:
    plan = plan_of(tiny, {"training.max_steps": 3})
    (tiny.parent / "again.toml").write_text(as_toml(plan.resolved()))
    assert plan_of(tiny.parent / "again.toml").resolved() == plan.resolved()


def test_tags_say_what_the_numbers_depend_on_and_where_the_run_comes_from(tiny: Path) -> None:
    plan = plan_of(tiny)
    folder = RunFolder(tiny.parent / "runs" / "tiny-1")
    tags = run_tags(plan, folder, {"device": "cpu", "threads": "2"})
    assert tags["ftrun.run"] == "tiny-1" and tags["ftrun.backend"] == "loop" and tags["ftrun.seed"] == "1"
    assert tags["ftrun.device"] == "cpu" and tags["ftrun.threads"] == "2" and tags["ftrun.version.torch"]
    assert tags["mlflow.source.name"] == str(tiny) and "ftrun.profile" not in tags
    assert all(isinstance(value, str) for value in tags.values())


def test_the_plugins_that_provide_a_part_or_look_on_are_told_by_name_and_version(tiny: Path, site: Site) -> None:
    observing = "@hookimpl\ndef ftrun_run_finished(run): pass"
    site.add(offering("metric", "metric()", before=observing), version="2.0")
    site.add(f"{HEAD}\n{observing}", "looking-on")
    site.add(offering("metric", "metric(name='other')"), "not-used")
    plan, catalogue = plan_of(tiny, {"metrics.1.use": "half"}), load_catalogue()
    told = plugin_tags(plan, catalogue)
    assert told.pop("ftrun.plugin.ftrun").endswith("backend loop; metrics[0] glue")
    assert len(told.pop("ftrun.code.their-package")) == 64
    assert told == {
        "ftrun.plugin.their-package": "2.0: metrics[1] half; observes ftrun_run_finished",
        "ftrun.plugin.looking-on": "1.0: observes ftrun_run_finished",
    }


def test_a_run_is_called_by_what_differs_or_as_the_file_says(tiny: Path) -> None:
    folder = RunFolder(tiny.parent / "runs" / "tiny-20260101T000000Z-a1e151")
    assert display_name(plan_of(tiny, {"backend.use": "trainer", "seed": 7}), folder) == "trainer s7 a1e151"
    assert display_name(plan_of(tiny, {"tracking.run_name": "the big one"}), folder) == "the big one"


def test_tags_of_the_file_are_beside_the_runs_own(tiny: Path) -> None:
    folder = RunFolder(tiny.parent / "runs" / "tiny-1")
    tags = run_tags(plan_of(tiny, {"tracking.tags": {"team": "nlp", "mlflow.note.content": "mine"}}), folder, {})
    assert tags["team"] == "nlp" and tags["mlflow.note.content"] == "mine" and tags["ftrun.run"] == "tiny-1"


def test_runs_that_differ_in_nothing_but_the_seed_are_one_group(tiny: Path) -> None:
    group = group_of(plan_of(tiny))
    same = {"seed": 2, "name": "other", "tracking.run_name": "x"}
    assert [group_of(plan_of(tiny, {key: value})) for key, value in same.items()] == [group] * 3
    others = {"training.learning_rate": 2e-3, "training.data_seed": 3, "backend.use": "trainer"}
    assert len({group, *(group_of(plan_of(tiny, {key: value})) for key, value in others.items())}) == 4


def test_who_has_no_name_on_this_machine_runs_all_the_same(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert run_tags(plan_of(tiny), RunFolder(tiny.parent), {})["mlflow.user"] == "unknown"


def test_the_models_tags_say_which_weights_and_whose_order() -> None:
    model: Any = None
    built = BuiltModel(model, None, dict, "key", "google-bert/bert-base-uncased")
    assert model_tags(built) == {"ftrun.model.source": "google-bert/bert-base-uncased"}
    told = model_tags(replace(built, digest="ab", class_names=("负", "正")))
    assert told["ftrun.model.digest"] == "ab" and told["ftrun.model.classes"] == '["负", "正"]'
    assert len(model_tags(replace(built, class_names=("x" * 99,) * 99))["ftrun.model.classes"]) == 5000


def test_the_task_is_there_for_who_predicts(tiny: Path) -> None:
    result = ftrun.run(tiny, overrides={"training.max_steps": 1}, progress=False)
    folder = RunFolder(result.run_folder)
    task = recorded_task(folder)
    assert task and (task.kind, task.text_columns) == ("classification", ("sentence1", "sentence2"))
    assert task.class_names == ("not_equivalent", "equivalent")
    regression = Task("regression", ("text",), "score")
    journal = Journal(folder.journal)
    record_task(journal, folder, regression)
    journal.close()
    assert journal_of(folder.path)[-1]["path"] == "task.json"
    assert recorded_task(folder) == regression
    folder.task.write_text('{"kind": 1}')
    assert recorded_task(folder) is None
