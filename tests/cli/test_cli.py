"""The command: what it prints, where, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import click.testing
import pytest
from ftrun.cli import group
from helpers import TINY, Ftrun
from plugin_packages import Site


@pytest.mark.slow
def test_a_run_prints_one_json_object_and_all_else_on_standard_error(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command(tiny, "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    result = json.loads(line)
    assert {
        *("experiment", "backend", "run", "run_folder", "run_id", "tracking_uri", "status", "error", "steps"),
        *("seconds", "examples_per_second", "metrics"),
    } <= set(result)
    assert result["status"] == "FINISHED" and result["steps"] == 12 and result["run_id"] is None
    assert set(result["metrics"]) == {"eval/loss", "eval/accuracy", "eval/f1"}
    assert Path(result["run_folder"]).parent == tiny.parent / "runs"
    assert "evaluation at step 12" in done.stderr and "training: 12 steps" in done.stderr


@pytest.mark.slow
def test_output_in_a_pipe_is_plain(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command(tiny)
    assert "\x1b" not in done.stdout and "\r" not in done.stdout
    assert done.stderr == ""
    assert "finished" in done.stdout and "next" in done.stdout


@pytest.mark.slow
def test_runs_go_on_after_a_failure_and_are_compared(tiny: Path, ftrun_command: Ftrun) -> None:
    bad = tiny.with_name("bad.toml")
    bad.write_text('extends = "tiny.toml"\nname = "bad"\n[training]\nlearning_rate = 1e30\n')
    done = ftrun_command(bad, tiny, "--json")
    assert done.returncode == 1
    failed, finished = map(json.loads, done.stdout.splitlines())
    assert (failed["status"] == "FAILED" and "not finite" in failed["error"]) or "nan" in failed["error"]
    assert finished["status"] == "FINISHED"
    assert "the runs side by side" in done.stderr


def test_nothing_runs_if_one_file_is_wrong(tiny: Path, ftrun_command: Ftrun) -> None:
    wrong = tiny.with_name("wrong.toml")
    wrong.write_text('extends = "tiny.toml"\n[training]\nnum_train_epochs = -1\nlearning_rate = nan\n')
    done = ftrun_command(tiny, wrong)
    assert done.returncode == 2
    assert "2 problems" in done.stderr and "training.num_train_epochs" in done.stderr
    assert "training.learning_rate" in done.stderr and "Traceback" not in done.stderr
    assert not (tiny.parent / "runs").exists()


def test_check_tells_and_says_so_by_its_status(tiny: Path, ftrun_command: Ftrun) -> None:
    good = ftrun_command("check", tiny)
    assert good.returncode == 0 and "nothing wrong" in good.stdout
    bad = ftrun_command("check", tiny, "--set", "training.lr=3")
    assert bad.returncode == 2 and "Did you mean learning_rate?" in bad.stderr


def test_check_takes_the_backends_that_a_run_would_take(tiny: Path) -> None:
    def check(*arguments: str) -> click.testing.Result:
        return click.testing.CliRunner().invoke(group, ["check", str(tiny), *arguments], standalone_mode=False)

    both = check("--backend", "accelerate", "--backend", "trainer", "--unset", "training.bf16")
    assert both.return_value == 0, both.output
    assert re.findall(r" on (\w+), nothing wrong", both.output) == ["accelerate", "trainer"]
    other = check("--backend", "loop", "--backend", "lopp")
    assert other.return_value == 2 and f"{tiny} on lopp: 1 problem\n  backend.use: " in other.stderr
    assert " on loop, nothing wrong" in other.stdout
    two = check("--backend", "loop", "--set", "backend.use=trainer")
    assert two.return_value == 2 and "two backends are asked for" in two.stderr
    needs = check("--offline", "--json", "--backend", "loop", "--backend", "trainer")
    assert [json.loads(line)["backend"] for line in needs.stdout.splitlines()] == ["loop", "trainer"]


@pytest.mark.parametrize(
    ("data", "open_yet"),
    [
        ({}, "suit its task: ftrun check --deep looks at it"),
        ({"kind": "multi_label"}, "suit its classes: ftrun check --deep looks at it"),
        ({"class_names": ["a", "b"]}, None),
        ({"kind": "regression"}, None),
    ],
    ids=str,
)
def test_check_says_what_only_the_data_tells(tiny: Path, data: dict[str, Any], open_yet: str | None) -> None:
    Path("rows.csv").write_text("text,label\na,a\nb,b\n")
    table = {"use": "files", "train": "rows.csv", "text_columns": ["text"], **data}
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    checked = click.testing.CliRunner().invoke(
        group, ["check", str(tiny), "--set", f"dataset={{ {pairs} }}", "--set", "metrics=[]"]
    )
    said = f"{tiny}: tiny on loop, nothing wrong"
    told = f" so far. Only the data tells whether model, metrics and training {open_yet}" if open_yet else ""
    assert checked.output == f"{said}{told}\n"


@pytest.mark.slow
def test_libraries_show_no_bars_of_their_own_whoever_drives_the_training() -> None:
    program = (
        "import sys; sys.argv = ['ftrun', '--version']\nfrom ftrun.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        "from transformers.utils import logging\nassert not logging.is_progress_bar_enabled()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_an_encoding_has_no_place_for_is_shown_as_toml_writes_it(workdir: Path, ftrun_command: Ftrun) -> None:
    for name in ("train.csv", "validation.csv"):
        Path(name).write_text("text,label\na,x\nb,y\n")
    names = 'class_names = ["h\u00e9", "\u4e2d\U0001f600"]'
    data = f'[dataset]\nuse = "files"\ntrain = "train.csv"\nvalidation = "validation.csv"\ntext_columns = ["text"]\n{names}\n'
    tiny = f"{TINY.partition('[dataset]')[0]}{data}[model]{TINY.partition('[model]')[2]}"
    Path("tiny.toml").write_text(tiny.replace('use = "glue"', 'use = "accuracy"'), encoding="utf-8")
    shown = ftrun_command("show", "tiny.toml", env={"PYTHONIOENCODING": "ascii"})
    assert shown.returncode == 0, shown.stderr
    assert tomllib.loads(shown.stdout)["dataset"]["class_names"] == ["h\u00e9", "\u4e2d\U0001f600"]


def test_show_prints_toml_that_runs_as_it_stands(tiny: Path, ftrun_command: Ftrun) -> None:
    shown = ftrun_command("show", tiny, "--set", "training.max_steps=3")
    assert shown.returncode == 0 and shown.stdout.count("# from ftrun") == 5
    tiny.with_name("shown.toml").write_text(shown.stdout)
    again = ftrun_command("show", "shown.toml")
    assert again.stdout == shown.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["pluginss"], "Did you mean `ftrun plugins`?"),
        (["missing.toml"], "there is no file missing.toml"),
        (["tiny.toml", "--profile", "smoke"], 'has no profile "smoke"'),
        (["tiny.toml", "--set", "nonsense"], "KEY=VALUE"),
        (["tiny.toml", "--backend", "lop"], 'Did you mean "loop"?'),
        (["tiny.toml", "--sets", "a=1"], "--set"),
        (["check"], "FILE"),
        (["describe", "metrik"], "Did you mean metric?"),
        (["schema", "--out", "tiny.toml"], "tiny.toml is there, and is no schema"),
        (["plugins", "--no-plugin", "nope"], 'there is no plugin of a distribution "nope"'),
        (["sync", "no-such-run"], 'there is no run "no-such-run"'),
        (["resume", "no-such-run", "--set", "nonsense"], "KEY=VALUE"),
        (["resume", "no-such-run"], 'there is no run "no-such-run"'),
        (
            ["tiny.toml", "--backend", "loop", "--set", "backend.use=trainer"],
            'two backends are asked for: "loop", and "trainer"',
        ),
        (
            ["resume", "tiny.toml", "--backend", "loop", "--set", "backend.use=trainer"],
            "backend.use: two backends are asked",
        ),
    ],
)
def test_mistakes_are_told_in_a_line_with_status_2(
    tiny: Path, ftrun_command: Ftrun, arguments: list[str], expected: str
) -> None:
    done = ftrun_command(*arguments)
    assert done.returncode == 2
    assert expected in done.stderr and "Traceback" not in done.stderr


def test_options_may_come_first(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command("--set", "training.lr=1", "tiny.toml")
    assert done.returncode == 2 and "learning_rate" in done.stderr


@pytest.mark.slow
def test_several_backends_are_run_in_turn_and_compared(tiny: Path, ftrun_command: Ftrun) -> None:
    done = ftrun_command(tiny, *("--backend", "loop", "--backend", "trainer", "--backend", "accelerate"))
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout[done.stdout.index("the runs side by side") :]
    assert table.count(" yes\n") == 2 and "the first" in table
    assert "mlflow" not in done.stdout, "which has not been told of them"


@pytest.mark.slow
def test_several_that_are_in_mlflow_lead_to_their_curves(tiny: Path, store: Path, ftrun_command: Ftrun) -> None:
    tracked = ("tracking.enabled=true", "training.max_steps=2")
    options = [word for setting in tracked for word in ("--set", setting)]
    done = ftrun_command(tiny, "--backend", "loop", "--backend", "trainer", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^see the curves: .*mlflow ui", done.stdout, re.MULTILINE)


def test_describe_lists_and_describes(ftrun_command: Ftrun) -> None:
    assert re.search(r"^metric +f1 +ftrun ", ftrun_command("describe").stdout, re.MULTILINE)
    told = ftrun_command("describe", "metric", "f1")
    assert told.returncode == 0 and "from ftrun" in told.stdout and '[[metrics]]\nuse = "f1"' in told.stdout
    described = json.loads(ftrun_command("describe", "training", "--json").stdout)
    assert described["kind"] == "training" and len(described["keys"]) > 30


def test_a_schema_is_written_over_an_earlier_one_alone(workdir: Path, ftrun_command: Ftrun) -> None:
    for _ in range(2):
        done = ftrun_command("schema", "--out", "schema.json")
        assert done.returncode == 0 and done.stdout == "" and "#:schema schema.json" in done.stderr
    assert (workdir / "schema.json").read_text() == ftrun_command("schema").stdout


PLUGIN = """
import sys
print("printed")
sys.path.append("/nowhere")
from ftrun import hookimpl
from ftrun.contracts import Metric

