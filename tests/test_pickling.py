"""What cannot be sent to other processes is told before they are begun."""

from __future__ import annotations

import threading

import pytest
from ftrun.errors import ExperimentError
from ftrun.pickling import check_picklable


@pytest.mark.parametrize(
    "thing",
    [threading.Lock(), lambda row: row, {"rows": [threading.Lock()]}],
    ids=["a lock", "a lambda", "a lock inside"],
)
def test_what_cannot_be_sent_is_told_with_the_setting_that_asks_for_it(thing: object) -> None:
    with pytest.raises(ExperimentError) as told:
        check_picklable(thing, "the rows", "training.dataloader_num_workers", "Set it to 0")
    (problem,) = told.value.problems
    assert problem.message.startswith("the rows cannot be sent to other processes: ")
    assert problem.place == "training.dataloader_num_workers" and problem.hint
    assert problem.hint.startswith("Set it to 0, or make it of functions and classes")


def test_what_can_be_sent_is_let_by() -> None:
    check_picklable({"rows": [1, "two"], "collate": len}, "the rows", "training.dataloader_num_workers", "Set it to 0")
