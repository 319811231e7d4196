"""`ftrun new experiment` writes a file that is sound but for what only its owner knows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from ftrun import ExperimentError
from ftrun.cli.common import load_plan
from ftrun.planning.catalogue import load_catalogue
from ftrun.scaffolding.experiment import new_experiment


def test_a_new_experiment_wants_nothing_but_the_files_that_it_names(workdir: Path) -> None:
    new_experiment(Path("mine.toml"), load_catalogue())
    with pytest.raises(ExperimentError) as told:
        load_plan("mine.toml", load_catalogue(), None, [], [])
    assert {problem.place for problem in told.value.problems} == {"dataset.train"}
    Path("train.csv").write_text("text,label\na,x\nb,y\n")
    plan = load_plan("mine.toml", load_catalogue(), None, [], [])
    assert plan.name == "mine" and plan.backend.use == "trainer" and plan.metrics[0].use == "accuracy"


def test_it_uses_what_was_asked_for(workdir: Path) -> None:
    used = {"dataset": ["sample"], "backend": ["loop"], "collator": ["fixed-length"], "metric": ["f1", "accuracy"]}
    new_experiment(Path("mine.toml"), load_catalogue(), used)  # type: ignore[arg-type]
    plan = load_plan("mine.toml", load_catalogue(), None, [], [])
    found = (plan.dataset.use, plan.collator.use, plan.backend.use, [metric.use for metric in plan.metrics])
    assert found == ("sample", "fixed-length", "loop", ["f1", "accuracy"])


def test_every_component_that_is_installed_can_be_begun_with(workdir: Path) -> None:
    catalogue = load_catalogue()
    for kind in ("dataset", "model", "collator", "backend", "metric"):
        for name in catalogue.offers(kind):
            path = Path(f"{kind}-{name}.toml")
            new_experiment(path, catalogue, {kind: [name]})
            tables = tomllib.loads(path.read_text())
            assert tables["metrics" if kind == "metric" else kind]


def test_a_schema_beside_it_is_named_in_its_first_line(workdir: Path) -> None:
    Path("schema.json").write_text("{}")
    new_experiment(Path("mine.toml"), load_catalogue())
    assert Path("mine.toml").read_text().startswith("#:schema schema.json\n")


def test_nothing_is_overwritten_and_nothing_half_is_left(workdir: Path) -> None:
    Path("mine.toml").write_text("mine")
    with pytest.raises(ExperimentError, match="is there already"):
        new_experiment(Path("mine.toml"), load_catalogue())
    assert Path("mine.toml").read_text() == "mine"
    with pytest.raises(ExperimentError, match='no metric named "f2"'):
        new_experiment(Path("other.toml"), load_catalogue(), {"metric": ["f2"]})
    assert not Path("other.toml").exists()
    with pytest.raises(ExperimentError, match="cannot be written"):
        new_experiment(Path("no/such/folder.toml"), load_catalogue())
