"""A run that begins anew, in a folder of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from ftrun.errors import RunError
from ftrun.execution.beginning import FreshStart
from ftrun.runs.history import read_history
from ftrun.runs.journal import Journal
from helpers import journal_of, plan_of, rows_of, splits_of


def test_nothing_is_made_before_it_begins(tiny: Path) -> None:
    FreshStart(plan_of(tiny))
    assert not (tiny.parent / "runs").exists()


def test_its_folder_is_made_once_and_is_its_own(tiny: Path) -> None:
    plan = plan_of(tiny)
    first, second = FreshStart(plan), FreshStart(plan)
    assert first.folder is first.folder and first.folder.path != second.folder.path
    assert first.folder.path.parent == tiny.parent / "runs" and first.folder.name.startswith("tiny-")


def test_the_first_thing_in_its_folder_is_the_experiment(tiny: Path) -> None:
    plan = plan_of(tiny, {"training.max_steps": 3})
    start = FreshStart(plan, tiny.parent / "elsewhere")
    start.take(plan)
    assert [path.name for path in start.folder.path.iterdir()] == ["experiment.toml"]
    assert tomllib.loads(start.folder.experiment.read_text()) == plan.resolved()


def test_a_folder_that_goes_before_it_begins_is_told(tiny: Path) -> None:
    plan = plan_of(tiny)
    start = FreshStart(plan)
    start.folder.path.rmdir()
    with pytest.raises(RunError, match=r"the run folder .* cannot be written: No such file or directory"):
        start.take(plan)


def test_nothing_is_behind_it_and_there_is_nothing_to_compare_with(tiny: Path) -> None:
    start = FreshStart(plan_of(tiny))
    assert (start.is_new, start.step, start.checkpoint_folder, start.best_counts, start.notices) == (
        True,
        0,
        None,
        True,
        (),
    )
    start.compare_environment({"ftrun.threads": "1"})
    start.compare_data(splits_of(rows_of(text=["a"], label=[0])))
    start.compare_model({})


def test_the_record_says_what_runs_and_on_what_data(tiny: Path) -> None:
    plan = plan_of(tiny)
    start = FreshStart(plan)
    journal = Journal(start.folder.journal)
    start.record(journal, plan, {"ftrun.run": start.folder.name}, splits_of(rows_of(text=["a"], label=[0])))
    journal.close()
    records = journal_of(start.folder.path)
    assert [record["type"] for record in records] == ["run", "artifact", "dataset", "dataset"]
    assert float(records[0]["params"]["training.num_train_epochs"]) == 2 and records[0]["experiment_name"] == "tiny"
    told = read_history(start.folder)
    assert (
        told.recorded and told.status is None and [record.split for record in told.datasets] == ["train", "validation"]
    )
