"""What is wrong inside a table of a table is told with its place and the keys that are there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from ftrun.settings import Settings, validate
from plugin_packages import Site, offering
from pydantic import Field


class Inner(Settings):
    alpha: float = Field(1.0, gt=0)
    beta: int = Field(description="How often.")


class Other(Settings):
    gamma: str


class Cat(Settings):
    kind: Literal["cat"]
    claws: int = 4


class Dog(Settings):
    kind: Literal["dog"]
    barks: bool = True


class Outer(Settings):
    alphabet: str = "abc"
    inner: Inner | None = None
    several: list[Inner] = Field([])
    named: dict[str, Inner] = Field({})
    deep: list[dict[str, list[Inner]]] = Field([])
    either: Inner | Other | None = None
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None
    again: Outer | None = None
    pair: tuple[int, Inner] | None = None
    free: dict[str, bool | int | float | str] = Field({})
    spelled: int = Field(1, alias="lambda")


SOUND = {"beta": 1}
WRONG: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a slip": (
        {"inner": {"alpah": 1.0, **SOUND}},
        {"model.inner.alpah": "there is no such key | Did you mean alpha?"},
    ),
    "an unknown key": (
        {"inner": {"zzz": 1.0, **SOUND}},
        {"model.inner.zzz": "there is no such key | The keys here: alpha, beta."},
    ),
    "a missing key": ({"inner": {}}, {"model.inner.beta": "this key is required | How often."}),
    "a wrong value": (
        {"inner": {"alpha": -1.0, **SOUND}},
        {"model.inner.alpha": "must be greater than 0, not -1.0 | None"},
    ),
    "no table": ({"inner": 3}, {"model.inner": "must be a table, not 3 | None"}),
    "an entry of a list": (
        {"several": [SOUND, {"bta": 1, "beta": 1}]},
        {"model.several[1].bta": "there is no such key | Did you mean beta?"},
    ),
    "no list": ({"several": SOUND}, {"model.several": "must be a list, not {'beta': 1} | None"}),
    "a table of tables": (
        {"named": {"x": {"alpah": 1.0, **SOUND}}},
        {"model.named.x.alpah": "there is no such key | Did you mean alpha?"},
    ),
    "all of it": (
        {"deep": [{"x": [{**SOUND, "alpah": 1.0}]}]},
        {"model.deep[0].x[0].alpah": "there is no such key | Did you mean alpha?"},
    ),
    "one of two": (
        {"either": {"gama": "x"}},
        {
            "model.either.gama": "there is no such key | Did you mean gamma?",
            "model.either.beta": "this key is required | How often.",
            "model.either.gamma": "this key is required | None",
        },
    ),
    "one that says which": (
        {"pet": {"kind": "dog", "bark": True}},
        {"model.pet.bark": "there is no such key | Did you mean barks?"},
    ),
    "itself": (
        {"again": {"again": {"inner": {"alpah": 1, **SOUND}}}},
        {"model.again.again.inner.alpah": "there is no such key | Did you mean alpha?"},
    ),
    "a pair": (
        {"pair": [1, {"alpah": 1.0, **SOUND}]},
        {"model.pair[1].alpah": "there is no such key | Did you mean alpha?"},
    ),
    "half a pair": ({"pair": [1]}, {"model.pair[1]": "this key is required | None"}),
    "none of several": (
        {"free": {"x": [1]}},
        {"model.free.x": "must be a valid boolean or a valid integer or a valid number or a valid string, not [1] | None"},
    ),
    "an alias": ({"lambda": "x"}, {"model.lambda": 'must be a valid integer, not "x" | None'}),
}  # fmt: skip


@pytest.mark.parametrize(("table", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_deep_inside_is_told(table: dict[str, Any], told: dict[str, str]) -> None:
    settings, problems = validate(Outer, table, "model")
    found = {str(problem.place): f"{problem.message} | {problem.hint}" for problem in problems}
    assert settings is None and len(problems) == len(found)
    assert found == told


def test_a_plan_tells_it_so(site: Site, tiny: Path) -> None:
    nested = (
        "class Inner(Settings): alpha: float = 1.0\n"
        "class Theirs(Settings):\n    inner: Inner = Inner()\n    alphabet: str = ''\n"
    )
    site.add(offering("dataset", "dataset(settings=Theirs)", before=nested))
    with pytest.raises(ExperimentError) as caught:
        overrides = {"dataset.use": "theirs", "dataset.inner.alpah": 1.0}
        make_plan(load_experiment(tiny, overrides=overrides), load_catalogue())
    (problem,) = caught.value.problems
    assert (problem.place, problem.hint) == ("dataset.inner.alpah", "Did you mean alpha?")
