"""MLflow's variables add to what a file says of tracking, and what is recorded is what they came to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import Plan, make_plan


def plan(file: Path, environ: dict[str, str], **tracking: Any) -> Plan:
    overrides = {f"tracking.{key}": value for key, value in tracking.items()}
    return make_plan(load_experiment(file, None, overrides), load_catalogue(), environ)


def test_the_experiment_has_the_files_name_or_else_the_environments_or_else_its_own(tiny: Path) -> None:
    around = {"MLFLOW_EXPERIMENT_NAME": "around"}
    assert plan(tiny, around, experiment_name="mine").experiment_name == "mine"
    assert plan(tiny, around).experiment_name == "around"
    assert plan(tiny, around).resolved()["tracking"]["experiment_name"] == "around"
    for environ in ({}, {"MLFLOW_EXPERIMENT_NAME": ""}):
        assert plan(tiny, environ).experiment_name == "tiny"


def test_tags_are_those_of_the_environment_and_of_the_file_which_has_the_last_word(tiny: Path) -> None:
    around = {"MLFLOW_TAGS": '{"team": "nlp", "release.version": "2.2.0", "count": 3}'}
    tags = plan(tiny, around, tags={"team": "speech", "paper": "yes"}).resolved()["tracking"]["tags"]
    assert tags == {"team": "speech", "release.version": "2.2.0", "count": "3", "paper": "yes"}
    assert "tags" not in plan(tiny, {"MLFLOW_TAGS": ""}).resolved()["tracking"]


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ("team=nlp", "must be a JSON object, not"),
        ('["team"]', "must be a JSON object, not"),
        ('{"a=b": "c"}', "must have names of letters, digits, spaces"),
        ('{"ftrun.run": "c"}', 'must have no name that begins with "ftrun."'),
    ],
)
def test_tags_that_are_none_are_told_before_the_work(tiny: Path, tags: str, told: str) -> None:
    with pytest.raises(ExperimentError, match="MLFLOW_TAGS") as refused:
        plan(tiny, {"MLFLOW_TAGS": tags})
    assert told in str(refused.value)


@pytest.mark.parametrize("name", ["ftrun.seed", "", "/a", "../a", "a//b", "a=b", "x" * 251])
def test_a_tag_that_mlflow_or_ftrun_does_not_take_is_refused(tiny: Path, name: str) -> None:
    with pytest.raises(ExperimentError, match=r"tracking\.tags"):
        plan(tiny, {}, tags={name: "x"})


def test_an_experiments_name_that_mlflow_does_not_take_is_told_before_the_work(tiny: Path) -> None:
    assert plan(tiny, {}, experiment_name="x" * 500).experiment_name == "x" * 500
    with pytest.raises(ExperimentError, match=r"tracking\.experiment_name.*500"):
        plan(tiny, {}, experiment_name="x" * 501)
    with pytest.raises(ExperimentError, match="MLFLOW_EXPERIMENT_NAME: must have at most 500 characters, and has 501"):
        plan(tiny, {"MLFLOW_EXPERIMENT_NAME": "x" * 501})
