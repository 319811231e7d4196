"""Which plugins may load: said by distribution, in whatever spelling PyPI takes for the same."""

from __future__ import annotations

import pytest
from ftrun import ExperimentError
from ftrun.planning.choice import Choice, normalized

INSTALLED = ("ftrun", "Their_Package", "other.one")


@pytest.mark.parametrize("spelling", ["their-package", "Their_Package", "THEIR..package", " their-_-package "])
def test_a_distribution_is_the_same_in_every_spelling(spelling: str) -> None:
    assert normalized(spelling) == "their-package"


@pytest.mark.parametrize(
    ("variable", "without", "loaded"),
    [
        (None, (), {"Their_Package", "other.one"}),
        (None, ("their-package",), {"other.one"}),
        (None, ("THEIR.PACKAGE", "Other_One"), set()),
        ("", (), set()),
        (" , ", (), set()),
        ("their.package", (), {"Their_Package"}),
        ("their-package, other-one", ("other-one",), {"Their_Package"}),
    ],
)
def test_what_is_left_out_does_not_load_and_built_ins_always_do(
    variable: str | None, without: tuple[str, ...], loaded: set[str]
) -> None:
    choice = Choice.of({} if variable is None else {"FTRUN_PLUGINS": variable}, without)
    assert {name for name in INSTALLED if not choice.reason_against(name)} == {"ftrun", *loaded}


def test_what_left_it_out_is_told() -> None:
    choice = Choice.of({"FTRUN_PLUGINS": "their-package"}, ["their-package"])
    assert choice.reason_against("their_package") == "--no-plugin"
    assert choice.reason_against("other.one") == "FTRUN_PLUGINS"


@pytest.mark.parametrize(
    ("name", "told"),
    [("their-pakage", "Did you mean their-package?"), ("zzz", "Installed: other-one"), ("ftrun", "always load")],
)
def test_to_leave_out_what_is_not_there_is_refused(name: str, told: str) -> None:
    with pytest.raises(ExperimentError, match="--no-plugin") as refused:
        Choice.of({}, [name]).refuse_unknown(INSTALLED)
    assert told in str(refused.value)


def test_a_name_in_the_environment_that_is_not_there_is_told() -> None:
    (sentence,) = Choice.of({"FTRUN_PLUGINS": "ftrun,other-one,their-pakage"}).unknown(INSTALLED)
    assert sentence == ("FTRUN_PLUGINS names their-pakage, which is no installed plugin; did you mean their-package?")


@pytest.mark.parametrize("without", [(), ("other-one",), ("other-one", "their-package")])
def test_another_process_makes_the_same_choice(without: tuple[str, ...]) -> None:
    choice = Choice.of({"FTRUN_PLUGINS": "their-package,other-one"}, without)
    variable = choice.as_variable(INSTALLED)
    assert variable is not None
    theirs = Choice.of({"FTRUN_PLUGINS": variable})
    assert [bool(theirs.reason_against(name)) for name in INSTALLED] == [
        bool(choice.reason_against(name)) for name in INSTALLED
    ]
    assert Choice().as_variable(INSTALLED) is None
