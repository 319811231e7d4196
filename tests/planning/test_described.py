"""What is described: every component and every table, with TOML that works when it is pasted."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from ftrun import ExperimentError
from ftrun.cli.describe import command as describe_command
from ftrun.cli.plugins import command as plugins_command
from ftrun.contracts import KINDS
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.described import TABLES, describe, kind_meant, listed, observers
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from plugin_packages import HEAD, Site, offering


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def all_components() -> list[tuple[str, str]]:
    return [(kind, name) for kind, name, *_ in listed(load_catalogue()) if name]


@pytest.mark.parametrize(("kind", "name"), all_components(), ids="-".join)
def test_the_table_of_a_component_works_when_it_is_pasted(
    catalogue: Catalogue, kind: str, name: str, workdir: Path
) -> None:
    """In a file with what else it needs; what is named in it, such as a file, may not be there."""
    described = describe(catalogue, kind, name)
    table = tomllib.loads(described.toml)["metrics" if kind == "metric" else kind]
    assert (table[0] if kind == "metric" else table)["use"] == name
    assert not described.toml.startswith("#"), "nothing is to be mended"
    others = [other for other in ("dataset", "model", "backend") if other != kind]
    rest = {"dataset": "sample", "model": "sequence-classification", "backend": "loop"}
    text = "\n".join([described.toml, *(describe(catalogue, other, rest[other]).toml for other in others)])
    Path("mine.toml").write_text(text)
    try:
        make_plan(load_experiment("mine.toml"), catalogue, asked=())
    except ExperimentError as error:  # what the metric or the model is for may be another task
        assert all("is a metric of" in str(problem) for problem in error.problems), error


def test_the_whole_file_to_paste_is_an_experiment(catalogue: Catalogue, workdir: Path) -> None:
    Path("whole.toml").write_text(describe(catalogue, "experiment", None).toml)
    assert make_plan(load_experiment("whole.toml"), catalogue).name == "mine"


@pytest.mark.parametrize("table", [table for table in TABLES if table != "experiment"])
def test_the_other_tables_are_described_and_can_be_pasted(catalogue: Catalogue, table: str) -> None:
    described = describe(catalogue, table, None)
    assert tomllib.loads(described.toml) == {table: {}}
    assert [key.name for key in described.keys] == list(TABLES[table].model_fields)
    assert all(key.description for key in described.keys)


@pytest.mark.parametrize(
    ("told", "kind"),
    [("metric", "metric"), ("metrics", "metric"), ("[training]", "training"), ("Backends", "backend"), ("file", "experiment"), ("data", "dataset")],
)  # fmt: skip
def test_a_kind_is_known_by_what_people_write(catalogue: Catalogue, told: str, kind: str) -> None:
    assert kind_meant(catalogue, told) == kind


@pytest.mark.parametrize(
    ("told", "hint"), [("metrik", "Did you mean metric?"), ("f1", "ftrun describe metric f1"), ("zzz", "There are: ")]
)
def test_an_unknown_kind_is_told_with_what_was_meant(catalogue: Catalogue, told: str, hint: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        kind_meant(catalogue, told)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "name", "hint"),
    [
        ("metric", "f11", 'Did you mean "f1"?'),
        ("training", "lr", "Did you mean learning_rate?"),
        ("training", "max_step", "Did you mean max_steps?"),
        ("push", "zzz", "The keys there: repo, private."),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(catalogue: Catalogue, kind: str, name: str, hint: str) -> None:
    with pytest.raises(ExperimentError) as refused:
        describe(catalogue, kind, name)
    assert hint in str(refused.value)


def test_one_key_of_a_table_can_be_asked_for(catalogue: Catalogue) -> None:
    (key,) = describe(catalogue, "training", "max_steps").keys
    assert key.name == "max_steps" and key.default == "-1"


def test_who_provides_it_is_told_and_two_of_a_name_are_told_apart(site: Site) -> None:
    site.add(offering("metric", "metric(name='half')", "metric(name='f1')"), version="2.1")
    catalogue = load_catalogue()
    half = describe(catalogue, "metric", "half")
    assert (half.distribution, half.version, half.summary) == ("their-package", "2.1", "Always one half")
    assert 'use = "their-package:f1"' in describe(catalogue, "metric", "their_package:f1").toml
    with pytest.raises(ExperimentError, match='"ftrun:f1" or "their-package:f1"'):
        describe(catalogue, "metric", "f1")


def test_observers_are_told_of_whom_no_file_has_a_table(site: Site) -> None:
    looking_on = f"{HEAD}\n@hookimpl\ndef ftrun_evaluated(run): pass"
    site.write("second", looking_on)
    site.add(looking_on, points="main = their_package\nother = second")
    of_package = {"distribution": "their-package", "version": "1.0", "observes": ["ftrun_evaluated"]}
    assert observers(load_catalogue()) == [{"plugin": name, **of_package} for name in ("main", "other")]
    told = CliRunner().invoke(describe_command, ["observer"])
    assert told.exit_code == 0 and "An observer has no settings" in told.output
    for name in ("main", "other"):
        line = f"{name} of their-package 1.0 observes: ftrun_evaluated\n"
        assert line in told.output and line in CliRunner().invoke(plugins_command).output


def test_the_list_has_every_component_and_table(catalogue: Catalogue) -> None:
    assert {row[0] for row in listed(catalogue)} == {*KINDS, *TABLES}
    assert {row[1] for row in listed(catalogue, "collator")} == {"dynamic-padding", "fixed-length"}
