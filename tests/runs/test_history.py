"""What the journal tells of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.runs.folder import RunFolder
from ftrun.runs.history import History, read_evaluations, read_history
from ftrun.runs.journal import Journal

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
