"""Plugins come through one door, and one that is broken breaks nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import TINY, Ftrun

HALF = """
from ftrun import hookimpl
from ftrun.contracts import Metric

def yields(settings, task):
    return {"half": "max"}

def build(settings, task):
    return lambda predictions: {"half": 0.5}

@hookimpl
def ftrun_metrics():
    return [Metric(name="half", summary="Always one half", yields=yields, build=build)]
"""

ONE_OF_EACH_KIND = '''
"""A package that offers one component of each kind, and needs nothing but what ftrun needs."""
from pathlib import Path

from ftrun import hookimpl
from ftrun.contracts import (
    Backend, BuiltModel, Collator, Dataset, EvaluationReport, FitResult, Metric, Model, Predictions, Splits, StepReport,
    Task,
)
from ftrun.settings import Settings

TASK = Task("classification", ("text",), "label", ("even", "odd"))

class Numbers(Settings):
    rows: int = 10

def open_numbers(settings):
    from datasets import Dataset
    rows = Dataset.from_dict({"text": [str(i) for i in range(settings.rows)], "label": [i % 2 for i in range(settings.rows)]})
    return Splits(task=TASK, train=rows, evaluation={"validation": rows}, name="numbers", source="here", digest="1")

def encode(batch):
    return {"number": [float(text) for text in batch["text"]], "labels": list(batch["label"])}

class Parity:
    def __call__(self, number):
        import numpy
        return numpy.eye(2, dtype="float32")[[int(n) % 2 for n in number]]
    def save_pretrained(self, folder):
        Path(folder).mkdir()
        Path(folder, "model.txt").write_text("parity")

def build_parity(settings, task):
    return BuiltModel(Parity(), None, encode, "parity-1", "nowhere")

def collate(rows):
    return {name: [row[name] for row in rows] for name in ("number", "labels")}

class Session:
    def __enter__(self):
        return self
    def __exit__(self, *_):
        pass
    def environment(self):
        return {"device": "abacus", "threads": "1", "precision": "beads"}
    def seed(self, seed):
        pass
    def predict(self, job, rows):
        import numpy
        batch = job.collate([rows[i] for i in range(len(rows))])
        return Predictions(job.model(batch["number"]), numpy.array(batch["labels"]), 0.0)
    def fit(self, job, reporter):
        reporter.training_started(3)
        for step in (1, 2, 3):
            reporter.stepped(StepReport(step, step / 3, 1 / step, 0.1, 1.0, 1))
        predicted = self.predict(job, job.evaluation["validation"])
        metrics = {"eval/" + k: v for evaluator in job.evaluators for k, v in evaluator(predicted).items()}
        reporter.evaluated(EvaluationReport(3, 1.0, metrics))
        reporter.settle()
        folder = job.run_folder / "model"
        job.model.save_pretrained(folder)
        return FitResult(3, 1.0, True, metrics, {"validation": predicted}, folder, 3)

def hits(predictions):
    return {"hits": float((predictions.values == predictions.labels).sum())}

@hookimpl
def ftrun_datasets():
    return [Dataset(name="numbers", summary="Numbers", settings=Numbers, build=open_numbers, task=lambda settings: TASK)]

@hookimpl
def ftrun_models():
    return [Model(name="parity", summary="Knows", build=build_parity, has_tokenizer=False)]

@hookimpl
def ftrun_collators():
    return [Collator(name="lists", summary="No tensors", build=lambda settings, tokenizer: collate)]

@hookimpl
def ftrun_metrics():
    return [Metric(name="hits", summary="Rows that are right", yields=lambda s, t: {"hits": "max"}, build=lambda s, t: hits)]

@hookimpl
def ftrun_backends():
    return [Backend(name="abacus", summary="No torch", build=lambda settings, training: Session())]

@hookimpl
def ftrun_run_finished(run, status):
    Path("seen.txt").write_text(f"{run} {status}")
'''

NUMBERS = """
name = "numbers"
dataset = { use = "numbers", rows = 12 }
model = { use = "parity" }
collator = { use = "lists" }
backend = { use = "abacus" }
metrics = [{ use = "hits" }]
tracking = { enabled = false }
"""


def install(folder: Path, distribution: str, source: str, version: str = "1.0") -> dict[str, str]:
    """Build and install a plugin package with pip, into a folder; the environment that finds it there."""
    package = distribution.replace("-", "_")
    project = folder / f"project-{distribution}"
    (project / package).mkdir(parents=True)
    (project / package / "__init__.py").write_text(source)
    (project / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        f'[project]\nname = "{distribution}"\nversion = "{version}"\n'
        f'[project.entry-points.ftrun]\nmain = "{package}"\n'
    )
    site = folder / "site"
    pip = [*(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation")]
    subprocess.run([*pip, "--target", str(site), str(project)], check=True, capture_output=True)
    return {"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}


def test_an_experiment_made_only_of_third_party_parts_runs(workdir: Path, ftrun_command: Ftrun) -> None:
    env = install(workdir, "one-of-each", ONE_OF_EACH_KIND)
    (workdir / "numbers.toml").write_text(NUMBERS)
    done = ftrun_command("numbers.toml", "--json", env=env)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["metrics"] == {"eval/hits": 12.0}
    assert result["backend"] == "abacus" and result["steps"] == 3
    assert (workdir / "seen.txt").read_text() == f"{result['run']} FINISHED"
    shown = ftrun_command("show", "numbers.toml", env=env).stdout
    assert shown.count("# from one-of-each 1.0") == 5


BROKEN = {
    "broken-import": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "broken-hook-name": ("from ftrun import hookimpl\n@hookimpl\ndef ftrun_metric(): return []", "did you mean ftrun_metrics"),
    "broken-answer": ("from ftrun import hookimpl\n@hookimpl\ndef ftrun_metrics(): raise OSError('no disk')", "no disk"),
    "broken-type": ("from ftrun import hookimpl\n@hookimpl\ndef ftrun_metrics(): return ['f1']", "which is no Metric"),
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with four broken plugins and a sound one."""
    folder = tmp_path_factory.mktemp("broken")
    for distribution, (source, _) in BROKEN.items():
        install(folder, distribution, source)
    return install(folder, "sound", HALF)


