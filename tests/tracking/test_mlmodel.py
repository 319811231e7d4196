"""A folder that `save_pretrained` has written is a model that MLflow loads, calls and serves, and says what the run's
model says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ftrun
import pytest
import yaml
from ftrun.runs.records import ModelRecord
from ftrun.tracking.mlmodel import model_files, tokenizer_files, write_mlmodel
from helpers import TINY, TRACKED, mlflow_client, slow

pytestmark = pytest.mark.xdist_group("tracking")

SCORES = "\n".join(f"a text of {'many ' * row}words,{row / 8}" for row in range(16))
ONE = {
    "dataset": {
        "use": "files",
        "train": "rows.csv",
        "validation": "rows.csv",
        "text_columns": ["said"],
        "label_column": "grade",
    }
}
KINDS: Mapping[str, Mapping[str, Any]] = {
    "pair": {},
    "single": {**ONE, "metrics": [{"use": "accuracy"}]},
    "regression": {**ONE, "metrics": [{"use": "correlation"}]},
}


def train(folder: Path, kind: str) -> ftrun.RunResult:
    """A tracked run on texts of a kind, with a learning rate that has its model say something of its own."""
    (folder / "tiny.toml").write_text(TINY)
    rows = SCORES if kind == "regression" else SCORES.replace(".5\n", ".25\n")
    labelled = [
        line if kind == "regression" else f"{line.rpartition(',')[0]},{'no' if row % 2 else 'yes'}"
        for row, line in enumerate(rows.splitlines())
    ]
    (folder / "rows.csv").write_text("said,grade\n" + "\n".join(labelled) + "\n")
    settings = {**KINDS[kind]}
    if kind == "regression":
        settings["dataset"] = {**ONE["dataset"], "kind": "regression"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = ftrun.run(
            "tiny.toml", overrides={**TRACKED, **settings, "training.learning_rate": 0.01}, progress=False
        )
    assert result.status == "FINISHED", result.error
    return result


@pytest.fixture(scope="module", params=["pair", slow("single"), slow("regression")])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ftrun.RunResult]:
    return request.param, train(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture
def there(trained: tuple[str, ftrun.RunResult], monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow looks for `runs:/` and `models:/` where the environment says, as in a new process."""
    import mlflow.tracking._tracking_service.utils as service

    uri = trained[1].tracking_uri
    assert uri
    monkeypatch.chdir(trained[1].run_folder.parent.parent)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(service, "_tracking_uri", None)


def texts_of(result: ftrun.RunResult) -> tuple[list[list[str]], list[Any]]:
    """The texts that a run predicted, and what it said of them."""
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    columns = table["columns"]
    texts = [name for name in ("sentence1", "sentence2", "said") if name in columns]
    rows = [dict(zip(columns, row, strict=True)) for row in table["data"]]
    return [[row[name] for name in texts] for row in rows], [row["prediction"] for row in rows]


