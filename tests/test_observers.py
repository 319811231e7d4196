"""Plugins that look on: what they are told, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import ftrun
from helpers import died_after, journal_of
from plugin_packages import HEAD, Site

LOOKING_ON = f"""{HEAD}
import json
from pathlib import Path

def tell(*facts):
    with Path("seen.jsonl").open("a") as file:
        file.write(json.dumps(facts) + "\\n")

@hookimpl
def ftrun_run_started(run, run_folder):
    tell("started", run, str(run_folder))

@hookimpl
def ftrun_evaluated(run, run_folder, report):
    tell("evaluated", run, str(run_folder), report.step, report.metrics["eval/loss"])

@hookimpl
def ftrun_run_finished(run, run_folder, status):
    tell("finished", run, str(run_folder), status)
"""


def seen() -> list[Any]:
    lines = Path("seen.jsonl").read_text().splitlines()
    Path("seen.jsonl").unlink()
    return [json.loads(line) for line in lines]


def test_a_resumed_run_begins_and_ends_once_more_and_repeats_what_came_after_its_checkpoint(
    site: Site, tiny: Path
) -> None:
    site.add(LOOKING_ON)
    result = ftrun.run(tiny, overrides={"training.save_strategy": "epoch"}, progress=False)
    tags = next(record["tags"] for record in journal_of(result.run_folder) if record["type"] == "run")
    assert tags["ftrun.plugin.their-package"].startswith("1.0: observes ")
    first = seen()
    run, folder = result.run, str(result.run_folder)
    assert [(fact[0], *fact[3:4]) for fact in first] == [
        ("started",),
        ("evaluated", 6),
        ("evaluated", 12),
        ("finished", "FINISHED"),
    ]
    assert {(fact[1], fact[2]) for fact in first} == {(run, folder)}
    for step in (6, 12):  # of the last one the evaluation is repeated, too
        died = died_after(result.run_folder, step, f"{run}-{step}")
        assert ftrun.resume(died, progress=False).status == "FINISHED"
        again = seen()
        assert [(fact[0], *fact[3:]) for fact in again] == [
            ("started",),
            ("evaluated", 12, first[2][4]),
            ("finished", "FINISHED"),
        ]
        assert {(fact[1], fact[2]) for fact in again} == {(died.name, str(died))}


def test_the_test_at_the_end_and_a_later_evaluation_are_told_to_no_observer_of_evaluations(
    site: Site, tiny: Path
) -> None:
    site.add(LOOKING_ON)
    Path("rows.csv").write_text("text,label\na,no\nb,yes\nc,no\nd,yes\n")
    dataset = {"use": "files", "text_columns": ["text"], "label_column": "label"}
    dataset |= dict.fromkeys(("train", "validation", "test"), "rows.csv")
    overrides = {"dataset": dataset, "metrics": [], "training.max_steps": 1}
    result = ftrun.run(tiny, overrides=overrides, progress=False)
    assert "test/loss" in result.metrics
    assert [fact[0] for fact in seen()] == ["started", "evaluated", "finished"]
    ftrun.evaluate(result.run, "rows.csv", device="cpu", progress=False)
    assert not Path("seen.jsonl").exists()
