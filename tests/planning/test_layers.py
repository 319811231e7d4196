"""What --set takes, and how tables are laid over each other."""

from __future__ import annotations

import pytest
from ftrun.errors import ExperimentError
from ftrun.planning.layers import parse_override


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=3e-5", ("a.b", 3e-5)),
        ("a=true", ("a", True)),
        ("a=some text", ("a", "some text")),
        ('a="3"', ("a", "3")),
        ("a = [1, 2]", ("a", [1, 2])),
        ("a=x=y", ("a", "x=y")),
        ("metrics=[{use = 'f1'}]", ("metrics", [{"use": "f1"}])),
    ],
)
def test_set_takes_toml_or_else_a_plain_string(text: str, expected: object) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=3"])
def test_set_without_a_key_and_a_value_is_told(text: str) -> None:
    with pytest.raises(ExperimentError, match="KEY=VALUE"):
        parse_override(text)
