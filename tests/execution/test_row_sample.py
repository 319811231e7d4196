"""A checksum of some rows: alike in every process, another where what is learnt of them is another."""

from __future__ import annotations

import datetime
from typing import Any

import numpy
import pytest
from ftrun.contracts import Task
from ftrun.execution.row_sample import SAMPLED, sample_checksum
from helpers import rows_of

TASK = Task("classification", ("text",), "label", ("no", "yes"))
ROWS = {"text": ["a", "b", "c"], "label": [0, 1, 0]}


def test_it_is_the_same_in_every_process() -> None:
    assert sample_checksum(rows_of(**ROWS), TASK) == CHECKSUM


CHECKSUM = "4323ce135e3a1870a65a251b9791bf772ce69fa5fe6942dd3c6bb97458db5fef"


@pytest.mark.parametrize(
    "changed", [{"text": ["a", "b", "d"]}, {"label": [0, 1, 1]}, {"text": ["b", "a", "c"]}, {"text": ["a", "b", None]}]
)
def test_another_text_label_or_order_is_told(changed: dict[str, Any]) -> None:
    assert sample_checksum(rows_of(**{**ROWS, **changed}), TASK) != sample_checksum(rows_of(**ROWS), TASK)


def test_other_columns_do_not_count_and_the_label_may_lack() -> None:
    assert sample_checksum(rows_of(**ROWS, id=[1, 2, 3]), TASK) == sample_checksum(rows_of(**ROWS), TASK)
    assert sample_checksum(rows_of(text=ROWS["text"]), TASK) != sample_checksum(rows_of(**ROWS), TASK)


def test_of_many_rows_some_are_read_spread_over_all_of_them() -> None:
    texts = [str(number) for number in range(10 * SAMPLED)]
    before = sample_checksum(rows_of(text=texts), TASK)
    for start in (0, 4_321, 9_980):  # rows that stand together are told wherever they stand
        changed = [*texts[:start], *["another"] * 20, *texts[start + 20 :]]
        assert sample_checksum(rows_of(text=changed), TASK) != before


class Odd:
    """Rows of a plugin's own, with cells that are no JSON."""

    def __init__(self, *cells: Any) -> None:
        self.cells = cells
        self.column_names = ["text"]

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, key: str) -> Any:
        return self.cells

    def select(self, places: Any) -> Odd:
        return Odd(*(self.cells[place] for place in places))


def test_cells_of_any_type_are_told_apart_as_far_as_they_say_something() -> None:
    def told(*cells: Any) -> str:
        rows: Any = Odd(*cells)
        return sample_checksum(rows, TASK)

    assert told(object(), len) == told(object(), len)
    assert told(numpy.float32(0.5), numpy.arange(3)) == told(0.5, [0, 1, 2])
    assert told({"b": 1, "a": 2}) == told({"a": 2, "b": 1}) != told({"a": 2, "b": 2})
    assert told(datetime.date(2024, 1, 2)) != told(datetime.date(2024, 1, 3))
    assert told(b"\xff") != told(b"\xfe") and told("\ud800") != told("\ud801")
