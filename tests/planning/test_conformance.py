"""A plugin that does not keep to the contract is told so, in a sentence that says what of it, and breaks nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import get_args, get_origin, get_type_hints

import pytest
from ftrun.contracts import COMPONENTS, CONTRACT_VERSION
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.conformance import CALLED_WITH, MUST_BE
from helpers import Ftrun
from plugin_packages import HEAD, Site, offering

ANSWERS = {
    "None": "None, and must return a list of Metric",
    "metric()": "one component, and must return a list: [Metric(...)]",
    "Metric": "<class 'ftrun.contracts.components.Metric'>, and must return a list of Metric",
    "'half'": '"half", and must return a list of Metric',
    "{'half': metric()}": "{'half': Metric(",
    "[Metric]": "the class Metric, and must return components: Metric(...)",
    "[dataset()]": 'the Dataset "theirs", which is no Metric',
    "['half']": '"half", which is no Metric',
    "[metric(), None]": "None, which is no Metric",
}


@pytest.mark.parametrize(("answer", "told"), ANSWERS.items(), ids=ANSWERS.keys())
def test_an_answer_that_is_none_is_told(site: Site, answer: str, told: str) -> None:
    site.add(f"{HEAD}\n@hookimpl\ndef ftrun_metrics(): return {answer}\n")
    failure = site.plugin().failure
    assert failure and failure.startswith(f"ftrun_metrics returned {told}")


SETTINGS = "from pydantic import BaseModel\nclass Plain(BaseModel): x: int = 1\nclass Named(Settings): name: str = 'x'"
NAME = "must be text of letters, digits, _, . and -, not"
COMPONENT_FAULTS = {
    "metric(name='a b')": f'name of the metric "a b" {NAME} "a b"',
    "metric(name='')": f'name of the metric "" {NAME} ""',
    "metric(name=3)": f"name of the metric 3 {NAME} 3",
    "metric(name='a:b')": f'name of the metric "a:b" {NAME} "a:b"',
    "metric(summary=None)": 'summary of the metric "half" must be text of one line, not None',
    "metric(summary='a\\nb')": 'summary of the metric "half" must be text of one line, not "a\nb"',
    "metric(settings=Plain)": (
        'settings of the metric "half" must be a class derived from ftrun.settings.Settings, not Plain'
    ),
    "metric(settings=Settings())": (
        'settings of the metric "half" must be the class Settings, not an instance of it'
    ),
    "metric(settings=None)": (
        'settings of the metric "half" must be a class derived from ftrun.settings.Settings, not None'
    ),
    "metric(settings=Named)": 'the settings of the metric "half" have name, which is the runner\'s key',
    "metric(build=None)": 'build of the metric "half" must be a function of settings and task, not None',
    "metric(notices=['of yes'])": "notices of the metric \"half\" must be a function of settings and task",
    "metric(yields={'half': 'max'})": (
        "yields of the metric \"half\" must be a function of settings and task, not {'half': 'max'}"
    ),
    "metric(build=lambda settings: 0)": (
        'build of the metric "half" must be a function of settings and task, and takes (settings)'
    ),
    "metric(check=True)": 'check of the metric "half" must be a function of settings, not true',
    "dataset(task=TASK)": 'task of the data set "theirs" must be a function of settings, not Task(',
    "dataset(read=lambda s: 0)": 'read of the data set "theirs" must be a function of settings and file and task, and takes (s)',
    "dataset(build=lambda: 0)": 'build of the data set "theirs" must be a function of settings, and takes ()',
    "model(build=lambda s: 0)": 'build of the model "theirs" must be a function of settings and splits, and takes (s)',
    "model(kinds='classification')": (
        'kinds of the model "theirs" must be a set of text, such as frozenset({"..."}), not "classification"'
    ),
    "model(kinds=['classification'])": 'kinds of the model "theirs" must be a set of text',
    "model(has_tokenizer=None)": 'has_tokenizer of the model "theirs" must be True or False, not None',
    "collator(needs_tokenizer=1)": 'needs_tokenizer of the collator "theirs" must be True or False, not 1',
    "collator(build=lambda s: 0)": 'build of the collator "theirs" must be a function of settings and tokenizer, and',
    "backend(precisions=frozenset({32}))": 'precisions of the backend "theirs" must be a set of text',
    'backend(devices=frozenset({"cpu", "gpu"}))': 'devices of the backend "theirs" has gpu, and may have cpu, cuda, mps',
    "backend(devices='cpu')": 'devices of the backend "theirs" must be a set of text',
    "backend(honours='optim')": 'honours of the backend "theirs" must be a set of text',
    "backend(honours=frozenset({'max_step'}))": (
        'honours of the backend "theirs" has max_step, which is no key of [training]: did you mean max_steps?'
    ),
    "backend(check=lambda s: [])": 'check of the backend "theirs" must be a function of settings and training, and takes (s)',
    "backend(check_environment=lambda t: [])": (
        'check_environment of the backend "theirs" must be a function of training and environment, and takes (t)'
    ),
    "backend(checkpoint_format=1)": 'checkpoint_format of the backend "theirs" must be text of one line, not 1',
    "metric(), metric()": 'it offers the metric "half" twice',
    "metric(name='a b', check=1), metric(build=1)": "; ",
}  # fmt: skip


@pytest.mark.parametrize(("component", "told"), COMPONENT_FAULTS.items(), ids=COMPONENT_FAULTS.keys())
def test_a_component_that_is_none_is_told(site: Site, component: str, told: str) -> None:
    site.add(offering(component.partition("(")[0], component, before=SETTINGS))
    plugin = site.plugin()
    assert plugin.failure and told in plugin.failure and not plugin.components
    assert load_catalogue().find("metric", "accuracy", "metrics[0].use")


@pytest.mark.parametrize(
    "component",
    [
        "model(kinds={'classification'}, has_tokenizer=False)",
        "backend(honours=frozenset({'max_steps'}), devices=set(), checkpoint_format='theirs 1')",
        "metric(name='a.b-c_1', build=type('Class', (), {'__init__': lambda self, settings, task: None}))",
        "metric(build=lambda *given: None, yields=dict)",
        "dataset(task=None, check=None)",
    ],
)
def test_a_component_that_keeps_to_the_contract_is_there(site: Site, component: str) -> None:
    site.add(offering(component.partition("(")[0], component))
    plugin = site.plugin()
    assert plugin.failure is None and len(plugin.components) == 1


def test_every_field_of_every_component_is_judged() -> None:
    for kind, component in COMPONENTS.items():
        assert {field.name for field in dataclasses.fields(component)} <= set(MUST_BE)
        for name, hint in get_type_hints(component).items():
            for function in [hint] if get_origin(hint) is Callable else get_args(hint):  # or None
                if get_origin(function) is Callable:
                    called = CALLED_WITH.get((kind, name), CALLED_WITH.get(name, ()))
                    assert len(called) == len(get_args(function)[0])


VERSIONS = {
    '"1.3"': "needs version 1.3 of ftrun's contract, and this ftrun has 1.2: upgrade ftrun",
    '"2.0"': "needs version 2.0 of ftrun's contract, and this ftrun has 1.2: upgrade ftrun",
    '"0.9"': "needs version 0.9 of ftrun's contract, and this ftrun has 1.2: upgrade the plugin",
    '"1"': 'ftrun_contract must be a version as text, such as "1.2", not "1"',
    '">=1.0"': 'ftrun_contract must be a version as text, such as "1.2", not ">=1.0"',
    "1.0": 'ftrun_contract must be a version as text, such as "1.2", not 1.0',
}


@pytest.mark.parametrize(("needed", "told"), VERSIONS.items(), ids=VERSIONS.keys())
def test_a_plugin_for_another_contract_is_told_before_anything_else(site: Site, needed: str, told: str) -> None:
    assert CONTRACT_VERSION == "1.2", "raise the versions of this table, too"
    site.add(f"{HEAD}\nftrun_contract = {needed}\n@hookimpl\ndef ftrun_later(x): pass\n")
    assert site.plugin().failure == told


def test_a_plugin_for_this_contract_is_there(site: Site) -> None:
    site.add(offering("metric", "metric()", before=f'ftrun_contract = "{CONTRACT_VERSION}"'))
    assert site.plugin().failure is None


def test_a_name_that_one_distribution_offers_twice_is_told(site: Site) -> None:
    site.add(offering("metric", "metric()"), points="main = their_package\nother = their_other\nthird = their_package")
    site.write("their_other", offering("metric", "metric()"))
    first, other, third = (found for found in load_catalogue().plugins if found.distribution == "their-package")
    assert first.failure is None
    assert other.failure == 'it offers the metric "half", as does main of the same distribution'
    assert third.failure == "it names the same module as another entry point does"


def test_the_command_lists_what_failed_and_why(site: Site, ftrun_command: Ftrun) -> None:
    site.add(offering("metric", "metric(settings=None)"))
    site.add(f"{HEAD}\n@hookimpl\ndef ftrun_metrics():\n    return [1 / 0]\n", "worse")
    shown = ftrun_command("plugins", "--traceback", env=site.env)
    assert shown.returncode == 0
    assert 'failed: main of their-package 1.0: settings of the metric "half" must be a class derived' in shown.stdout
    assert "ftrun_metrics raised ZeroDivisionError" in shown.stdout and "return [1 / 0]" in shown.stdout
    assert shown.stdout.count("Traceback") == 1


def test_a_module_that_raises_is_told_with_its_line(site: Site) -> None:
    site.add("import json\n\nraise RuntimeError('oops')\n")
    assert site.plugin().failure == "RuntimeError: oops (their_package.py, line 3)"


@pytest.mark.parametrize(
    ("made", "meant"),
    [("Metric(name='half', yeilds=None)", "yields"), ("Task('regression', label_colum='x')", "label_column")],
)
def test_a_misspelt_field_is_told_with_the_nearest_and_the_line(site: Site, made: str, meant: str) -> None:
    site.add(f"{HEAD}\n@hookimpl\ndef ftrun_metrics():\n    return [{made}]\n")
    failure = site.plugin().failure
    line = HEAD.count("\n") + 4
    assert failure and failure.endswith(f" (their_package.py, line {line}): did you mean {meant}?"), failure


def test_a_keyword_of_something_else_has_no_nearest(site: Site) -> None:
    site.add("class Own:\n    def __init__(self, name): ...\n\nOwn(nam=1)\n")
    failure = site.plugin().failure
    assert failure and failure.endswith("(their_package.py, line 4)"), failure
