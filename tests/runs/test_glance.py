"""A run at a glance, by its journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import RunError
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import Glance, glance_at, size_of
from ftrun.runs.journal import Journal
from ftrun.runs.records import EndRecord, ResumedRecord, RunRecord, TagsRecord


def journaled(tmp_path: Path, *records: Any) -> RunFolder:
    """A run of two steps, evaluated after each; the first time better."""
    folder = RunFolder(tmp_path)
    journal = Journal(folder.journal)
    params = {"backend.use": "loop", "training.metric_for_best_model": "f1"}
    journal.append(RunRecord("mine", params, {"ftrun.backend": "loop"}))
    for step, f1 in ((1, 0.9), (2, 0.5)):
        journal.metrics(step, {"train/loss": 1.0})
        journal.metrics(step, {"eval/loss": 0.1 * step, "eval/accuracy": 0.25, "eval/f1": f1})
    for record in records:
        journal.append(record)
    journal.close()
    return folder


def test_a_run_that_goes_on_is_known_by_its_last_evaluation(tmp_path: Path) -> None:
    glance = glance_at(journaled(tmp_path))
    assert (glance.status, glance.backend, glance.steps, glance.metrics_step) == (None, "loop", 2, 2)
    assert glance.main_metric == ("eval/f1", 0.5)
    assert glance.began and glance.began > 1.7e12


def test_the_metric_that_tells_the_best_is_known_as_transformers_spells_it(tmp_path: Path) -> None:
    again = RunRecord("mine", {"training.metric_for_best_model": "eval_f1"}, {"ftrun.backend": "loop"})
    assert glance_at(journaled(tmp_path, again)).main_metric == ("eval/f1", 0.5)


def test_a_finished_one_by_that_of_its_model(tmp_path: Path) -> None:
    glance = glance_at(journaled(tmp_path, TagsRecord({"ftrun.model_step": "1"}), EndRecord("FINISHED")))
    assert (glance.status, glance.metrics_step, glance.main_metric) == ("FINISHED", 1, ("eval/f1", 0.9))


def test_a_resumed_one_goes_on_with_its_new_backend(tmp_path: Path) -> None:
    resumed = ResumedRecord(1, "experiment-1.toml", {"ftrun.backend": "trainer"})
    glance = glance_at(journaled(tmp_path, EndRecord("KILLED"), resumed))
    assert (glance.status, glance.backend) == (None, "trainer")


def test_of_one_that_goes_on_with_changes_the_numbers_before_them_count(tmp_path: Path) -> None:
    resumed = ResumedRecord(1, "experiment-1.toml", {}, anew=True)
    glance = glance_at(journaled(tmp_path, EndRecord("KILLED"), resumed))
    assert (glance.steps, glance.main_metric) == (1, ("eval/f1", 0.9))


def test_the_main_metric_is_a_score_or_else_the_loss() -> None:
    assert Glance(evaluations={3: {"eval/loss": 0.5, "eval/kappa": 0.75}}).main_metric == ("eval/kappa", 0.75)
    assert Glance(evaluations={3: {"eval/loss": 0.5}}).main_metric == ("eval/loss", 0.5)
    assert Glance().main_metric is None


def test_a_last_line_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    folder = journaled(tmp_path)
    with folder.journal.open("a") as journal:
        journal.write('{"type": "metrics", "ti')
    assert glance_at(folder).steps == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [("{{", "is damaged in line 6"), (json.dumps({"type": "end", "format": 99, "time": 1}), "has format 99")],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, line: str, told: str) -> None:
    folder = journaled(tmp_path)
    with folder.journal.open("a") as journal:
        journal.write(line + "\n")
    with pytest.raises(RunError, match=told):
        glance_at(folder)
    folder.journal.unlink()
    with pytest.raises(RunError, match="its journal cannot be read"):
        glance_at(folder)


def test_the_size_is_that_of_all_files_and_of_none_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"1" * 1000)
    (tmp_path / "a" / "other").write_bytes(b"1" * 24)
    assert size_of(tmp_path / "a") == 1024
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert size_of(tmp_path / "link") < 1000 and size_of(tmp_path / "nowhere") == 0
