"""A fault is told with the plugin that it came through."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from ftrun.planning.blame import blamed, line_in
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.parts import Part
from ftrun.settings import Settings
from plugin_packages import Site, offering

RAISING = 'def raising(*arguments):\n    return {}["boom"]\n'


def parts(*named: tuple[str, str]) -> list[Part]:
    catalogue = load_catalogue()
    return [Part(name, catalogue.find(kind, name, kind), Settings()) for kind, name in named]  # type: ignore[arg-type]


def fault_of(part: Part) -> BaseException:
    with pytest.raises(KeyError) as told:
        part.offer.component.build(None, None)  # type: ignore[attr-defined]
    return told.value


def test_the_component_and_the_line_are_named(site: Site) -> None:
    site.add(offering("metric", "metric(build=raising)", before=RAISING))
    (half,) = parts(("metric", "half"))
    fault = fault_of(half)
    line = traceback.extract_tb(fault.__traceback__)[-1].lineno
    told = blamed(fault, [*parts(("metric", "f1")), half])
    assert told == f' in the metric "half" of their-package 1.0 (their_package.py, line {line})'
    assert line_in(fault, half) == f" (their_package.py, line {line})"


def test_where_several_parts_are_in_one_module_the_package_is_named(site: Site) -> None:
    both = offering("metric", "metric(build=raising)", 'metric(name="other", build=raising)', before=RAISING)
    site.add(both)
    found = parts(("metric", "half"), ("metric", "other"))
    assert blamed(fault_of(found[0]), found).startswith(" in their-package 1.0 (their_package.py, line ")


def test_a_fault_in_a_library_is_of_the_plugin_that_called_it(site: Site) -> None:
    site.add(offering("metric", "metric(build=lambda *_: __import__('json').loads('{'))"))
    (half,) = parts(("metric", "half"))
    with pytest.raises(ValueError, match="Expecting") as told:
        half.offer.component.build(None, None)  # type: ignore[attr-defined]
    assert 'the metric "half" of their-package 1.0' in blamed(told.value, [half])


def test_a_fault_of_ours_and_of_nobody_blames_no_plugin(site: Site, tmp_path: Path) -> None:
    site.add(offering("metric", "metric()"))
    with pytest.raises(FileNotFoundError) as told:
        (tmp_path / "nothing").read_text()
    assert blamed(told.value, parts(("metric", "half"), ("metric", "f1"))) == ""
    assert blamed(ValueError(), parts(("metric", "half"))) == line_in(ValueError(), *parts(("metric", "half"))) == ""
