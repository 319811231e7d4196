"""A task that the runner does not know, and a model that transformers does not: all that holds for others holds.

Both are from the example packages.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner, Result
from ftrun.cli import group
from helpers import (
    BACKENDS,
    PROJECT,
    TRACKED,
    Begin,
    Ftrun,
    died_after,
    journal_of,
    make_bert,
    mlflow_client,
    points_in_mlflow,
    points_of,
    run,
    weights_of,
)
from plugin_packages import Site
from plugin_packages import site as site

EXAMPLE = PROJECT / "examples" / "ftrun-token-classification"
EXPERIMENT = f"""\
name = "tags"
seed = 1

[dataset]
use = "tagged-files"
train = "{EXAMPLE}/data/train.jsonl"
validation = "{EXAMPLE}/data/validation.jsonl"

[model]
use = "token-classification"
checkpoint = "./bert"

[collator]
use = "token-padding"

[backend]
use = "loop"

[training]
max_steps = 8
per_device_train_batch_size = 8
per_device_eval_batch_size = 5
learning_rate = 1e-3
eval_strategy = "steps"
eval_steps = 4
save_strategy = "no"
device = "cpu"

[[metrics]]
use = "token-accuracy"

[[metrics]]
use = "entities"

[tracking]
enabled = false
pictures = false
"""
SAVING = {"training.save_strategy": "steps", "training.save_steps": 4}
BEST = {**SAVING, "training.load_best_model_at_end": True, "training.metric_for_best_model": "entity_f1"}
OBJECTIVES: list[Mapping[str, Any]] = [
    {},
    {"training.class_weights": "balanced"},
    {"training.label_smoothing_factor": 0.1},
]


@pytest.fixture
def tags(site: Site, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package is installed, for this process and others; an experiment with a narrow BERT of random weights."""
    make_bert(workdir / "bert")
    site.add("", distribution="tags-example", points="main = ftrun_token_classification")
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLE), site.env["PYTHONPATH"]]))
    path = workdir / "tags.toml"
    path.write_text(EXPERIMENT)
    return path


BAG = {
    "name": "bag",
    "dataset": {"use": "sample", "max_train_samples": 44, "max_eval_samples": 20},
    "model": {"use": "bag-of-words", "width": 8},
    "collator": {"use": "bag-of-words"},
    "training.save_strategy": "steps",
    "training.save_steps": 2,
    "metrics": [{"use": "accuracy"}],
}


