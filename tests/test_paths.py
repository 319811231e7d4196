"""Paths in a file are those of the working folder; what is recorded of them holds from everywhere."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution.recording import as_toml
from ftrun.execution.resumption import plan_resumption
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan
from ftrun.settings import HubIdOrFolder, LocalPath, Settings, validate
from helpers import died_after, points_of, weights_of
from pydantic import Field

FILES = {"use": "files", "train": "data/train.csv", "validation": "~/validation.csv", "text_columns": ["text"]}


class Everywhere(Settings):
    """Settings of somebody's plugin, with paths wherever a path can be."""

    one: LocalPath
    perhaps: LocalPath | None = None
    several: list[LocalPath] = Field([])
    named: dict[str, HubIdOrFolder] = Field({})
    default: Annotated[LocalPath, Field(validate_default=True)] = "here"


@pytest.fixture
def files(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with data in it, and in the home folder."""
    monkeypatch.setenv("HOME", str(workdir / "home"))
    for folder in ("data", "home", "elsewhere", "owner/model"):
        (workdir / folder).mkdir(parents=True)
    for path in ("data/train.csv", "home/validation.csv"):
        rows = [f"word {'more ' * (i % 5)},{'ab'[i % 2]}" for i in range(24)]
        (workdir / path).write_text("\n".join(["text,label", *rows]) + "\n")
    return workdir


def plan(path: Path, **overrides: object) -> Plan:
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return make_plan(load_experiment(path, overrides=named), load_catalogue())


def test_paths_are_absolute_in_every_plugins_settings_and_ids_stay_ids(files: Path) -> None:
    values = {
        "one": "data/../data/train.csv",
        "several": ["a", "/b", "~/c"],
        "named": {"folder": "owner/model", "id": "google-bert/bert-base-uncased", "part": "package:x/y", "user": "~"},
    }
    settings, problems = validate(Everywhere, values)
    assert settings and not problems
    dumped = settings.model_dump(exclude_none=True)
    assert dumped == {
        "one": f"{files}/data/train.csv",
        "several": [f"{files}/a", "/b", f"{files}/home/c"],
        "named": {**values["named"], "folder": f"{files}/owner/model", "user": f"{files}/home"},  # type: ignore[dict-item]
        "default": f"{files}/here",
    }
    os.chdir("elsewhere")
    again, _ = validate(Everywhere, tomllib.loads(as_toml(dumped)))
    assert again == settings


def test_a_way_through_a_link_leads_to_where_it_led(files: Path) -> None:
    (files / "link").symlink_to(files / "owner" / "model")
    (files / "latest.csv").symlink_to(files / "data" / "train.csv")
    settings, _ = validate(Everywhere, {"one": "link/../x", "several": ["latest.csv"]})
    assert settings and settings.one == str(files / "owner" / "x")
    assert settings.several == [str(files / "latest.csv")]


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "/".join(["x" * 200] * 40)])
def test_what_cannot_be_a_path_is_told(files: Path, path: str) -> None:
    _, problems = validate(Everywhere, {"one": path}, "dataset")
    assert [problem.place for problem in problems] == ["dataset.one"]
    settings, problems = validate(Everywhere, {"one": "x", "named": {"a": path}})
    assert settings and settings.named == {"a": path}


def test_built_in_parts_hold_their_paths_absolute(files: Path, tiny: Path) -> None:
    (files / "share.py").write_text("")
    script = {"use": "evaluate", "path": "share.py", "yields": {"share": "max"}, "trust_remote_code": True}
    resolved = plan(tiny, dataset={**FILES, "test": "data/train.csv"}, metrics=[script], model__tokenizer="owner/model")
    tables = resolved.resolved()
    assert tables["dataset"]["train"] == tables["dataset"]["test"] == f"{files}/data/train.csv"
    assert tables["dataset"]["validation"] == f"{files}/home/validation.csv"
    assert tables["metrics"][0]["path"] == f"{files}/share.py"
    assert tables["model"]["tokenizer"] == f"{files}/owner/model"
    glue = plan(tiny, dataset={"use": "glue", "task": "mrpc"}).resolved()["dataset"]
    assert glue["path"] == "nyu-mll/glue"
    (files / "nyu-mll" / "glue").mkdir(parents=True)
    glue = plan(tiny, dataset={"use": "glue", "task": "mrpc"}).resolved()["dataset"]
    assert glue["path"] == f"{files}/nyu-mll/glue"


def test_a_run_with_relative_paths_goes_on_from_another_folder(files: Path, tiny: Path) -> None:
    settings = {"dataset": FILES, "metrics": [{"use": "accuracy"}], "training.save_strategy": "epoch"}
    undisturbed = ftrun.run(tiny, overrides=settings, progress=False)
    assert undisturbed.status == "FINISHED", undisturbed.error
    folder = died_after(undisturbed.run_folder, 3, "died")
    os.chdir("elsewhere")
    resumed = ftrun.resume(folder, progress=False)
    assert resumed.status == "FINISHED", resumed.error
    assert points_of(folder) == points_of(undisturbed.run_folder)
    assert weights_of(folder) == weights_of(undisturbed.run_folder)
    again = ftrun.run(folder / "experiment.toml", overrides={"training.max_steps": 1}, progress=False)
    assert again.status == "FINISHED", again.error


def test_the_experiments_file_means_the_files_of_where_it_is_said(files: Path, tiny: Path) -> None:
    settings = {"dataset": FILES, "metrics": [{"use": "accuracy"}], "training.save_strategy": "epoch"}
    undisturbed = ftrun.run(tiny, overrides=settings, progress=False)
    died_after(undisturbed.run_folder, 3, "died")
    (files / "elsewhere" / "data").symlink_to(files / "data")
    (files / "elsewhere" / "tiny.toml").write_text(tiny.read_text())
    os.chdir("elsewhere")
    with pytest.raises(ExperimentError, match=r"dataset\.train: the run was begun with .*/data/train\.csv, and now"):
        ftrun.resume("tiny.toml", overrides=settings, runs_folder=files / "runs", progress=False)


def test_an_experiments_file_finds_the_run_of_the_name_that_its_profile_gives(files: Path, tiny: Path) -> None:
    tiny.write_text(tiny.read_text() + '[profile.short]\nname = "short"\ntraining = { save_strategy = "epoch" }\n')
    undisturbed = ftrun.run(tiny, profile="short", progress=False)
    died = died_after(undisturbed.run_folder, 6, "short-died")
    catalogue = load_catalogue()
    _, resumption = plan_resumption("tiny.toml", catalogue, {}, profile="short")
    assert resumption.folder.path == died
    with pytest.raises(ExperimentError, match="it has no run here"):
        plan_resumption("tiny.toml", catalogue, {})
    _, resumption = plan_resumption("tiny.toml", catalogue, {"name": "short", "training.save_strategy": "epoch"})
    assert resumption.folder.path == died
