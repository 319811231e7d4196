"""What a person is told: what is wrong, where, and what to do; and no secret."""

from __future__ import annotations

import pickle

import pytest
from ftrun.errors import ExperimentError, FtrunError, Problem, RunError, nearest
from hypothesis import given
from hypothesis import strategies as st


def test_a_problem_is_told_with_its_place_its_source_and_what_to_do() -> None:
    told = Problem("must be greater than 0", "training.max_steps", "Leave it out.", "profile smoke")
    assert str(told) == "training.max_steps: must be greater than 0 (in profile smoke)\n  Leave it out."
    assert str(Problem("it is wrong")) == "it is wrong"


@pytest.mark.parametrize(("place", "told"), [("use", "metrics[0].use"), (None, "metrics[0]"), ("", "metrics[0]")])
def test_a_problem_of_a_part_is_told_by_its_place_in_the_whole(place: str | None, told: str) -> None:
    problem = Problem("it is wrong", place, "Do it.", "a.toml")
    assert problem.inside("metrics[0]") == Problem("it is wrong", told, "Do it.", "a.toml")


@pytest.mark.parametrize(
    ("name", "meant"),
    [("learning_rat", "learning_rate"), ("lerning_rate", "learning_rate"), ("sede", "seed"), ("", None), ("负", None)],
)
def test_the_nearest_name_is_told_where_one_is_near(name: str, meant: str | None) -> None:
    assert nearest(name, iter(["learning_rate", "seed", "name"])) == meant


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_the_nearest_name_is_one_of_those_that_there_are(name: str, names: list[str]) -> None:
    assert nearest(name, names) in [None, *names]
    assert name not in names or nearest(name, names) == name or not name


def test_all_problems_are_told_at_once() -> None:
    error = ExperimentError("one", Problem("two", "seed"))
    assert str(error) == "one\nseed: two" and [problem.place for problem in error.problems] == [None, "seed"]
    assert isinstance(error, FtrunError) and not isinstance(error, RunError)


def test_no_error_tells_a_secret() -> None:
    secret = "https://me:hunter22@mlflow.example/"
    error = RunError(Problem(f"{secret} does not answer", "tracking.uri", f"Look at {secret}."))
    assert "hunter22" not in str(error) + repr(error) + repr(error.problems) and "mlflow.example" in str(error)


def test_an_error_comes_whole_from_another_process() -> None:
    error = ExperimentError(Problem("it is wrong", "model", "Do it."))
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