def test_broken_plugins_are_told_and_break_nothing_else(broken: dict[str, str], ftrun_command: Ftrun) -> None:
    listed = ftrun_command("plugins", "--json", env=broken)
    assert listed.returncode == 0
    plugins = {plugin["distribution"]: plugin for plugin in json.loads(listed.stdout)}
    for distribution, (_, reason) in BROKEN.items():
        assert reason in plugins[distribution]["failure"]
        assert plugins[distribution]["components"] == []
    assert plugins["sound"]["failure"] is None
    assert [component["name"] for component in plugins["sound"]["components"]] == ["half"]
    shown = ftrun_command("plugins", env=broken).stdout
    assert all(f"failed: main of {distribution} 1.0" in shown for distribution in BROKEN)


def test_broken_plugins_fail_only_an_experiment_that_needs_them(
    broken: dict[str, str], tiny: Path, ftrun_command: Ftrun
) -> None:
    assert ftrun_command("check", tiny, env=broken).returncode == 0
    needy = ftrun_command("check", tiny, "--set", 'metrics=[{use="kappa"}]', env=broken)
    assert needy.returncode == 2
    assert "broken-import" in needy.stderr and "see `ftrun plugins`" in needy.stderr


def test_two_offers_of_one_name_must_be_told_apart(workdir: Path, ftrun_command: Ftrun) -> None:
    install(workdir, "first", HALF)
    env = install(workdir, "second", HALF)
    (workdir / "tiny.toml").write_text(TINY)
    clash = ftrun_command("check", "tiny.toml", "--set", 'metrics=[{use="half"}]', env=env)
    assert clash.returncode == 2
    assert '"first:half" or "second:half"' in clash.stderr
    told = ftrun_command("show", "tiny.toml", "--set", 'metrics=[{use="second:half"}]', env=env)
    assert told.returncode == 0 and "# from second 1.0" in told.stdout


def test_a_failing_observer_harms_nothing(workdir: Path, ftrun_command: Ftrun) -> None:
    observer = (
        "from ftrun import hookimpl\n@hookimpl\ndef ftrun_run_finished(run): raise RuntimeError('observer is ill')"
    )
    env = install(workdir, "one-of-each", ONE_OF_EACH_KIND) and install(workdir, "observer", observer)
    (workdir / "numbers.toml").write_text(NUMBERS)
    done = ftrun_command("numbers.toml", "--json", env=env)
    assert done.returncode == 0
    log = Path(json.loads(done.stdout)["run_folder"], "log.txt").read_text()
    assert "observer:main failed in ftrun_run_finished" in log and "observer is ill" in log
