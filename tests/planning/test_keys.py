"""The keys of settings: a schema of draft 7 that says no more than the settings, and words for a person."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any, Literal

import pytest
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.described import listed
from ftrun.planning.keys import Key, as_toml, described, keys_of
from ftrun.settings import LocalPath, PositiveInt, Settings, TrainingSettings, validate
from pydantic import ConfigDict, Field, model_validator


class Empty(Settings):
    table: dict[str, float] = Field(default_factory=dict)
    entries: list[str] = Field(default_factory=list)
    pair: tuple[str, ...] = Field(default_factory=tuple)
    drawn: float = Field(default_factory=lambda: 1.0)


class Inner(Settings):
    title: str
    pair: tuple[int, str] = (1, "a")


class Odd(Settings):
    needed: LocalPath = Field(description="Where\nit is.", examples=["rows.csv"])
    many: frozenset[Literal["a", "b"]] = frozenset({"a"})
    inner: Inner | None = None
    inners: dict[str, list[Inner]] = Field({})
    either: PositiveInt | Literal["all"] | None = Field(None, description="How many.")
    share: float = Field(0.5, gt=0, lt=1)
    seed: int = Field(0, lt=2**32)
    others: list[LocalPath] | LocalPath | None = None


class Endless(Settings):
    child: Endless | None = None
    leaf: int = 3


class Strange(Settings):
    model_config = ConfigDict(regex_engine="python-re", allow_inf_nan=True)
    function: Callable[[int], int]
    text: str = Field("ab", pattern=r"(?i)^(?<!z)ab\Z")
    most: float = float("inf")

    @model_validator(mode="after")
    def _never(self) -> Any:
        raise ValueError("never good")


class Broken(Settings):
    one: int = 1
    two: str

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> dict[str, Any]:
        raise RuntimeError("no schema")


def keys(settings: type[Settings]) -> dict[str, Key]:
    return {key.name: key for key in described(keys_of(settings))}


def test_what_a_key_holds_is_said_in_words() -> None:
    found = keys(Odd)
    assert {name: key.type for name, key in found.items()} == {
        "needed": "path",
        "many": 'list of "a" or "b"',
        "inner": "table of title, pair",
        "inners": "table of list of table of title, pair",
        "either": 'whole number, above 0 or "all"',
        "share": "number, above 0, below 1",
        "seed": "whole number, below 4,294,967,296",
        "others": "list of path or path",
    }
    assert found["needed"] == Key("needed", "path", True, None, "Where it is.", '"rows.csv"')
    assert (found["many"].default, found["share"].default, found["either"].default) == ('["a"]', "0.5", None)


def test_the_schema_is_draft_7_without_null_and_never_stricter_than_the_settings() -> None:
    found = keys_of(Odd, "mine.")
    text = json.dumps([found.properties, found.definitions])
    assert not any(word in text for word in ('"null"', "$defs", "prefixItems", "uniqueItems", '"title": "'))
    assert found.required == ("needed",) and list(found.definitions) == ["mine.Inner"]
    assert "title" in found.definitions["mine.Inner"]["properties"], "a key that has the name of a word of the schema's"


def test_settings_that_hold_themselves_are_described() -> None:
    assert keys(Endless)["child"].type == "table of child, leaf"
    assert "Endless" in keys_of(Endless).definitions


def test_what_json_or_another_language_has_no_word_for_may_be_anything() -> None:
    found = keys_of(Strange)
    json.dumps([found.properties, found.definitions], allow_nan=False)
    assert found.properties["function"] == {} and "pattern" not in found.properties["text"]
    assert keys(Strange)["function"].type == "any value"


def test_settings_without_a_schema_still_have_their_keys() -> None:
    assert list(keys(Broken)) == ["one", "two"]


@pytest.mark.parametrize(
    "value", [1, 1.5, True, 'a"b\n', [1, [2]], {"a b": {"c": []}, "d": "é"}, [], {}, [{"x": 1}], 1e-8]
)
def test_a_value_as_toml_is_that_value(value: Any) -> None:
    assert tomllib.loads(f"key = {as_toml(value)}") == {"key": value}


def test_each_value_that_is_shown_for_a_key_is_one_that_the_key_takes() -> None:
    catalogue = load_catalogue()
    settings = {offers[0].component.settings for kind in _kinds() for offers in catalogue.offers(kind).values()}
    for model in {*settings, TrainingSettings}:
        for key in described(keys_of(model)):
            _, problems = validate(model, tomllib.loads(f"{key.name} = {key.sample}"))
            assert [problem for problem in problems if problem.place == key.name] == [], key


def _kinds() -> list[Any]:
    return sorted({kind for kind, name, *_ in listed(load_catalogue()) if name})


def test_what_is_empty_by_default_is_shown_so() -> None:
    defaults = {name: key.default for name, key in keys(Empty).items()}
    assert defaults == {"table": "{}", "entries": "[]", "pair": "[]", "drawn": None}
