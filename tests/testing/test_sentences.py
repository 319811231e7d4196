"""What fails says so in words, with the author's own lines and none of ftrun's."""

from __future__ import annotations

import pytest
from ftrun.errors import ExperimentError, Problem
from ftrun.testing.sentences import answering, expect, fail


def told_by(do: object) -> str:
    with pytest.raises(pytest.fail.Exception) as failed:
        do()  # type: ignore[operator]
    assert not failed.value.pytrace
    return str(failed.value)


def test_a_message_and_what_to_do() -> None:
    assert told_by(lambda: fail("it is blue", "Paint it red.")) == "it is blue\n  Paint it red."
    assert told_by(lambda: expect(False, "it is blue")) == "it is blue"
    expect(True, "it is blue")


def deep(depth: int) -> None:
    if depth:
        deep(depth - 1)
    raise KeyError("deep")


def test_what_is_raised_is_told_with_where_it_begins_and_where_it_ends() -> None:
    def ask() -> None:
        with answering("build of it"):
            deep(30)

    told = told_by(ask)
    assert told.startswith("build of it raised KeyError: 'deep'") and told.count("in deep") == 5 and "..." in told
    assert "sentences.py" not in told.replace("test_sentences.py", "")


def test_a_refusal_is_no_fault() -> None:
    def ask() -> None:
        with answering("build of it"):
            raise ExperimentError(Problem("there is none", "path"))

    assert told_by(ask) == "build of it refuses what should be fine:\npath: there is none"
