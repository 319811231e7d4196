"""What a column of Arrow's holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from ftrun_plugins.datasets.holding import holds


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
