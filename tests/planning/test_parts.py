"""A component that an experiment uses: its table in a record, and whose fault something is."""

from __future__ import annotations

from ftrun.contracts import Dataset, Metric
from ftrun.errors import Problem
from ftrun.planning.catalogue import Offer
from ftrun.planning.parts import Part
from ftrun.settings import Settings


class Scored(Settings):
    training: str = "a key of its own"
    beta: float | None = None
    words: tuple[str, ...] = ("b", "a")


METRIC = Metric(name="f2", summary="", settings=Scored, yields=lambda *_: {}, build=lambda *_: dict)
PART = Part("their-package:f2", Offer(METRIC, "their-package", "3"), Scored(), "mine")


def test_its_table_has_every_default_and_the_name_that_the_file_gives() -> None:
    table = {"use": "their-package:f2", "name": "mine", "training": "a key of its own", "words": ["b", "a"]}
    assert PART.table() == table
    assert "name" not in Part("f2", PART.offer, Scored()).table()


def test_a_fault_names_component_and_distribution_and_stands_at_its_table() -> None:
    (problem,) = PART.fault("gave nothing", "Ask them.").problems
    assert problem == Problem('the metric "f2" of their-package 3 gave nothing', "metrics", "Ask them.")
    rows = Dataset(name="rows", summary="", build=lambda _: None)  # type: ignore[arg-type,return-value]
    (problem,) = Part("rows", Offer(rows, "their-package", ""), Settings()).fault("gave nothing").problems
    assert problem == Problem('the data set "rows" of their-package gave nothing', "dataset")


def test_a_place_is_the_files_only_where_the_settings_have_no_such_key() -> None:
    for own, place in {
        "beta": "metrics[1].beta",
        "training": "metrics[1].training",
        "model.checkpoint": "model.checkpoint",
        "models": "metrics[1].models",
        None: "metrics[1]",
    }.items():
        assert PART.placed(Problem("odd", own), "metrics[1]").place == place
