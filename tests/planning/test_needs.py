"""`ftrun check --offline`: what an experiment needs, and whether it is on this machine."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ftrun.cli import group
from ftrun.contracts import Need
from ftrun.errors import ExperimentError
from ftrun.planning.needs import missing, needs_of
from ftrun.planning.parts import Part
from ftrun.planning.plan import Plan
from helpers import PROJECT, TINY, plan_of

MRPC = PROJECT / "experiments" / "mrpc_trainer.toml"


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("the network is asked")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["check", "--offline", *map(str, arguments)], standalone_mode=False)


def test_an_experiment_whose_things_are_all_here_is_told_so(tiny: Path) -> None:
    done = check(tiny)
    assert done.return_value == 0 and "nothing wrong" in done.stdout and "missing" not in done.output, done.output
    assert "model.tokenizer" in done.stdout and "\N{CHECK MARK}" in done.stdout
    assert check(MRPC, "--profile", "smoke").return_value == 0


def test_what_is_missing_is_told_with_the_way_to_get_it(workdir: Path) -> None:
    done = check(MRPC)
    assert done.return_value == 2 and "2 things are missing on this machine" in done.stderr, done.output
    assert "the data set nyu-mll/glue, mrpc" in done.stdout and "ftrun check --deep" in done.stdout


def test_programs_get_an_object_for_each_file(tiny: Path) -> None:
    done = check("--json", tiny, MRPC)
    here, away = map(json.loads, done.stdout.splitlines())
    assert done.return_value == 2 and (here["complete"], away["complete"]) == (True, False), done.output
    assert here["experiment"] == "tiny" and all(need["here"] for need in here["needs"])
    first = away["needs"][0]
    assert (first["place"], first["use"], first["here"]) == ("dataset.path", "glue", False) and first["get"]


def test_files_and_packages_that_are_missing_are_in_the_table_and_a_wrong_file_is_told_as_ever(workdir: Path) -> None:
    files = 'use = "files"\ntrain = "gone.csv"\nvalidation = "gone.csv"\ntext_columns = ["text"]\n'
    Path("mine.toml").write_text(TINY.replace('use = "sample"\n', files, 1).replace('[[metrics]]\nuse = "glue"\n', ""))
    done = check("mine.toml")
    assert done.return_value == 2 and "dataset.train" in done.stdout and "gone.csv" in done.stdout, done.output
    Path("wrong.toml").write_text(TINY.replace("num_train_epochs", "epochs"))
    done = check("wrong.toml")
    assert done.return_value == 2 and "Did you mean num_train_epochs" in done.stderr, done.output


@pytest.mark.parametrize("arguments", [["--json"], ["--offline", "--deep"]])
def test_options_that_do_not_go_together_are_refused(tiny: Path, arguments: list[str]) -> None:
    done = CliRunner().invoke(group, ["check", *arguments, str(tiny)])
    assert done.exit_code == 2 and "offline" in done.output


@pytest.mark.parametrize("here", [True, False])
def test_a_script_of_evaluate_is_looked_for_where_evaluate_keeps_it(
    here: bool, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tiny.parent / "modules"))
    if here:
        kept = tiny.parent / "modules/evaluate_modules/metrics/evaluate-metric--accuracy" / ("a" * 64)
        kept.mkdir(parents=True)
        (kept / "accuracy.py").touch()
    metric = {"use": "evaluate", "path": "accuracy", "yields": {"accuracy": "max"}, "trust_remote_code": True}
    needs = needs_of(plan_of(tiny, {"metrics": [metric]}))
    assert len(missing(needs)) == (0 if here else 1)


def with_needs(plan: Plan, answer: Callable[[Any], Any] | None) -> Plan:
    offer = plan.dataset.offer
    component = replace(offer.component, needs=answer)
    return replace(plan, dataset=Part(plan.dataset.use, replace(offer, component=component), plan.dataset.settings))


def test_a_part_of_a_third_party_may_say_what_it_needs_and_else_it_is_not_known(tiny: Path) -> None:
    plan = plan_of(tiny)
    (silent, *_) = needs_of(with_needs(plan, None))
    assert silent.need and silent.need.here is None and not missing([silent])
    asked: list[Any] = []

    def answer(settings: Any) -> Sequence[Need]:
        asked.append(settings)
        return [Need("a database", False, "start it", "file"), Need("a driver", True)]

    first, second, *_ = needs_of(with_needs(plan, answer))
    assert asked == [plan.dataset.settings] and (first.place, second.place) == ("dataset.file", "dataset")
    assert first.get == "start it" and second.get is None


@pytest.mark.parametrize("answer", [None, [1], "text"])
def test_an_answer_that_is_none_names_who_gave_it(tiny: Path, answer: Any) -> None:
    with pytest.raises(ExperimentError, match=r"^dataset: needs of .*ftrun.* must give a list of"):
        needs_of(with_needs(plan_of(tiny), lambda settings: answer))


def test_a_part_that_fails_as_it_is_asked_is_named(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match="raised ZeroDivisionError"):
        needs_of(with_needs(plan_of(tiny), lambda settings: 1 // 0))
