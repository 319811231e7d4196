"""A plugin that lacks a module says what would bring it, if its own metadata does."""

from __future__ import annotations

import pytest
from ftrun.planning.requirements import what_would_bring
from plugin_packages import Site

REQUIRES = [
    "kappa-lib>=1; extra == 'fast'",
    'scikit-learn>=1.6; python_version > "3" and extra == "scores"',
    "plain_lib",
    "no requirement ((",
]


@pytest.fixture
def theirs(site: Site) -> str:
    site.add("", requires=REQUIRES)
    return "their-package"


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("kappa_lib.inner", "pip install 'their-package[fast]'"),
        ("sklearn", "pip install 'their-package[scores]'"),
        ("plain_lib", "pip install plain_lib"),
        ("unheard_of", None),
        ("", None),
    ],
)
def test_the_requirement_or_the_extra_is_named(theirs: str, module: str, told: str | None) -> None:
    assert what_would_bring(ModuleNotFoundError("no module", name=module), theirs) == told


def test_of_other_faults_and_distributions_nothing_is_told(theirs: str) -> None:
    assert what_would_bring(ImportError("cannot import name", name="kappa_lib"), theirs) is None
    assert what_would_bring(OSError("no disk"), theirs) is None
    assert what_would_bring(ModuleNotFoundError("no", name="kappa_lib"), "no-such-distribution") is None