@pytest.fixture
def bag(tags: Path, site: Site, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The plain model is installed, too."""
    site.add("", distribution="bag-example", points="main = ftrun_bag_of_words")
    monkeypatch.syspath_prepend(EXAMPLE.with_name("ftrun-bag-of-words"))
    return tags


@pytest.mark.slow
def test_a_plain_model_with_its_own_vocabulary_has_one_curve_resumes_and_predicts(bag: Path) -> None:
    best = {"training.load_best_model_at_end": True, "training.metric_for_best_model": "loss", **BAG}
    best |= {"training.eval_steps": 2}
    first, *others = [run(bag, {**best, "backend.use": backend}) for backend in BACKENDS]
    names = {"bag_of_words.safetensors", "vocabulary.json"}
    weights = (first.run_folder / "model" / "bag_of_words.safetensors").read_bytes()
    assert {path.name for path in (first.run_folder / "model").iterdir()} == names
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert (other.run_folder / "model" / "bag_of_words.safetensors").read_bytes() == weights
    for backend, step in zip(BACKENDS, (2, 4, 6), strict=True):
        folder = died_after(first.run_folder, step, f"bag-died-after-{step}")
        resumed = ftrun.resume(folder, backend=backend, progress=False)
        assert resumed.status == "FINISHED", resumed.error
        assert points_of(folder) == points_of(first.run_folder)
        assert (folder / "model" / "bag_of_words.safetensors").read_bytes() == weights

    done = command("predict", first.run_folder, "--data", "validation", "--out", "split.json", "--device", "cpu")
    assert done.return_value == 0, done.output
    table = json.loads((first.run_folder / "predictions" / "validation.json").read_text())
    told = [json.loads(line)["prediction"] for line in Path("split.json").read_text().splitlines()]
    assert told == [row[table["columns"].index("prediction")] for row in table["data"]]
    numbers = command("evaluate", first.run_folder, "--data", "validation", "--device", "cpu", "--json").stdout
    assert json.loads(numbers) == {key.removeprefix("eval/"): value for key, value in first.metrics.items()}


SCALING = """
from ftrun import hookimpl
from ftrun.contracts import Collator


def collate(rows):
    import torch
    from ftrun_bag_of_words.batches import collate

    return {"share": torch.tensor(0.5), "flat": torch.zeros(3 * len(rows)), **collate(rows)}


@hookimpl
def ftrun_collators():
    return [Collator(name="scaling", summary="A scalar, and what has more entries than rows", build=lambda *_: collate)]
"""


@pytest.mark.slow
def test_a_batch_may_hold_a_scalar_and_what_has_no_entry_for_each_row(
    bag: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftrun_bag_of_words.model import BagOfWords

    site.add(SCALING, distribution="scaling-package")
    plain = run(bag, BAG)
    forward = BagOfWords.forward
    monkeypatch.setattr(BagOfWords, "forward", lambda self, share, flat, **batch: forward(self, **batch))
    for backend in BACKENDS:
        scaled = run(bag, {**BAG, "collator": {"use": "scaling"}, "backend.use": backend})
        assert points_of(scaled.run_folder) == points_of(plain.run_folder)
        rows = [("a man walks", "a man is walking")] * 11
        told = ftrun.predict(scaled.run_folder, rows, device="cpu", progress=False)
        assert len(told.labels) == 11


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, list(map(str, arguments)), standalone_mode=False)


def without_dropout(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    dropouts = {name: 0.0 for name in config if "dropout" in name and name != "classifier_dropout"}
    (folder / "config.json").write_text(json.dumps({**config, **dropouts}))


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_every_backend_has_one_curve_to_the_last_bit(tags: Path, objective: Mapping[str, Any]) -> None:
    cut = {"training.per_device_train_batch_size": 5, "training.gradient_accumulation_steps": 2}
    first, *others = [run(tags, {**BEST, **cut, **objective, "backend.use": backend}) for backend in BACKENDS]
    for other in others:
        assert points_of(other.run_folder) == points_of(first.run_folder)
        assert weights_of(other.run_folder) == weights_of(first.run_folder)


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_the_loss_is_the_mean_over_the_words_of_the_whole_batch_however_it_is_cut(
    tags: Path, objective: Mapping[str, Any]
) -> None:
    without_dropout(tags.parent / "bert")
    curves = []
    for size, times in ((8, 1), (4, 2), (1, 8)):
        cut = {"training.per_device_train_batch_size": size, "training.gradient_accumulation_steps": times}
        curves.append(points_of(run(tags, {**objective, **cut}).run_folder))
    losses = [{key: value for key, value in curve.items() if "loss" in key[0]} for curve in curves]
    assert len(losses[0]) == 8 + 2
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-4)
    sizes = [
        run(tags, {**objective, "training.max_steps": 1, "training.per_device_eval_batch_size": size}).metrics
        for size in (1, 32)
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)


@pytest.mark.slow
def test_after_kill_9_it_goes_on_to_the_undisturbed_runs_weights_and_best(
    tags: Path, begin_ftrun: Begin, ftrun_command: Ftrun
) -> None:
    long = {**BEST, "training.max_steps": 24, "training.save_steps": 2, "training.eval_steps": 2}
    undisturbed = run(tags, long)
    tags.with_name("killed.toml").write_text('extends = "tags.toml"\nname = "killed"\n')
    settings = [f"--set={key}={json.dumps(value)}" for key, value in long.items()]
    process = begin_ftrun("killed.toml", *settings)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(tags.parent.glob("runs/killed-*/checkpoints/checkpoint-*")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = ftrun_command("resume", "killed.toml", "--json", "--backend", "accelerate", *settings)
    assert done.returncode == 0, done.stderr
    (folder,) = tags.parent.glob("runs/killed-*")
    assert [record for record in journal_of(folder) if record["type"] == "resumed"]
    assert points_of(folder) == points_of(undisturbed.run_folder)
    assert weights_of(folder) == weights_of(undisturbed.run_folder)


@pytest.mark.slow
def test_mlflow_has_the_curves_the_words_with_their_labels_and_the_models_files(tags: Path, store: Path) -> None:
    result = run(tags, {**BEST, **TRACKED, "tracking.pictures": True, "tracking.checkpoints": "all"})
    assert {key for key, _ in points_in_mlflow(result)} >= {"eval/entity_f1", "eval/token_accuracy", "train/loss"}
    client = mlflow_client(result)
    table = json.loads(Path(client.download_artifacts(result.run_id, "predictions/validation.json")).read_text())
    assert table["columns"] == ["words", "label", "prediction", "correct"]
    given = [json.loads(line) for line in (EXAMPLE / "data" / "validation.jsonl").read_text().splitlines()]
    assert [row[:2] for row in table["data"]] == [[row["words"], row["tags"]] for row in given]
    there = {file.path for file in client.list_artifacts(result.run_id, "pictures")}
    assert {"pictures/loss.png", "pictures/metrics.png"} <= there
    assert {Path(file.path).name for file in client.list_artifacts(result.run_id, "model")} >= {"model.safetensors"}


@pytest.mark.slow
def test_a_look_counts_the_labels_of_all_words(tags: Path) -> None:
    done = command("check", "--deep", tags)
    assert done.return_value == 0, done.output
    given = [json.loads(line) for line in (EXAMPLE / "data" / "train.jsonl").read_text().splitlines()]
    labels = [tag for row in given for tag in row["tags"]]
    share = f"{labels.count('O')} ({labels.count('O') / len(labels):.1%})"
    assert share in done.output and "rows are cut after 128 tokens" in done.output


@pytest.mark.slow
def test_further_rows_are_predicted_word_by_word_and_measured(tags: Path) -> None:
    result = run(tags, {"training.max_steps": 40, "training.learning_rate": 0.03})
    done = command("predict", result.run_folder, "--data", "validation", "--out", "split.json", "--device", "cpu")
    assert done.return_value == 0, done.output
    told = [json.loads(line) for line in Path("split.json").read_text().splitlines()]
    table = json.loads((result.run_folder / "predictions" / "validation.json").read_text())
    assert [[row["words"], row["tags"], row["prediction"]] for row in told] == [row[:3] for row in table["data"]]
    assert len({tag for row in told for tag in row["prediction"]}) > 1

    for data in ("validation", EXAMPLE / "data" / "validation.jsonl"):
        arguments = ["--data", data, "--name", "again", "--device", "cpu", "--json"]
        numbers = json.loads(command("evaluate", result.run_folder, *arguments).stdout)
        assert numbers == {key.removeprefix("eval/"): value for key, value in result.metrics.items()}

    shown = command("predict", result.run_folder, "--text", "Tova Dorn left .", "--device", "cpu")
    assert len(json.loads(shown.stdout)["prediction"]) == 4, shown.output


WRONG = {
    '{"words": [["a"]]}': '"words" must hold a list of words, or a text, and has [[',
    '{"words": null}': 'has no text in column "words": row 1',
    '{"tags": ["O"]}': 'has no column "words"',
    '{"words": ["a"], "prediction": 1}': 'has a column "prediction" already',
}


@pytest.mark.slow
def test_rows_that_are_none_are_told_in_a_sentence(tags: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(tags, {"training.max_steps": 1})
    for row, told in WRONG.items():
        Path("wrong.json").write_text(f"{row}\n")
        done = command("predict", result.run_folder, "--data", "wrong.json", "--device", "cpu")
        assert done.return_value == 2 and told in done.stderr and "Traceback" not in done.stderr, done.output
    for row, told in {
        '{"words": ["a"], "tags": ["B-DOG"]}': 'has "B-DOG" in column "tags", row 1, which is none of the classes',
        '{"words": ["a", "b"], "tags": ["O"]}': "a row has 2 words and 1 labels: a b",
        '{"words": ["a"]}': 'has no column "tags", which holds the labels',
    }.items():
        Path("wrong.json").write_text(f"{row}\n")
        done = command("evaluate", result.run_folder, "--data", "wrong.json", "--device", "cpu")
        assert done.return_value == 2 and told in done.stderr, done.output

    from ftrun_token_classification.model import Encoder

    for decode, told in {
        lambda self, columns, said: {"tags": ["O"]}: 'gives no column "prediction" by decode',
        lambda self, columns, said: {"prediction": []}: "gives 0 cells of prediction for 1 rows by decode",
        lambda self, columns, said: {"prediction": ["O"], "words": ["O"]}: (
            'the model "token-classification" of tags-example 1.0 gives a column "words" by decode, which is one of the task\'s'
        ),
    }.items():
        monkeypatch.setattr(Encoder, "decode", decode)
        done = command("predict", result.run_folder, "--text", "Tova left .", "--device", "cpu")
        assert done.return_value == 2 and told in done.stderr, done.output
    monkeypatch.setattr(Encoder, "decode", None)
    done = command("predict", result.run_folder, "--text", "Tova left .", "--device", "cpu")
    assert done.return_value == 2 and "does not say what it predicts of a row for token_classification" in done.stderr


OTHERS: list[tuple[dict[str, Any], str]] = [
    (
        {"metrics": [{"use": "accuracy"}]},
        '"accuracy" is a metric of classification and multi_label, and the task is tok',
    ),
    ({"dataset": {"use": "sample"}}, "does not take the data set's kind of task, classification"),
    ({"model": {"use": "sequence-classification", "checkpoint": "./bert"}}, "kind of task, token_classification"),
    ({"collator": {"use": "dynamic-padding"}}, "makes no batch of rows with input_ids, "),
    ({"training.class_weights": [1.0, 2.0]}, "there are 2 weights for 7 classes"),
]
EARLY: dict[str, str] = {
    "metrics.0.use=accuracy": '"accuracy" is a metric of classification and multi_label, and the task is token_c',
    "dataset.use=sample": "this measures a label for every word, and the task is classification",
    "training.metric_for_best_model=entity_f2": "entity_f1",
}


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "told"), EARLY.items(), ids=str)
def test_parts_for_another_kind_of_task_are_told_by_a_check(tags: Path, changed: str, told: str) -> None:
    best = ["--set=training.load_best_model_at_end=true", "--set=training.save_strategy=steps"]
    done = command("check", tags, *best, "--set=training.save_steps=4", "--set", changed)
    assert done.return_value == 2 and told in done.stderr, done.output


@pytest.mark.slow
@pytest.mark.parametrize(("changed", "told"), OTHERS, ids=str)
def test_parts_for_another_kind_of_task_are_refused_before_any_step(
    tags: Path, changed: dict[str, Any], told: str
) -> None:
    try:
        result = ftrun.run(tags, overrides=changed, progress=False)
    except ftrun.ExperimentError as error:
        assert told in str(error)
    else:
        assert result.status == "FAILED" and result.steps == 0 and told in str(result.error)


@pytest.mark.slow
def test_a_look_tells_that_the_default_collator_is_not_this_models(tags: Path) -> None:
    done = command("check", "--deep", tags, "--unset", "collator")
    assert done.return_value == 2 and "Traceback" not in done.stderr
    assert "makes no batch of rows with input_ids" in done.stderr and "[collator] use = NAME" in done.stderr
