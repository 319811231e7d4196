"""Settings are the same once they were written to a file and read back, or it is said what would be lost."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from ftrun.planning.written import as_in_a_file, in_order, lost, table_of
from ftrun.settings import Settings, validate
from hypothesis import given
from hypothesis import strategies as st

LEAVES = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text()


class Anything(Settings):
    words: tuple[str, ...] = ()
    numbers: frozenset[int] = frozenset()
    table: dict[str, Any] = {}
    day: datetime.date | None = None


@given(
    st.lists(st.text(), max_size=3),
    st.sets(st.integers(-9, 9)),
    st.dictionaries(st.text(min_size=1), LEAVES),
    st.dates(),
)
def test_what_toml_has_comes_back(words: list[str], numbers: set[int], table: dict[str, Any], day: Any) -> None:
    settings = Anything(words=tuple(words), numbers=frozenset(numbers), table=table, day=day)
    if lost(settings):  # said: such as text that no TOML holds
        return
    again, problems = validate(Anything, tomllib.loads(tomlkit.dumps(table_of(settings))))
    assert problems == [] and again == settings


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"a": [None]}, "TOML has no None"),
        ({"a": Path("x")}, "ftrun.settings.LocalPath"),
        ({"a": 1j}, "Declare it as what TOML has"),
    ],
    ids=str,
)
def test_what_a_file_would_not_give_back_is_told_with_its_key(value: Any, hint: str) -> None:
    (told,) = lost(Anything.model_construct(table=value)).items()
    assert told[0] == "table" and hint in told[1]


def test_sets_are_written_in_one_order_whatever_they_hold() -> None:
    assert in_order({3, 1, 2}) == [1, 2, 3] and in_order({"b", 1}) == in_order({1, "b"})
    assert as_in_a_file({"a": ({2, 1}, [(1,)])}) == {"a": [[1, 2], [[1]]]}
