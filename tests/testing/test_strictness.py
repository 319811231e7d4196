"""Classes of settings that are not strict, and those that are."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from ftrun.settings import LocalPath, PositiveInt, Settings, TrainingSettings
from ftrun.testing.strictness import faulty_defaults, foreign, takes_unknown_keys, takes_wrongly, undocumented
from pydantic import ConfigDict, Field, field_validator


class Inner(Settings):
    deep: int = 1


class Sound(Settings):
    text: str = Field("a", description="Text.")
    either: int | str | None = Field(None, description="Either.")
    share: float = Field(0.5, description="A share.")
    flag: bool = Field(True, description="A flag.")
    names: tuple[str, ...] = Field(("a",), description="Names.")
    some: frozenset[int] = Field(frozenset({1}), description="Some.")
    table: dict[str, float] = Field({}, description="A table.")
    word: Literal["a", "b"] = Field("a", description="A word.")
    path: LocalPath | None = Field(None, description="A path.")
    inner: Inner = Field(Inner(), description="A table.")


class Lax(Sound):
    model_config = ConfigDict(strict=False)


class Coerced(Settings):
    count: PositiveInt = Field(0, description="A count.")

    @field_validator("count", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) else value


@pytest.mark.parametrize("model", [Sound, TrainingSettings])
def test_sound_ones_are_found_sound(model: type[Settings]) -> None:
    assert not takes_unknown_keys(model, {}) and not list(takes_wrongly(model, {}))
    assert not faulty_defaults(model, {}) and not list(foreign(model))


def test_keys_without_help_are_found_in_tables_too() -> None:
    assert list(undocumented(Sound)) == ["inner.deep"]


def test_what_is_taken_wrongly_is_found_unless_it_is_meant() -> None:
    assert {key for key, _ in takes_wrongly(Lax, {})} >= {"share", "flag"}
    assert list(takes_wrongly(Coerced, {})) == [("count", "1")]
    assert not list(takes_wrongly(Coerced, {}, but=["count"]))


def test_a_default_that_no_file_could_set_is_found() -> None:
    class Faulty(Sound):
        word: Literal["a", "b"] = Field("c", description="A word.")  # type: ignore[arg-type]
        never: int = Field(None, description="A number.")  # type: ignore[arg-type]

    assert faulty_defaults(Coerced, {}) == {"count": 0} and faulty_defaults(Faulty, {}) == {"word": "c", "never": None}
