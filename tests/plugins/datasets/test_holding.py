"""What a column of Arrow's holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset
from ftrun_plugins.datasets.holding import arrow_of, holds, rows_over_lines


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["a", "1", None], "text"),
        (["1", "2.5", " ", None], "values"),
        ([1, None], "values"),
        ([True], "values"),
        ([None], "values"),
        ([["a"]], "lists"),
        ([b"a"], "something else"),
        (pa.array(["a", "a"]).dictionary_encode(), "text"),
        (pa.array([], pa.large_string()), "values"),
    ],
)
def test_a_column_is_text_values_or_neither(values: Any, told: str) -> None:
    assert holds(pa.chunked_array([pa.array(values) if isinstance(values, list) else values])) == told


def test_the_rows_are_those_that_are_selected() -> None:
    rows = Dataset.from_dict({"text": ["a", "b", "c"], "more": [1, 2, 3]})
    assert arrow_of(rows).to_pydict() == rows.to_dict()
    assert arrow_of(rows.select([2, 0]), ["text"]).to_pydict() == {"text": ["c", "a"]}
    assert arrow_of(rows.select(range(1, 3)), ["more"]).to_pydict() == {"more": [2, 3]}


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_row_looks_like_several_where_each_line_has_all_cells(end: str) -> None:
    texts = ["one", f"a,1{end}b", f"a{end}b", f"a,1{end}b,2{end}c,0{end}d", None, f"a, 1{end}b, 2", f"{end},"]
    rows = Dataset.from_dict({"text": texts, "label": ["0"] * len(texts)})
    assert rows_over_lines(rows, ",") == [
        (1, [["a", "1"], ["b", "0"]]),
        (3, [["a", "1"], ["b", "2"], ["c", "0"], ["d", "0"]]),
    ]
