"""What a field of an opened data set holds instead of what the contract says is told in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ftrun.execution.split_fields import fault_in_fields
from their_parts import TASK, rows, splits

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no task": ({"task": "classification"}, "has a str for its task, and must have ftrun.contracts.Task"),
    "a kind that is none": ({"task": replace(TASK, kind=None)}, "has None for the kind of its task"),
    "a label column too many": (
        {"task": replace(TASK, label_column=("label",))},
        "has ('label',) for the label_column of its task, and must have a text",
    ),
    "one column": ({"task": replace(TASK, text_columns="text")}, 'has "text" for the text_columns of its task'),
    "classes in a text": ({"task": replace(TASK, class_names="ab")}, "must have a tuple of texts"),
    "numbers for classes": ({"task": replace(TASK, class_names=(0, 1))}, "has 0 among the class_names of its task"),
    "a number for a name": ({"name": 5}, "has 5 for the name, and must have a text"),
    "no source": ({"source": None}, "has None for the source, and must have a text"),
    "a number for a digest": ({"digest": 2**70}, f"has {2**70} for the digest, and must have a text"),
    "bytes for a digest": ({"digest": b"ab"}, "has b'ab' for the digest"),
    "a split without a name": ({"train_split": None}, "has None for the train_split"),
    "one notice": ({"notices": "a sentence"}, 'has "a sentence" for the notices, and must have a list of texts'),
    "notices that pass by": ({"notices": iter(["one"])}, "has a list_iterator for the notices"),
    "a test at the end": ({"test_at_end": "test"}, 'has "test" for the test_at_end'),
    "rows for evaluation": (
        {"evaluation": rows()},
        "has a Dataset for evaluation, and must have a mapping from the names of splits to rows",
    ),
    "a list for evaluation": ({"evaluation": [rows()]}, "has a list for evaluation"),
    "no test": ({"test": None}, "has None for test, and must have a mapping"),
    "a number for a split": ({"test": {1: rows()}}, "has 1 among the names of splits in test"),
    "a digest for all splits": ({"digests": "1"}, 'has "1" for digests, and must have a mapping'),
    "a number for a split's digest": ({"digests": {"train": 1}}, "has 1 for the digest of train"),
    "a name of a folder": ({"evaluation": {"val/1": rows()}}, 'calls a split "val/1", and must call it as a file'),
    "an empty name": ({"evaluation": {"": rows()}}, 'calls a split ""'),
}


@pytest.mark.parametrize("name", FAULTS)
def test_the_field_and_what_it_holds_are_told(name: str) -> None:
    changed, told = FAULTS[name]
    assert told in str(fault_in_fields(splits(**changed)))


def test_what_the_contract_says_is_fine() -> None:
    sound = splits(digests={"train": "2"}, notices=("one",), test={"test": rows()}, test_at_end=["test"])
    assert fault_in_fields(sound) is None
    assert fault_in_fields(replace(sound, task=replace(TASK, kind="regression", class_names=None))) is None
