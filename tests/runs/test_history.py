"""What the journal tells of a run, and how a run ended whose process is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import History, mark_if_killed, read_evaluations, read_history
from ftrun.runs.journal import Journal, read_journal
from ftrun.runs.records import RunRecord, TagsRecord

RUN = {
    "type": "run",
    "time": 1,
    "experiment_name": "tiny",
    "params": {},
    "tags": {"ftrun.run": "tiny-1", "ftrun.threads": "1"},
}


def dataset(context: str, split: str, digest: str = "1") -> dict[str, Any]:
    facts = {"name": "rows", "source": "here", "rows": 3, "columns": ["text"]}
    return {"type": "dataset", "time": 1, "context": context, "split": split, "digest": digest, **facts}


def metrics(step: int) -> dict[str, Any]:
    return {"type": "metrics", "time": 1, "step": step, "values": {"train/loss": 0.5}}


def resumed(step: int, experiment: str = "experiment.toml", **facts: Any) -> dict[str, Any]:
    return {"type": "resumed", "time": 1, "step": step, "experiment": experiment, "tags": {}, **facts}


def end(status: str) -> dict[str, Any]:
    return {"type": "end", "time": 1, "status": status}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path)


def journal(folder: RunFolder, *records: dict[str, Any]) -> History:
    """What is told by a journal of these records."""
    folder.journal.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_history(folder)


def test_a_run_without_a_journal_has_no_history(folder: RunFolder) -> None:
    told = read_history(folder)
    assert not told.recorded and told.status is None and told.last_step == 0 and told.resumed == 0


def test_the_last_step_is_the_highest_in_whatever_order_they_stand(folder: RunFolder) -> None:
    assert journal(folder, RUN, metrics(3), metrics(9), metrics(4)).last_step == 9


def test_a_run_that_goes_on_has_no_end(folder: RunFolder) -> None:
    assert journal(folder, RUN, end("KILLED")).status == "KILLED"
    assert journal(folder, RUN, end("KILLED"), resumed(3)).status is None
    assert journal(folder, RUN, end("KILLED"), resumed(3), end("FINISHED")).status == "FINISHED"


def test_a_run_is_what_it_was_last_gone_on_with(folder: RunFolder) -> None:
    tags = {"ftrun.backend": "trainer"}
    told = journal(
        folder, RUN, resumed(3, "experiment-resumed-1.toml"), resumed(5, "experiment-resumed-2.toml", tags=tags)
    )
    assert told.experiment == "experiment-resumed-2.toml" and told.resumed == 2
    assert told.tags == {**RUN["tags"], **tags}


def test_of_each_split_the_latest_data_count(folder: RunFolder) -> None:
    first = [dataset("training", "rows"), dataset("evaluation", "rows")]
    told = journal(folder, RUN, *first, dataset("training", "rows", "2"))
    assert [(record.context, record.digest) for record in told.datasets] == [
        ("training", "2"),
        ("evaluation", "1"),
    ]


@pytest.mark.parametrize(
    ("resumptions", "after"),
    [
        ([], 0),
        ([resumed(5)], 0),
        ([resumed(5, best_counts=False)], 5),
        ([resumed(5, best_counts=False), resumed(7, best_counts=True)], 5),
        ([resumed(5, best_counts=False), resumed(3, best_counts=True)], 3),
        ([resumed(5, best_counts=False), resumed(9, best_counts=False)], 9),
    ],
)
def test_from_which_checkpoint_on_the_best_one_counts(
    folder: RunFolder, resumptions: list[dict[str, Any]], after: int
) -> None:
    assert journal(folder, RUN, *resumptions).best_counts_after == after


def test_what_is_measured_by_the_clock_is_no_step(folder: RunFolder) -> None:
    measured = {"type": "measured", "time": 1, "step": 1000, "values": {"system/cpu_utilization_percentage": 5.0}}
    assert journal(folder, RUN, metrics(1), measured).last_step == 1


def test_a_run_whose_process_is_gone_was_killed_after_its_last_step(folder: RunFolder) -> None:
    journal(folder, RUN, metrics(1), metrics(2))
    assert mark_if_killed(folder)
    assert read_history(folder).status == "KILLED"
    (told,) = [entry.record.tags for entry, _ in read_journal(folder.journal) if isinstance(entry.record, TagsRecord)]
    note = told.pop("mlflow.note.content")
    assert note.startswith("Killed outright, after step 2.\n\nTo go on:") and f"    ftrun resume {folder.path}" in note
    assert told == {"ftrun.error": "killed outright, after step 2"}
    assert not mark_if_killed(folder), "it is marked once"


def test_a_description_of_somebodys_own_stays(folder: RunFolder) -> None:
    journal(folder, {**RUN, "tags": {"mlflow.note.content": "mine", "mlflow.runName": "loop s1 abc"}}, metrics(1))
    assert mark_if_killed(folder) and read_history(folder).display_name == "loop s1 abc"
    (told,) = [entry.record.tags for entry, _ in read_journal(folder.journal) if isinstance(entry.record, TagsRecord)]
    assert set(told) == {"ftrun.error"}


def test_a_run_that_is_going_on_is_not_killed(folder: RunFolder) -> None:
    journal(folder, RUN, metrics(1))
    with folder.locked():
        assert not mark_if_killed(folder)
    assert read_history(folder).status is None


@pytest.mark.parametrize("status", ["FINISHED", "FAILED", "KILLED"])
def test_a_run_that_has_ended_stays_as_it_ended(folder: RunFolder, status: str) -> None:
    journal(folder, RUN, end(status))
    before = folder.journal.read_bytes()
    assert not mark_if_killed(folder) and folder.journal.read_bytes() == before


def test_a_run_that_never_began_is_none_that_was_killed(folder: RunFolder) -> None:
    for records in ([], [metrics(1)]):
        journal(folder, *records)
        assert not mark_if_killed(folder)


def test_a_journal_that_is_gone_or_damaged_is_let_alone(folder: RunFolder) -> None:
    assert not mark_if_killed(folder)
    damaged = json.dumps(RUN) + "\n{torn\n" + json.dumps(metrics(1)) + "\n"
    folder.journal.write_text(damaged)
    assert not mark_if_killed(folder) and folder.journal.read_text() == damaged


def test_an_end_that_was_cut_short_is_no_end(workdir: Path) -> None:
    journal = Journal(workdir / "journal.jsonl")
    journal.append(RunRecord("x", {}, {"ftrun.run": "x"}))
    journal.close()
    with journal.path.open("a") as file:
        file.write('{"type": "end", "ti')
    assert mark_if_killed(RunFolder(workdir))
    assert read_history(RunFolder(workdir)).status == "KILLED"
    assert not mark_if_killed(RunFolder(workdir))


def test_evaluations_are_told_by_their_steps(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "x")
    journal = Journal(folder.journal)
    journal.metrics(2, {"train/loss": 0.5})
    journal.metrics(2, {"eval/f1": 0.75, "eval/loss": 0.25})
    journal.close()
    found = read_evaluations(folder)
    assert {step: [point[:2] for point in points] for step, points in found.items()} == {
        2: [("eval/f1", 0.75), ("eval/loss", 0.25)]
    }
