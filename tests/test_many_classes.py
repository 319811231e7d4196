"""Any number of classes a row, from a file to what it is predicted: one curve, and the same word everywhere."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner
from ftrun.cli import group
from ftrun.errors import ExperimentError
from helpers import BACKENDS, TRACKED, plan_of, points_of, run, weights_of

TEXTS = ["rude|late", "late", "", "odd", "rude|odd", "rude", "late|odd", ""]
MEASURED = [{"use": "f1"}, {"use": "accuracy"}, {"use": "log_loss"}]


def data(**changed: Any) -> dict[str, Any]:
    rows = [(f"a {told.replace('|', ' and ')} text {'word ' * (row % 5)}", told) for row, told in enumerate(TEXTS * 3)]
    Path("rows.csv").write_text("text,label\n" + "".join(f"{text},{told}\n" for text, told in rows))
    files = {"use": "files", "kind": "multi_label", "train": "rows.csv", "validation": "rows.csv"}
    return {"dataset": {**files, "text_columns": ["text"], "label_separator": "|", **changed}, "metrics": MEASURED}


def trained(tiny: Path, backend: str = "loop", **changed: Any) -> ftrun.RunResult:
    rate = {"training.learning_rate": 0.05, "training.num_train_epochs": 3, "backend.use": backend}
    return run(tiny, {**data(), **rate, **changed})


@pytest.fixture
def result(tiny: Path) -> ftrun.RunResult:
    return trained(tiny)


def test_what_is_recorded_predicted_and_measured_is_the_same(result: ftrun.RunResult) -> None:
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    recorded = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [row["label"] for row in recorded[:3]] == [["late", "rude"], ["late"], []]
    told = ftrun.predict(result.run_folder, "validation", device="cpu", progress=False)
    assert list(told.labels) == [row["prediction"] for row in recorded]
    for row, shares in zip(recorded, told.probabilities or (), strict=True):
        assert {name: row[f"probability_{name}"] for name in ("late", "odd", "rude")} == pytest.approx(dict(shares))
        assert row["prediction"] == [name for name, share in shares.items() if share >= 0.5]
    again = ftrun.evaluate(result.run_folder, "rows.csv", device="cpu", progress=False)
    assert again == {key.removeprefix("eval/"): value for key, value in result.metrics.items()}


def test_a_file_of_predictions_is_one_to_measure_on(result: ftrun.RunResult) -> None:
    done = CliRunner().invoke(
        group, ["predict", result.run, "--data", "rows.csv", "--out", "said.csv", "--device", "cpu"]
    )
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(Path("said.csv").read_text().splitlines()))
    assert set(rows[0]) == {"text", "label", "prediction", "probability_late", "probability_odd", "probability_rude"}
    content = "".join(f"{row['text']},{row['prediction']}\n" for row in rows)
    Path("said.csv").write_text("text,label\n" + content)
    assert ftrun.evaluate(result.run_folder, "said.csv", device="cpu", progress=False)["accuracy"] == 1.0


@pytest.mark.slow
def test_several_files_are_cut_into_rows_to_train_on_and_to_evaluate_on(tiny: Path) -> None:
    given = data(train=["rows.csv", "more.csv"])
    Path("more.csv").write_text("text,label\n" + "".join(f"more {number},odd\n" for number in range(6)))
    del given["dataset"]["validation"]
    done = run(tiny, {**given, "training.max_steps": 2})
    table = json.loads((done.run_folder / "predictions" / "validation.json").read_text())
    assert len(table["data"]) == 3


@pytest.mark.slow
def test_all_backends_give_one_curve(tiny: Path) -> None:
    accumulated = {"training.gradient_accumulation_steps": 3, "training.per_device_train_batch_size": 3}
    first, *others = [trained(tiny, backend, **accumulated) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)


def test_what_weighs_one_class_a_row_is_refused_before_any_work(tiny: Path) -> None:
    for key, value in {"class_weights": "balanced", "label_smoothing_factor": 0.1}.items():
        with pytest.raises(ExperimentError, match="here a label is any number of classes"):
            plan_of(tiny, {**data(), f"training.{key}": value})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_says_of_every_class_what_the_run_says(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    result = trained(tiny, **TRACKED)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(result.tracking_uri))
    told = ftrun.predict(result.run_folder, "validation", device="cpu", progress=False)
    loaded = mlflow.pyfunc.load_model(f"runs:/{result.run_id}/model")
    answers = loaded.predict([row["text"] for row in told.rows]).to_dict(orient="records")
    for answer, shares in zip(answers, told.probabilities or (), strict=True):
        said = {one["label"]: one["score"] for one in answer.values()}
        assert said == pytest.approx(dict(shares), abs=1e-5)
