"""Which model is meant by a word, and what has to be there for it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.execution.trained import Trained, find_trained
from ftrun.planning.catalogue import load_catalogue
from helpers import run
from makers import make_checkpoint, named

PAIRS = Task("classification", ("sentence1", "sentence2"), "label", ("not_equivalent", "equivalent"))
SHORT = {"training.max_steps": 2, "training.save_strategy": "steps", "training.save_steps": 1}


def find(target: str | Path, device: str | None = None) -> Trained:
    return find_trained(str(target), load_catalogue(), device)


def test_a_run_is_found_by_its_name_its_folders_and_its_checkpoints(tiny: Path) -> None:
    folder = run(tiny, {**SHORT, "training.max_steps": 2}).run_folder
    for target in (folder.name, folder, folder / "model", os.path.relpath(folder / "model")):
        found = find(target)
        assert (found.name, found.folder, found.task) == (folder.name, folder / "model", PAIRS)
        assert found.plan.training.device == "auto"
    checkpoint = folder / "checkpoints" / "checkpoint-1"
    found = find(checkpoint, "cpu")
    assert (found.name, found.folder, found.plan.training.device) == (folder.name, checkpoint, "cpu")


def test_neither_its_data_nor_what_it_was_trained_from_need_be_there(tiny: Path) -> None:
    Path("rows.csv").write_text("text,label\na,x\nb,y\n")
    make_checkpoint(Path("base"))
    data = {"use": "files", "train": "rows.csv", "validation": "rows.csv", "text_columns": ["text"]}
    model = {"use": "sequence-classification", "checkpoint": "./base"}
    folder = run(tiny, {"dataset": data, "model": model, "metrics": [], "training.max_steps": 1}).run_folder
    Path("rows.csv").unlink()
    shutil.rmtree("base")
    assert find(folder.name).task == Task("classification", ("text",), "label", ("x", "y"))
    (folder / "task.json").write_text("[1")
    assert find(folder.name).task is None


def test_a_model_of_another_making_is_taken_by_its_folder(workdir: Path) -> None:
    make_checkpoint(workdir / "own", head=True)
    config = json.loads((workdir / "own" / "config.json").read_text())
    (workdir / "own" / "config.json").write_text(json.dumps(config | named("negative", "positive")))
    found = find("own")
    assert found.task == Task("classification", (), class_names=("negative", "positive")) and found.run is None


def test_a_model_for_any_number_of_classes_is_taken_so(workdir: Path) -> None:
    make_checkpoint(workdir / "own", head=True)
    config = json.loads((workdir / "own" / "config.json").read_text()) | named("rude", "late")
    (workdir / "own" / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    assert find("own").task == Task("multi_label", (), class_names=("rude", "late"))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (None, "is no run, and holds no model: there is no config.json"),
        ("[", "does not name the classes"),
        ('{"id2label": {"1": "a", "2": "b"}}', "does not name the classes"),
    ],
)
def test_a_folder_that_is_none_is_told(workdir: Path, config: str | None, told: str) -> None:
    Path("own").mkdir()
    if config:
        Path("own", "config.json").write_text(config)
    with pytest.raises(ExperimentError, match=told):
        find("own")


def test_what_is_no_model_is_told(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match=r"tiny.toml is an experiment, and a run's model predicts"):
        find("tiny.toml")
    with pytest.raises(ExperimentError, match='there is no run "nothing" here'):
        find("nothing")