def scores_of(result: ftrun.RunResult, texts: Sequence[Sequence[str]]) -> list[float]:
    """The share of the class that is said, or the number, by transformers alone."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = result.run_folder / "model"
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = []
    with torch.no_grad():
        for row in texts:
            logits = model(**tokenizer(*row, truncation=True, max_length=512, return_tensors="pt")).logits[0]
            found.append(float(logits[0] if len(logits) == 1 else logits.softmax(-1).max()))
    return found


def assert_says_the_same(result: ftrun.RunResult, kind: str, answers: Sequence[Mapping[str, Any]]) -> None:
    texts, predictions = texts_of(result)
    if kind == "regression":
        assert {answer["label"] for answer in answers} == {"grade"}
        assert [answer["score"] for answer in answers] == pytest.approx(predictions, abs=1e-5)
    else:
        assert [answer["label"] for answer in answers] == predictions
    assert [answer["score"] for answer in answers] == pytest.approx(scores_of(result, texts), abs=1e-5)


def as_input(texts: Sequence[Sequence[str]]) -> Any:
    if len(texts[0]) == 1:
        return [text for (text,) in texts]
    return [{"text": text, "text_pair": pair} for text, pair in texts]


@pytest.mark.usefixtures("there")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_loads_it_in_both_its_flavors(trained: tuple[str, ftrun.RunResult]) -> None:
    import mlflow
    import pandas as pd

    kind, result = trained
    texts, _ = texts_of(result)
    loaded = mlflow.pyfunc.load_model(f"runs:/{result.run_id}/model")
    table = pd.DataFrame(as_input(texts)) if len(texts[0]) > 1 else as_input(texts)
    assert_says_the_same(result, kind, loaded.predict(table).to_dict(orient="records"))
    long = "A word, she said. " * 700
    assert len(loaded.predict(pd.DataFrame(as_input([[long] * len(texts[0])])) if len(texts[0]) > 1 else [long])) == 1
    (model,) = mlflow_client(result).search_logged_models(
        [mlflow_client(result).get_run(result.run_id).info.experiment_id]
    )
    pipeline = mlflow.transformers.load_model(f"models:/{model.model_id}")
    assert_says_the_same(result, kind, pipeline(as_input(texts)))
    example = loaded.input_example
    assert [*example.columns] == ["text", "text_pair"] if kind == "pair" else example == texts[0]


@pytest.mark.slow
@pytest.mark.usefixtures("there")
@pytest.mark.filterwarnings("ignore")
def test_somebody_can_register_it(trained: tuple[str, ftrun.RunResult]) -> None:
    import mlflow

    kind, result = trained
    version = mlflow.register_model(f"runs:/{result.run_id}/model", kind)
    assert mlflow.pyfunc.load_model(f"models:/{kind}/{version.version}").metadata.signature is not None


@pytest.mark.slow
@pytest.mark.usefixtures("there")
def test_mlflow_serves_it(trained: tuple[str, ftrun.RunResult], tmp_path: Path) -> None:
    from servers import free_port

    kind, result = trained
    texts, _ = texts_of(result)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"runs:/{result.run_id}/model"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}  # uvicorn's
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True) as server,
    ):
        try:
            rows = as_input(texts)
            asked = {"dataframe_records": rows} if kind == "pair" else {"inputs": rows}
            answers = ask(port, asked, tmp_path / "log")
            assert_says_the_same(result, kind, answers["predictions"])
            example = json.loads((downloaded(result) / "serving_input_example.json").read_text())
            assert ask(port, example, tmp_path / "log")["predictions"] == answers["predictions"][:1]
        finally:
            import psutil

            for process in [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]:
                process.kill()


def ask(port: int, asked: Mapping[str, Any], log: Path) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error
        except OSError:
            time.sleep(0.3)
    raise AssertionError(log.read_text())


def downloaded(result: ftrun.RunResult) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(f"runs:/{result.run_id}/model"))


class Made:
    """What a LoggedModel says of itself."""

    artifact_location, source_run_id, model_id, name = "/there", "1", "m-1", "model"


def record(**changed: Any) -> ModelRecord:
    facts: dict[str, Any] = {
        "path": "model", "step": 3, "task": "classification", "texts": ["a", "b"], "max_length": 128,
        "architecture": "BertForSequenceClassification", "tokenizer": "BertTokenizer",
        "versions": {"python": "3.12.1", "torch": "2.13.0+cpu", "transformers": "5.23.0"}, "example": ["x: y", 'z"'],
    }  # fmt: skip
    return ModelRecord(**{**facts, **changed})


def test_what_it_takes_to_load_it_is_pinned(tmp_path: Path) -> None:
    made: Any = Made()
    write_mlmodel(tmp_path, record(), made, 12)
    pinned = ["torch==2.13.0", "transformers==5.23.0"]
    assert (tmp_path / "requirements.txt").read_text().splitlines() == pinned
    conda = yaml.safe_load((tmp_path / "conda.yaml").read_text())
    assert conda["dependencies"] == ["python=3.12.1", "pip", {"pip": pinned}]
    own = yaml.safe_load((tmp_path / "python_env.yaml").read_text())
    assert own["python"] == "3.12.1" and own["dependencies"] == ["-r requirements.txt"]
    written = yaml.safe_load((tmp_path / "MLmodel").read_text())
    assert set(written["flavors"]) == {"transformers", "python_function"}
    assert written["flavors"]["python_function"]["config"] == {"truncation": True, "max_length": 128}
    assert [column["name"] for column in json.loads(written["signature"]["inputs"])] == ["text", "text_pair"]


def test_one_text_has_no_name_and_no_limit_cuts_nothing(tmp_path: Path) -> None:
    made: Any = Made()
    write_mlmodel(tmp_path, record(texts=["a"], example=["x"], max_length=None, task="regression"), made, 12)
    written = yaml.safe_load((tmp_path / "MLmodel").read_text())
    assert json.loads(written["signature"]["inputs"]) == [{"type": "string", "required": True}]
    assert written["flavors"]["python_function"]["config"] == {"function_to_apply": "none"}


def test_the_state_of_a_training_is_no_part_of_a_model(tmp_path: Path) -> None:
    tokenizer, model = (
        ["merges.txt", "tokenizer.json"],
        ["config.json", "model-1-of-2.safetensors", "model.safetensors.index.json"],
    )
    state = ["manifest.json", "optimizer.pt", "rng_state.pth", "scheduler.pt", "state_dict.pt", "trainer_state.json"]
    for name in (*tokenizer, *model, *state):
        (tmp_path / name).touch()
    assert [file.name for file in model_files(tmp_path)] == sorted([*tokenizer, *model])
    assert [file.name for file in tokenizer_files(tmp_path)] == tokenizer


def test_a_model_for_any_number_of_classes_says_how_sure_it_is_of_each(tmp_path: Path) -> None:
    made: Any = Made()
    write_mlmodel(tmp_path, record(task="multi_label", texts=["a"], example=["x"]), made, 12)
    written = yaml.safe_load((tmp_path / "MLmodel").read_text())
    config = {"truncation": True, "max_length": 128, "function_to_apply": "sigmoid", "top_k": None}
    assert written["flavors"]["python_function"]["config"] == config and not written["signature"].get("outputs")
