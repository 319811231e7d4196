"""The schema of a file, held to what an editor makes of it: taplo, which reads it as editors do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tomlkit
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.choice import Choice
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from ftrun.planning.schema import experiment_schema
from helpers import PROJECT, TINY
from plugin_packages import Site, offering

TAPLO = shutil.which("taplo", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
Lint = Callable[[Mapping[str, str]], dict[str, str]]
"""What is wrong with files, by name."""
EXPERIMENTS = PROJECT / "experiments"
NAMED = "#:schema schema.json\n"
WHOLE = 'dataset = { use = "sample" }\nmodel = { use = "sequence-classification", checkpoint = "c" }\nbackend = { use = "loop" }\n'
RIGHT = {
    "whole": WHOLE,
    "extends": 'extends = "other.toml"\nbackend = { use = "loop" }',
    "setting": f"{WHOLE}training = {{ learning_rate = 1, max_steps = 3, save_steps = 0.5 }}",
    "distribution": f'{WHOLE}metrics = [{{ use = "ftrun:f1", average = "macro", name = "f1_macro" }}]',
    "profile": f"{WHOLE}[profile.small]\ndataset = {{ max_train_samples = 3 }}\nmetrics = [{{ use = 'accuracy' }}]",
    "left to a profile": 'name = "x"\n[profile.small]\ndataset = { use = "sample" }',
    "top": f'{WHOLE}format = 1\nseed = 3\nname = "a-b"\ncollator = {{ use = "fixed-length", length = 9 }}',
    "push": f'{WHOLE}push = {{ repo = "me/mine" }}\ntracking = {{ tags = {{ team = "nlp" }} }}',
    "either": f'{WHOLE}training = {{ class_weights = "balanced" }}',
    "or": f"{WHOLE}training = {{ class_weights = [1, 2.5] }}",
}
WRONG = {
    "key": (f"{WHOLE}training = {{ learning_rat = 1 }}", "'learning_rat' was unexpected"),
    "type": (f'{WHOLE}training = {{ max_steps = "3" }}', 'not of type "integer"'),
    "enumeration": (f'{WHOLE}training = {{ optim = "lomo" }}', '"lomo" is not one of'),
    "limit": (f"{WHOLE}training = {{ adam_beta1 = 1 }}", "1"),
    "top": (f"{WHOLE}metric = []", "'metric' was unexpected"),
    "use": (WHOLE.replace("loop", "lop"), '"lop" is not one of'),
    "another's setting": (WHOLE.replace('"sample"', '"sample", task = "mrpc"'), "'task' was unexpected"),
    "a metric's": (f'{WHOLE}metrics = [{{ use = "f1" }}, {{ use = "accuracy", average = "macro" }}]', "'average' was"),
    "a metric's enumeration": (f'{WHOLE}metrics = [{{ use = "f1", average = "mean" }}]', '"mean" is not one of'),
    "a metric without a name": (f"{WHOLE}metrics = [{{ }}]", '"use" is a required property'),
    "required": (WHOLE.replace('"sample"', '"glue"'), '"task" is a required property'),
    "missing": ('backend = { use = "loop" }', '"dataset" is a required property'),
    "profile": (f"{WHOLE}[profile.p]\ntraining = {{ lr = 1 }}", "'lr' was unexpected"),
    "a profile in a profile": (f"{WHOLE}[profile.p]\nextends = 'x'", "'extends' was unexpected"),
    "list": (f"{WHOLE}metrics = {{ use = 'f1' }}", 'not of type "array"'),
}


@pytest.fixture
def lint(workdir: Path) -> Lint:
    """What is wrong with files by the schema of what is installed, in the words of taplo; nothing where all is right."""
    if TAPLO is None:
        pytest.skip("taplo is not installed")

    def linted(texts: Mapping[str, str]) -> dict[str, str]:
        (workdir / "schema.json").write_text(json.dumps(experiment_schema(load_catalogue())))
        for name, text in texts.items():
            (workdir / f"{name}.toml").write_text(NAMED + text)
        found = {}
        for name in texts:
            done = subprocess.run([str(TAPLO), "lint", f"{name}.toml"], capture_output=True, text=True)
            if done.returncode:
                found[name] = done.stderr
        return found

    return linted


def test_what_is_right_passes(lint: Lint) -> None:
    assert lint(RIGHT) == {}


def test_what_is_wrong_is_told(lint: Lint) -> None:
    found = lint({name: text for name, (text, _) in WRONG.items()})
    assert set(found) == set(WRONG)
    assert {name: told for name, (_, told) in WRONG.items() if told not in found[name]} == {}


def test_every_example_and_what_show_prints_of_it_passes(lint: Lint) -> None:
    files = sorted(EXPERIMENTS.glob("*.toml"))
    texts = {file.stem: file.read_text() for file in files}
    catalogue = load_catalogue()
    for file in files:
        resolved = make_plan(load_experiment(file), catalogue).resolved()
        texts[f"{file.stem}-resolved"] = tomlkit.dumps(resolved)
    readme = re.findall(r"^```toml\n(.*?)^```", (PROJECT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    texts |= {f"readme-{number}": text for number, text in enumerate(readme) if "[dataset]" in text}
    assert lint({**texts, "tiny": TINY}) == {}


def test_the_file_beside_the_examples_is_the_schema_of_the_built_in_parts() -> None:
    ours = experiment_schema(load_catalogue(Choice(only=frozenset())))
    assert json.loads((EXPERIMENTS / "schema.json").read_text()) == ours, "make schema writes it anew"
    for file in EXPERIMENTS.glob("*.toml"):
        assert file.read_text().startswith(NAMED)


def test_a_plugins_settings_are_in_it_as_soon_as_it_is_installed(lint: Lint, site: Site) -> None:
    before = "class Mine(Settings):\n    level: int\n    child: 'Mine | None' = None\nMine.model_rebuild()"
    site.add(offering("metric", "metric(settings=Mine)", "metric(name='f1')", before=before))
    found = lint(
        {
            "mine": f'{WHOLE}metrics = [{{ use = "half", level = 3, child = {{ level = 4 }} }}]',
            "qualified": f'{WHOLE}metrics = [{{ use = "their-package:f1" }}]',
            "ambiguous": f'{WHOLE}metrics = [{{ use = "f1" }}]',
            "wrong": f'{WHOLE}metrics = [{{ use = "half", level = 3, child = {{ level = "4" }} }}]',
            "required": f'{WHOLE}metrics = [{{ use = "half" }}]',
        }
    )
    assert set(found) == {"ambiguous", "wrong", "required"}


def test_keys_that_a_backend_does_not_obey_are_wrong_with_it(lint: Lint, site: Site) -> None:
    site.add(offering("backend", "backend(name='few', honours=frozenset({'max_steps'}))"))
    whole = WHOLE.replace("loop", "few")
    found = lint(
        {
            "obeyed": f"{whole}training = {{ max_steps = 3, preprocessing_num_workers = 2 }}",
            "not": f"{whole}training = {{ bf16 = true }}",
        }
    )
    assert set(found) == {"not"}


def test_what_describes_itself_badly_spoils_nothing(lint: Lint, site: Site) -> None:
    before = r"""
from collections.abc import Callable
from pydantic import ConfigDict, Field
class Bad(Settings):
    model_config = ConfigDict(regex_engine='python-re', allow_inf_nan=True)
    a: str = Field('ab', pattern=r'(?<!z)ab\Z')
    b: float = float('inf')
    c: Callable[[], int] | None = None
class Worse(Settings):
    a: int = 1
    @classmethod
    def model_json_schema(cls, *args, **more):
        raise BaseException('no')
"""
    site.add(offering("metric", "metric(settings=Bad)", "metric(name='worse', settings=Worse)", before=before))
    assert lint({"whole": f'{WHOLE}metrics = [{{ use = "half", a = "ab", b = 2.5 }}]'}) == {}