@hookimpl
def ftrun_metrics():
    return [Metric(name="half", summary="", yields=lambda s, t: {"half": "max"}, build=lambda s, t: None)]
"""


def test_a_plugin_that_misbehaves_as_it_is_loaded_is_told_by_name_and_breaks_no_output(
    tiny: Path, site: Site, ftrun_command: Ftrun
) -> None:
    site.add(PLUGIN)
    listed = ftrun_command("plugins", "--json", env=site.env)
    theirs = json.loads(listed.stdout)[-1]
    assert theirs["distribution"] == "their-package" and len(theirs["notices"]) == 2
    assert listed.stderr.count("note: the plugin main of their-package 1.0 ") == 2
    for sentence in ('wrote to standard output as it was loaded: "printed"', "changed sys.path as it was loaded"):
        assert sentence in listed.stderr


def test_a_plugin_that_is_left_out_is_named_where_it_is_needed(tiny: Path, site: Site, ftrun_command: Ftrun) -> None:
    site.add(PLUGIN)
    with_it = ("check", tiny, "--set", "metrics.0.use=half")
    assert ftrun_command(*with_it, env=site.env).returncode == 0
    told = ftrun_command(*with_it, "--no-plugin", "Their.Package", env=site.env)
    assert told.returncode == 2 and "may be offered by their-package, left out by --no-plugin" in told.stderr
    assert "printed" not in told.stderr, "it was not loaded"
    told = ftrun_command(
        "check", tiny, "--set", "metrics.0.use=their_package:half", env={**site.env, "FTRUN_PLUGINS": ""}
    )
    assert "It is offered by their-package, which was left out by FTRUN_PLUGINS" in told.stderr
    told = ftrun_command("check", tiny, env={**site.env, "FTRUN_PLUGINS": "their-pakage"})
    assert told.returncode == 0 and "did you mean their-package?" in told.stderr


def test_what_is_left_out_is_left_out_in_the_processes_that_a_command_begins(tiny: Path, site: Site) -> None:
    for name in ("their-package", "another", "third"):
        site.add("", name)
    os.environ["FTRUN_PLUGINS"] = "another,their-package"
    done = click.testing.CliRunner().invoke(group, ["check", str(tiny), "--no-plugin", "Another"])
    assert done.exit_code == 0, done.output
    assert os.environ["FTRUN_PLUGINS"] == "their-package"
