"""What a new package is called, all of it made of one name."""

from __future__ import annotations

import pytest
from ftrun import ExperimentError
from ftrun.scaffolding.names import Names, names_of
from hypothesis import given
from hypothesis import strategies as st


def test_a_package_is_called_by_pip_python_and_files() -> None:
    assert names_of("ftrun-kappa") == Names("ftrun-kappa", "ftrun_kappa", "kappa", "Kappa")
    assert names_of("My_Fine.Metric") == Names("my-fine-metric", "my_fine_metric", "my-fine-metric", "MyFineMetric")
    assert names_of("ftrun-3d") == Names("ftrun-3d", "ftrun_3d", "3d", "Ftrun3d")


def test_a_component_beside_others_is_called_by_its_kind_too() -> None:
    names = names_of("ftrun-kappa")
    assert names.of("metric", is_alone=True) == "kappa" and names.of("metric", is_alone=False) == "kappa-metric"


@pytest.mark.parametrize("name", ["", "-", "a b", "../x", "ü", "x/", "-x", "x-", "a\n", "'"])
def test_what_pip_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(ExperimentError, match="cannot be the name of a package"):
        names_of(name)


@pytest.mark.parametrize("name", ["3d", "class", "ftrun", "FTRUN", "ftrun-plugins"])
def test_what_no_module_of_its_own_can_be_called_is_refused_with_a_name_that_can(name: str) -> None:
    with pytest.raises(ExperimentError, match="no module of its own") as told:
        names_of(name)
    hint = str(told.value.problems[0].hint)
    names_of(hint.split('"')[1])


@given(st.text(max_size=12))
def test_any_name_gives_names_or_a_sentence(name: str) -> None:
    try:
        names = names_of(name)
    except ExperimentError:
        return
    assert names.module.isidentifier() and names.words.isidentifier()
