"""A task that is not as the contract says is its data set's fault, told before any work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import their_parts
from ftrun.errors import ExperimentError
from ftrun.planning.task_fields import faults_in_task
from their_parts import FILE, TASK

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no kind": ({"kind": None}, "has None for the kind of its task, and must have a text"),
    "an empty kind": ({"kind": ""}, 'has "" for the kind of its task, and must have a word'),
    "one column": ({"text_columns": "text"}, 'has "text" for the text_columns of its task, and must have a tuple'),
    "numbers for classes": ({"class_names": (0, 1)}, "has 0 among the class_names of its task"),
    "no label column": ({"label_column": None}, "has None for the label_column of its task"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_field_and_what_it_holds_are_told(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed, told = FAULTS[name]
    task = replace(TASK, **changed)
    assert next(faults_in_task(task)).startswith(told)
    parts: their_parts.Parts = {"task": lambda settings: task}
    with pytest.raises(ExperimentError) as caught:
        their_parts.planned(parts, workdir, monkeypatch, FILE, frozenset({"classification"}))
    (problem,) = caught.value.problems
    assert problem.place == "dataset" and told in problem.message


def test_what_the_contract_says_is_fine() -> None:
    assert list(faults_in_task(TASK)) == []
    assert list(faults_in_task(replace(TASK, kind="regression", class_names=None))) == []
