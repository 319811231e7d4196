"""Plugins come through one door, and one that is broken breaks nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from ftrun import ExperimentError
from ftrun.cli import group
from ftrun.planning import catalogue
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.choice import Choice
from helpers import TINY, Ftrun, plan_of
from plugin_packages import HEAD, Site, offering

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


@pytest.mark.slow
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


@pytest.mark.slow
def test_broken_plugins_fail_only_an_experiment_that_needs_them(
    broken: dict[str, str], tiny: Path, ftrun_command: Ftrun
) -> None:
    assert ftrun_command("check", tiny, env=broken).returncode == 0
    needy = ftrun_command("check", tiny, "--set", 'metrics=[{use="kappa"}]', env=broken)
    assert needy.returncode == 2
    assert "may have offered it: " in needy.stderr and "main (broken-import)" in needy.stderr
    for distribution, (_, reason) in BROKEN.items():
        assert reason in " ".join(needy.stderr.split()) and f"main of {distribution} 1.0 cannot be" in needy.stderr


def test_why_a_plugin_failed_is_told_once_and_before_all_that_comes_of_it(tiny: Path, site: Site) -> None:
    site.add("import not_there_at_all")
    missing = {"metrics": [{"use": "kappa"}, {"use": "other"}], "backend.use": "abacus", "seed": "one"}
    with pytest.raises(ExperimentError) as told:
        plan_of(tiny, missing)
    first, *others = told.value.problems
    assert str(first).startswith(
        "the plugin main of their-package 1.0 cannot be loaded: ModuleNotFoundError: No module named 'not_there"
    )
    assert first.origin == "their-package" and "ftrun plugins --traceback" in (first.hint or "")
    assert {problem.place for problem in others} >= {"metrics[0].use", "metrics[1].use", "backend.use"}
    assert str(told.value).count("No module named") == 1


def test_a_name_that_nobody_offers_asks_for_its_package(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match=r"Is its package installed in this environment\?"):
        plan_of(tiny, {"backend.use": "abacus"})


def test_two_offers_of_one_name_must_be_told_apart(workdir: Path, ftrun_command: Ftrun) -> None:
    install(workdir, "first", HALF)
    env = install(workdir, "second", HALF)
    (workdir / "tiny.toml").write_text(TINY)
    clash = ftrun_command("check", "tiny.toml", "--set", 'metrics=[{use="half"}]', env=env)
    assert clash.returncode == 2
    assert '"first:half" or "second:half"' in clash.stderr
    told = ftrun_command("show", "tiny.toml", "--set", 'metrics=[{use="second:half"}]', env=env)
    assert told.returncode == 0 and "# from second 1.0" in told.stdout


@pytest.mark.slow
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


HOSTILE = {
    "raises": ("raise OSError('no disk')", "OSError: no disk"),
    "leaves": ("import sys\nsys.exit(3)", "SystemExit: 3"),
    "base": ("class Own(BaseException): pass\nraise Own('mine')", "Own: mine"),
    "endless": ("def go(): return go()\ngo()", "RecursionError"),
    "speechless": (
        "class E(Exception):\n    def __str__(self): raise OSError\nraise E",
        "E: it cannot say what",
    ),
    "hook": (f"{HEAD}\n@hookimpl\ndef ftrun_metrics(): raise GeneratorExit('x')", "raised GeneratorExit: x"),
    "endless-hook": (f"{HEAD}\n@hookimpl\ndef ftrun_metrics(): return ftrun_metrics()", "raised RecursionError"),
    "rubbish": (f"{HEAD}\n@hookimpl\ndef ftrun_metrics(): return object()", "must return a list of Metric"),
    "newer": ("ftrun_contract = '99.0'", "upgrade ftrun"),
    "lacking": ("import kappa_lib", "No module named 'kappa_lib'; to have it: pip install 'lacking[fast]'"),
    "lacking-later": (
        f"{HEAD}\n@hookimpl\ndef ftrun_metrics(): import kappa_lib",
        "to have it: pip install 'lacking-later[fast]'",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_plugin_does_it_is_its_own_failure_alone(name: str, site: Site) -> None:
    source, told = HOSTILE[name]
    site.add(source, name, requires=["kappa-lib>=1; extra == 'fast'"])
    site.add(offering("metric", "metric()"), "sound")
    plugin = site.plugin(name)
    assert plugin.failure and told in plugin.failure and "\n" not in plugin.failure
    assert plugin.components == [] and not plugin.notices
    assert [component.name for component in site.plugin("sound").components] == ["half"]


def test_an_entry_point_that_names_no_module_is_told(site: Site) -> None:
    site.add("", points="main = not a:valid::module")
    assert "names no module" in (site.plugin().failure or "")


def test_ctrl_c_while_plugins_are_loaded_ends_the_command(site: Site) -> None:
    site.add("raise KeyboardInterrupt")
    before = list(sys.path)
    with pytest.raises(KeyboardInterrupt):
        load_catalogue()
    assert sys.path == before


def test_a_slow_plugin_is_told_with_its_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SLOW_SECONDS", 0.05)
    busy = "import time\nbegan = time.thread_time()\nwhile time.thread_time() < began + 0.1: pass"
    site.add(offering("metric", "metric()", before=busy), version="2.0")
    (told,) = site.plugin().notices
    assert re.fullmatch(
        r"the plugin main of their-package 2.0 took 0\.\d s to load, which every command waits for", told
    )


def test_a_plugin_that_a_busy_machine_keeps_waiting_is_not_slow(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "SLOW_SECONDS", 0.05)
    site.add(offering("metric", "metric()", before="import time\ntime.sleep(0.1)"))
    assert site.plugin().notices == []


def test_what_a_plugin_prints_and_changes_is_told_and_undone(
    site: Site, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/here")
    before = "import os, sys\nprint('hello')\nos.environ['HOME'] = '/there'\nsys.path.append('/nowhere')"
    site.add(offering("metric", "metric()", before=before))
    plugin = site.plugin()
    assert plugin.failure is None and [component.name for component in plugin.components] == ["half"]
    printed, changed = plugin.notices
    assert printed.endswith('wrote to standard output as it was loaded: "hello"')
    assert changed.endswith("changed sys.path, environment variables as it was loaded, which was undone")
    assert os.environ["HOME"] == "/here" and "/nowhere" not in sys.path and capfd.readouterr().out == ""


def test_a_name_that_two_offer_is_told(site: Site) -> None:
    site.add(offering("metric", "metric(name='f1')"))
    (told,) = load_catalogue().collisions()
    assert told.startswith('the metric "f1" is offered by ftrun ') and 'use = "their-package:f1"' in told
    listed = CliRunner().invoke(group, ["plugins"])
    assert f"note: {told}" in listed.output
    (theirs,) = [
        plugin
        for plugin in json.loads(CliRunner().invoke(group, ["plugins", "--json"]).output)
        if plugin["distribution"] == "their-package"
    ]
    assert [component["use"] for component in theirs["components"]] == ["their-package:f1"]


def test_the_way_out_where_no_file_can_say_which_is_to_leave_one_out(site: Site) -> None:
    site.add(offering("metric", "metric(name='f1')"))
    with pytest.raises(ExperimentError, match=r'Say which: "ftrun:f1" .* leave one out: --no-plugin their-package\.'):
        load_catalogue().find("metric", "f1", "metrics[0].use")


def test_no_package_takes_the_place_of_the_default_collator(tiny: Path, site: Site) -> None:
    site.add(offering("collator", "collator(name='dynamic-padding')"))
    plan = plan_of(tiny)
    assert plan.collator.offer.distribution == "ftrun"
    assert plan.resolved()["collator"]["use"] == "ftrun:dynamic-padding"  # and so in the record, which is read again


def test_a_distribution_may_be_spelt_as_pypi_takes_it(site: Site) -> None:
    site.add(offering("metric", "metric()"), "Their_Package")
    assert load_catalogue().find("metric", "their-package:half", "").distribution == "Their_Package"


def test_what_is_left_out_is_not_imported_and_is_named_where_it_is_needed(site: Site) -> None:
    site.add("raise AssertionError('it was imported')")
    without = load_catalogue(Choice(without=frozenset({"their-package"})))
    (plugin,) = [plugin for plugin in without.plugins if plugin.distribution == "their-package"]
    assert (plugin.left_out, plugin.failure) == ("--no-plugin", None)
    with pytest.raises(ExperimentError, match="may be offered by their-package, left out by --no-plugin"):
        without.find("metric", "half", "metrics[0].use")
    with pytest.raises(ExperimentError, match="It is offered by their-package, which was left out by --no-plugin"):
        without.find("metric", "Their.Package:half", "metrics[0].use")


def test_the_environment_says_which_may_load(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add(offering("metric", "metric()"), "one")
    site.add(offering("metric", "metric()"), "two")
    monkeypatch.setenv("FTRUN_PLUGINS", "Two,three")
    loaded = load_catalogue()
    assert loaded.find("metric", "half", "").distribution == "two" and "f1" in loaded.offers("metric")
    assert loaded.notices == ["FTRUN_PLUGINS names three, which is no installed plugin"]


def test_no_observer_ends_a_run(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.add(f"{HEAD}\nimport sys\n@hookimpl\ndef ftrun_run_finished(run): sys.exit(9)")
    facts = {"run": "r", "run_folder": Path(), "status": "FINISHED", "metrics": {}}
    raised = load_catalogue().observe("ftrun_run_finished", **facts)
    lines = Path(site.folder, "their_package.py").read_text().splitlines()
    what = f"SystemExit: 9 (their_package.py, line {len(lines)})"
    assert raised == [("the plugin main of their-package 1.0", what)]
    assert "their-package:main failed in ftrun_run_finished" in caplog.text
