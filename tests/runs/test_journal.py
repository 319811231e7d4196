"""The journal keeps what was told first, and survives being cut short."""

from __future__ import annotations

import math
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import RunError
from ftrun.runs.journal import Journal, read_current, read_journal
from ftrun.runs.records import CheckpointRecord, DifferingRecord, EndRecord, MetricsRecord, ResumedRecord
from hypothesis import given
from hypothesis import strategies as st

POINTS = st.lists(
    st.tuples(st.sampled_from(["train/loss", "eval/f1"]), st.integers(1, 5), st.floats(allow_nan=False)), max_size=20
)
WHOLE = b'{"type": "checkpoint", "time": 1, "step": 1, "folder": "checkpoint-1"}\n'


def records(path: Path, offset: int = 0) -> list[Any]:
    return [entry.record for entry, _ in read_journal(path, offset)]


def points(path: Path) -> dict[tuple[str, int], float]:
    return {
        (key, record.step): value
        for record in records(path)
        if isinstance(record, MetricsRecord)
        for key, value in record.values.items()
    }


@given(POINTS, st.integers(0, 20))
def test_the_first_telling_of_a_point_stands_also_across_a_restart(told: list, restart: int) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        first: dict[tuple[str, int], float] = {}
        differing = []
        for part in (told[:restart], told[restart:]):
            journal = Journal(path)
            for key, step, value in part:
                journal.metrics(step, {key: value})
                if first.setdefault((key, step), value) != value:
                    differing.append((key, step))
            journal.close()
        assert points(path) == first
        told_again = [
            (key, record.step)
            for record in records(path)
            if isinstance(record, DifferingRecord)
            for key in record.values
        ]
        assert sum(len(record.values) for record in records(path)) - len(told_again) == len(first)
        assert told_again == differing


