"""Distributions with plugins are found; one whose metadata is damaged is told, and hides no other."""

from __future__ import annotations

from ftrun.planning.installed import installed
from plugin_packages import Site


def test_our_own_comes_first_and_all_others_by_name(site: Site) -> None:
    site.add("", "zoo")
    site.add("", "Aardvark", version="2.1", points="two = aardvark\none = aardvark")
    assert [(one.name, one.version) for one in installed("ftrun")][1:] == [("Aardvark", "2.1"), ("zoo", "1.0")]
    first, aardvark, _ = installed("ftrun")
    assert first.name == "ftrun" and len(first.points) == 5
    assert [point.name for point in aardvark.points] == ["one", "two"]


def test_damaged_entry_points_are_told_and_hide_no_other(site: Site) -> None:
    site.add("", "sound")
    site.add("", "damaged", points="main")
    found = {one.name: one for one in installed("ftrun")}
    assert len(found["sound"].points) == 1 and len(found["ftrun"].points) == 5
    assert found["damaged"].points == [] and "entry_points.txt cannot be read" in (found["damaged"].fault or "")
    assert "damaged:" not in site.plugin("damaged").distribution
    assert "cannot be read" in (site.plugin("damaged").failure or "")


def test_metadata_that_cannot_be_read_has_no_name(site: Site) -> None:
    site.add("", "nameless")
    (site.folder / "nameless-1.0.dist-info" / "METADATA").write_bytes(b"\xff\xfe")
    assert "?" in [one.name for one in installed("ftrun")]
