"""Curves as data: the loss at every step, to the last bit."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from ftrun.runs.comparison import losses
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.floats(allow_nan=False), max_size=8))
def test_a_curve_is_the_loss_at_every_step_to_the_last_bit(curve: list[float]) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = RunFolder(Path(path))
        journal = Journal(folder.journal)
        for step, loss in enumerate(curve, start=1):
            journal.metrics(step, {"train/loss": loss, "epoch": step / 3})
            journal.metrics(step, {"eval/loss": 9.0})
        journal.close()
        assert losses(folder) == dict(enumerate(curve, start=1))


def test_a_run_without_a_journal_has_no_curve(tmp_path: Path) -> None:
    assert losses(RunFolder(tmp_path)) == {}


def test_a_loss_that_is_no_number_is_none(tmp_path: Path) -> None:
    journal = Journal(RunFolder(tmp_path).journal)
    journal.metrics(1, {"train/loss": math.nan})
    journal.close()
    assert math.isnan(losses(RunFolder(tmp_path))[1])