@given(st.integers(0, 400))
def test_a_journal_cut_anywhere_reads_up_to_the_last_whole_line(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = Journal(path)
        for step in range(1, 6):
            journal.metrics(step, {"train/loss": step / 3})
        journal.close()
        whole = path.read_bytes()
        path.write_bytes(whole[:cut])
        expected = whole[:cut].count(b"\n")
        assert [record.step for record in records(path)] == list(range(1, expected + 1))


def test_numbers_that_json_has_not_survive(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.metrics(1, {"a": math.nan, "b": math.inf, "c": -math.inf})
    journal.close()
    read = points(tmp_path / "j")
    assert math.isnan(read["a", 1]) and read["b", 1] == math.inf and read["c", 1] == -math.inf


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(CheckpointRecord(1, "checkpoint-1"))
    journal.append(EndRecord("FINISHED"))
    journal.close()
    (first, offset), _ = read_journal(tmp_path / "j")
    assert first.record == CheckpointRecord(1, "checkpoint-1")
    assert records(tmp_path / "j", offset) == [EndRecord("FINISHED")]


@pytest.mark.slow
def test_a_long_journal_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    def peak(steps: int, again: int = 0) -> int:
        """Bytes at most for so many steps, and for the last of them once more as a resumed run tells them."""
        path = tmp_path / f"{steps}.jsonl"
        tracemalloc.start()
        try:
            for first in (1, steps - again + 1) if again else (1,):
                journal = Journal(path)
                for step in range(first, steps + 1):
                    journal.metrics(step, {"train/loss": step / 7, "epoch": step / 9})
                journal.close()
                assert journal.differing == []
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)
    for_others = 100_000  # what other threads of the process take meanwhile; 8,000 points would be above a million
    assert peak(8000) < 2 * peak(500) + for_others
    assert peak(8001, again=8001) < 2 * peak(501, again=501) + for_others


def test_points_out_of_order_are_told_once_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for _ in range(2):
        journal = Journal(path)
        for step, value in ((5, 1.0), (3, 2.0), (4, 3.0), (3, 2.0), (5, 9.0), (6, 4.0)):
            journal.metrics(step, {"loss": value})
        journal.metrics(3, {"late": 1.0})
        journal.close()
    assert [(record.step, record.values) for record in records(path) if isinstance(record, MetricsRecord)] == [
        *((step, {"loss": value}) for step, value in ((5, 1.0), (3, 2.0), (4, 3.0), (6, 4.0))),
        (3, {"late": 1.0}),
    ]
    assert journal.differing == [("loss", 5)]


def test_a_journal_that_is_damaged_in_its_midst_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    for damage in (b"{torn\n", b"\0\0\n", b"\xff\n"):
        content = WHOLE + damage + b'{"type": "end", "time": 2, "status": "KILLED"}\n'
        path.write_bytes(content)
        with pytest.raises(RunError, match="damaged in line 2"):
            Journal(path)
        assert path.read_bytes() == content


@pytest.mark.parametrize("end", [b'{"type": "met', b'{"type": "met\n', b"\0\0\0\0", b'{"a\n\0\0'])
def test_an_end_that_was_being_written_is_cut_off(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(WHOLE + end)
    Journal(path).close()
    assert path.read_bytes() == WHOLE


def test_points_that_an_earlier_attempt_did_not_tell_are_new_without_a_look_at_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for step in range(10, 1001, 10):
        journal.metrics(step, {"loss": step / 7})
    journal.close()
    again = Journal(path)
    monkeypatch.setattr("ftrun.runs.journal._metrics_up_to", lambda *_: pytest.fail("it read the whole file"))
    for step in range(1, 1001):
        again.metrics(step, {"loss": step / 7})
        again.metrics(step, {"loss": step / 7})
    again.close()
    assert again.differing == [] and len(points(path)) == 1000


def changed(step: int, anew: bool = True) -> ResumedRecord:
    return ResumedRecord(step, "experiment.toml", {}, anew=anew)


def losses(path: Path) -> dict[int, float]:
    """What counts of the loss, by the step."""
    counted = [entry.record for entry, _ in read_current(path) if isinstance(entry.record, MetricsRecord)]
    return {record.step: record.values["loss"] for record in counted}


def test_points_after_a_change_are_taken_anew_and_those_before_it_stand(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = Journal(path)
    for step in range(1, 7):
        journal.metrics(step, {"loss": step / 7})
        journal.append(CheckpointRecord(step, f"checkpoint-{step}"))
    journal.append(changed(3))
    journal.metrics(4, {"loss": 4 / 9})
    journal.metrics(5, {"loss": 5 / 9})
    journal.close()
    assert journal.differing == []
    assert losses(path) == {1: 1 / 7, 2: 2 / 7, 3: 3 / 7, 4: 4 / 9, 5: 5 / 9}
    counted = [entry.record.step for entry, _ in read_current(path) if isinstance(entry.record, CheckpointRecord)]
    assert counted == [1, 2, 3]


def test_what_was_taken_anew_is_compared_when_the_run_goes_on_once_more(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for resumed, rate in ((None, 7), (changed(3), 9), (changed(4, anew=False), 9), (changed(4), 11)):
        journal = Journal(path)
        if resumed:
            journal.append(resumed)
        for step in range(resumed.step + 1 if resumed else 1, 7):
            journal.metrics(step, {"loss": step / rate})
        journal.close()
        assert journal.differing == []
    assert losses(path) == {1: 1 / 7, 2: 2 / 7, 3: 3 / 7, 4: 4 / 9, 5: 5 / 11, 6: 6 / 11}
    journal = Journal(path)
    journal.append(changed(5, anew=False))
    journal.metrics(6, {"loss": 6 / 9})
    journal.close()
    assert journal.differing == [("loss", 6)] and losses(path)[6] == 6 / 11


def test_a_checkpoint_that_is_evaluated_once_more_after_a_change_has_the_numbers_of_now(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for resumed, value in ((None, 0.5), (changed(6), 0.25), (changed(6, anew=False), 0.25)):
        journal = Journal(path)
        if resumed:
            journal.append(resumed)
        journal.metrics(6, {"loss": value})
        journal.close()
        assert journal.differing == []
    assert losses(path) == {6: 0.25} and len(points(path)) == 1
