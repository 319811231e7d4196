"""Waiting goes on as long as something moves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ftrun.tracking.patience import MOVED_BYTES, Patience, progress_of
from ftrun.tracking.state import Delivery


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("ftrun.tracking.patience.time.monotonic", lambda: now[0])
    return now


def test_patience_begins_anew_with_everything_new(clock: list[float]) -> None:
    waiting = Patience(5.0)
    for moment, progress, is_over in [
        (104, 1, False),
        (108, 2, False),
        (112, 1, False),
        (113, 2, True),
        (114, 3, False),
    ]:
        clock[0] = moment
        waiting.sees(progress)
        assert waiting.is_over is is_over, moment


def test_no_patience_is_over_at_once(clock: list[float]) -> None:
    assert Patience(0.0).is_over


def test_a_record_and_a_file_that_are_through_are_progress_and_the_same_error_is_none() -> None:
    told = progress_of(Delivery(pending=2, doing="model/a", error="away"))
    assert told == progress_of(Delivery(pending=2, doing="model/a", error="away again"))
    assert len({told, progress_of(Delivery(pending=1)), progress_of(Delivery(pending=2, doing="model/b"))}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="the system counts what a process reads on Linux alone")
def test_a_large_file_is_seen_moving_while_nothing_has_failed(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(2 * MOVED_BYTES))
    sending = Delivery(pending=1, doing="model/large")
    failed = Delivery(pending=1, doing="model/large", error="away")
    before = [progress_of(delivery, os.getpid()) for delivery in (sending, failed)]
    (tmp_path / "large").read_bytes()
    after = [progress_of(delivery, os.getpid()) for delivery in (sending, failed)]
    assert before[0] != after[0] and before[1] == after[1]


def test_a_process_that_is_gone_has_read_nothing() -> None:
    assert progress_of(Delivery(pending=1, doing="model/a"), 2**30) == (1, "model/a", 0)
