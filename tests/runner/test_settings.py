"""The [training] table is TrainingArguments', name for name and default for default."""

from __future__ import annotations

import dataclasses

import pytest
from ftrun.settings import OTHER_SPELLINGS, OWN_KEYS, TrainingSettings

FIELDS = TrainingSettings.model_fields


@pytest.fixture(scope="module")
def arguments() -> dict[str, object]:
    from transformers import TrainingArguments

    return {field.name: field.default for field in dataclasses.fields(TrainingArguments)}


def test_every_key_is_transformers_or_in_the_list_of_our_own(arguments: dict[str, object]) -> None:
    assert len(FIELDS) > 20
    assert set(FIELDS) - set(arguments) == OWN_KEYS


def test_every_default_is_transformers(arguments: dict[str, object]) -> None:
    ours = {name: field.default for name, field in FIELDS.items() if name not in OWN_KEYS}
    assert ours == {name: arguments[name] for name in ours}


def test_every_other_spelling_leads_to_a_key_that_is_there(arguments: dict[str, object]) -> None:
    assert set(OTHER_SPELLINGS.values()) <= set(FIELDS)
    assert not set(OTHER_SPELLINGS) & set(FIELDS)


def test_settings_do_not_change_once_they_are_validated() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError):
        TrainingSettings().learning_rate = 1.0  # type: ignore[misc]
