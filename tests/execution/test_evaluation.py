"""Metrics on further rows are those that the run would have had, and stand on its record once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner, Result
from ftrun.cli import group
from ftrun.contracts import Task
from ftrun.errors import ExperimentError, RunError
from ftrun.execution.class_weights import WEIGHTS_TAG
from ftrun.execution.evaluation import check_name
from ftrun.runs.folder import RunFolder
from ftrun.tracking.sender import deliver
from helpers import TRACKED, Ftrun, journal_of, mlflow_client, points_in_mlflow, points_of, run
from safetensors.torch import load_file, save_file

AT = {"training.max_steps": 4}
TASK = Task("classification", ("text",), "label", ("no", "yes", "1"))


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["evaluate", *map(str, arguments)], standalone_mode=False)


def test_the_runs_own_split_gives_the_runs_own_numbers_and_goes_on_its_record(tiny: Path) -> None:
    result = run(tiny, AT)
    Path("validation").mkdir()  # and nothing that is called so hides a split
    done = evaluate(result.run, "--data", "validation", "--device", "cpu", "--json")
    assert done.return_value == 0, done.output
    numbers = json.loads(done.stdout)
    assert numbers == {key.removeprefix("eval/"): value for key, value in result.metrics.items()}
    points = points_of(result.run_folder)
    assert {key: points[f"eval/validation/{key}", 4] for key in numbers} == numbers
    before = journal_of(result.run_folder)
    assert evaluate(result.run, "--data", "validation", "--device", "cpu").return_value == 0
    assert journal_of(result.run_folder) == before


@pytest.mark.parametrize(
    "settings",
    [
        {},
        pytest.param({"backend.use": "trainer", "training.bf16": True}, marks=pytest.mark.slow),
        pytest.param(
            {
                "backend.use": "accelerate",
                "training.eval_strategy": "steps",
                "training.eval_steps": 1,
                "training.save_strategy": "steps",
                "training.save_steps": 1,
                "training.load_best_model_at_end": True,
                "training.class_weights": "balanced",
                "training.per_device_eval_batch_size": 3,
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_split_that_is_not_what_the_run_has_measured_is_told(tiny: Path, settings: dict[str, Any]) -> None:
    result = run(tiny, {**AT, **settings})
    same = evaluate(result.run, "--data", "validation", "--device", "cpu")
    assert same.return_value == 0 and "in the run" not in same.stderr, same.output
    weights = result.run_folder / "model" / "model.safetensors"
    tensors = load_file(weights)
    turned = {name: -8 * tensor if "classifier" in name else tensor for name, tensor in tensors.items()}
    save_file(turned, weights, {"format": "pt"})
    other = evaluate(result.run, "--data", "validation", "--device", "cpu")
    (told,) = [line for line in other.stderr.splitlines() if "in the run eval/loss was " in line]
    assert f"eval/loss was {result.metrics['eval/loss']:.5g}, and it is " in told, other.output
    assert "model, data or code are not what they were" in other.stderr


def test_a_files_rows_are_measured_by_the_names_of_their_classes(tiny: Path) -> None:
    result = run(tiny, AT)
    rows = "sentence1,sentence2,label\na,b,equivalent\nc,d,not_equivalent\n"
    Path("new.csv").write_text(rows)
    done = evaluate(result.run, "--data", "new.csv", "--device", "cpu")
    assert done.return_value == 0 and "accuracy  0.5000" in done.stdout, done.output
    assert points_of(result.run_folder)["eval/new/accuracy", 4] == 0.5
    Path("new.csv").write_text(rows.replace(",equivalent", ",not_equivalent"))
    other = evaluate(result.run, "--data", "new.csv", "--device", "cpu")
    assert '"eval/new/accuracy"' in other.stderr and "stay on the record" in other.stderr, other.output
    assert points_of(result.run_folder)["eval/new/accuracy", 4] == 0.5
    checkpoint = evaluate(result.run_folder / "model", "--data", "new.csv", "--name", "by folder", "--device", "cpu")
    assert points_of(result.run_folder)["eval/by folder/accuracy", 4] in (0.0, 1.0), checkpoint.output


@pytest.mark.slow
def test_mlflow_has_the_points_at_the_models_step(tiny: Path, store: Path, ftrun_command: Ftrun) -> None:
    result = run(tiny, {**AT, **TRACKED})
    done = ftrun_command("evaluate", result.run, "--data", "test", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert not deliver(RunFolder(result.run_folder), None).pending
    points = points_in_mlflow(result)
    assert points["eval/test/f1", 4] == points_of(result.run_folder)["eval/test/f1", 4]
    assert mlflow_client(result).get_run(result.run_id).info.status == "FINISHED"


@pytest.mark.parametrize("weights", [[1.0, 3.0], "balanced"])
def test_the_loss_is_weighed_as_it_was_in_training_though_its_rows_are_gone(tiny: Path, weights: Any) -> None:
    Path("rows.csv").write_text("text,label\na,x\nb,y\nc,y\nd,y\n")
    data = {"use": "files", "train": "rows.csv", "validation": "rows.csv", "text_columns": ["text"]}
    result = run(tiny, {**AT, "dataset": data, "metrics": [], "training.class_weights": weights})
    Path("rows.csv").rename("new.csv")
    done = evaluate(result.run, "--data", "new.csv", "--device", "cpu", "--json")
    assert json.loads(done.stdout) == {"loss": result.metrics["eval/loss"]}, done.output


def test_a_split_is_measured_by_the_classes_that_the_model_knows(tiny: Path) -> None:
    def rows_of(classes: str) -> str:
        return "text,label\n" + "".join(f"row {row},{classes[row % len(classes)]}\n" for row in range(24))

    Path("rows.csv").write_text(rows_of("abc"))
    Path("new.csv").write_text(rows_of("cb"))
    data = {"use": "files", "train": "rows.csv", "validation": "new.csv", "text_columns": ["text"]}
    result = run(tiny, {**AT, "dataset": data, "metrics": [{"use": "accuracy"}]})
    Path("rows.csv").write_text(rows_of("cb"))  # a is gone, so the data set numbers the others anew
    done = evaluate(result.run, "--data", "validation", "--device", "cpu", "--json")
    numbers = {key.removeprefix("eval/"): value for key, value in result.metrics.items()}
    assert json.loads(done.stdout) == numbers and "since the run" in done.stderr, done.output
    Path("rows.csv").write_text(rows_of("0abc"))
    assert json.loads(evaluate(result.run, "--data", "validation", "--device", "cpu", "--json").stdout) == numbers
    done = evaluate(result.run, "--data", "train", "--device", "cpu")
    assert done.return_value == 2, done.output
    assert 'train has "0" in column "label", row 1, which is none of the classes' in done.stderr


def test_a_run_that_has_not_recorded_its_weights_says_why_there_is_no_loss(tiny: Path) -> None:
    result = run(tiny, {**AT, "training.class_weights": "balanced"})
    journal = result.run_folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace(WEIGHTS_TAG, "ftrun.of_before"))
    done = evaluate(result.run, "--data", "validation", "--device", "cpu", "--json")
    assert set(json.loads(done.stdout)) == {"accuracy", "f1"}
    assert "note: the loss is left out: the run has not recorded the weights" in done.stderr


def test_a_regression_is_measured_by_its_numbers(tiny: Path) -> None:
    rows = [{"text": f"word {'longer ' * (row % 7)}", "label": row / 4} for row in range(19)]
    Path("rows.json").write_text("\n".join(map(json.dumps, rows)))
    data = {"use": "files", "train": "rows.json", "validation": "rows.json", "text_columns": ["text"]}
    result = run(tiny, {**AT, "dataset": {**data, "kind": "regression"}, "metrics": []})
    numbers = json.loads(evaluate(result.run, "--data", "rows.json", "--device", "cpu", "--json").stdout)
    assert numbers == {"loss": result.metrics["eval/loss"]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("sentence1,sentence2\na,b\n", r'has no column "label", which holds the labels'),
        ("sentence1,sentence2,label\na,b,equivalent\nc,d,\n", 'no label in column "label": row 2'),
        ("sentence1,sentence2,label\na,b,1\n", 'has "1" in column "label", row 1, which is none of the classes'),
    ],
)
def test_a_row_without_a_label_of_the_task_is_named(tiny: Path, content: str, told: str) -> None:
    result = run(tiny, {"training.max_steps": 1})
    Path("new.csv").write_text(content)
    done = evaluate(result.run, "--data", "new.csv")
    assert done.return_value == 2 and told in done.stderr, done.output


def test_a_name_is_one_that_mlflow_takes() -> None:
    check_name("reviews of 2024")
    for name in ("", "a/b", "..", "é?"):
        with pytest.raises(ExperimentError, match="no name for the record"):
            check_name(name)


def test_a_metric_that_is_not_defined_for_the_rows_is_named(tiny: Path) -> None:
    result = run(tiny, {**AT, "metrics": [{"use": "accuracy"}, {"use": "roc_auc"}]})
    Path("new.csv").write_text("sentence1,sentence2,label\na,b,equivalent\n")
    done = evaluate(result.run, "--data", "new.csv", "--device", "cpu")
    told = " ".join(done.stderr.split())
    assert "not defined for these labels and predictions, so without a value: roc_auc" in told, done.output


def test_rows_are_not_called_as_a_number_of_the_record(tiny: Path) -> None:
    result = run(tiny, AT)
    before = journal_of(result.run_folder)
    done = evaluate(result.run, "--data", "validation", "--name", "f1", "--device", "cpu")
    assert done.return_value == 2 and 'has a metric "f1" already' in done.stderr, done.output
    assert journal_of(result.run_folder) == before


def test_a_model_that_training_has_broken_scores_nothing_and_predicts_nothing(tiny: Path) -> None:
    ended = run(tiny, {"training.learning_rate": 1e38, "training.max_steps": 1})
    assert ended.status == "FINISHED"
    assert all(ended.metrics[key] != ended.metrics[key] for key in ("eval/accuracy", "eval/f1", "eval/loss"))
    done = evaluate(ended.run, "--data", "validation", "--device", "cpu", "--json")
    assert json.loads(done.stdout) == {"accuracy": None, "f1": None, "loss": None}
    assert "the model gives no finite numbers for" in done.stderr and "have no value" in done.stderr
    with pytest.raises(RunError, match=r"no finite numbers for .*there is nothing to predict by"):
        ftrun.predict(ended.run, "validation", device="cpu", progress=False)
