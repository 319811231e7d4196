"""What a line can go on with: keys of the components that the file uses, and the values of those that have few."""

from __future__ import annotations

from typing import Any

import pytest
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.completions import component_names, keys_of_file, settings_by_key
from plugin_packages import Site, offering


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


FILE: dict[str, Any] = {
    "name": "x",
    "dataset": {"use": "sample"},
    "model": {"use": "sequence-classification", "checkpoint": "c"},
    "metrics": [{"use": "f1"}, {"use": "log_loss"}],
}


def names(catalogue: Catalogue, begun: str, tables: dict[str, Any] | None = None) -> list[str]:
    return [name for name, _ in settings_by_key(catalogue, FILE if tables is None else tables, begun)]


@pytest.mark.parametrize(
    ("begun", "candidates"),
    [
        ("training.lear", ["training.learning_rate="]),
        ("trai", ["training."]),
        ("see", ["seed="]),
        ("metrics.", ["metrics.0.", "metrics.1.", "metrics.2."]),
        ("metrics.0.", ["metrics.0.use=", "metrics.0.positive_class=", "metrics.0.average="]),
        ("metrics.1.", ["metrics.1.use="]),
        ("metrics.2.u", ["metrics.2.use="]),
        ("dataset.max_t", ["dataset.max_train_samples="]),
        ("dataset.task", []),
        ("training.bf16=", ["training.bf16=true", "training.bf16=false"]),
        ("training.optim=adamw_torch_", ["training.optim=adamw_torch_fused"]),
        ("backend.use=l", ["backend.use=loop"]),
        ("metrics.0.average=ma", ["metrics.0.average=macro"]),
        ("training.learning_rate=", []),
        ("no.such.key", []),
        ("=", []),
    ],
)
def test_a_setting_goes_on_according_to_the_file(catalogue: Catalogue, begun: str, candidates: list[str]) -> None:
    assert names(catalogue, begun) == candidates


def test_with_nothing_begun_there_are_the_tables_and_keys_of_the_top_level(catalogue: Catalogue) -> None:
    found = names(catalogue, "")
    assert {"name=", "seed=", "dataset.", "model.", "training.", "metrics.", "push."} <= set(found)
    assert "format=" not in found


def test_of_a_component_that_is_not_known_all_keys_of_the_kind_are_there(catalogue: Catalogue) -> None:
    for tables in ({}, {"dataset": {"use": "no-such"}}, {"dataset": 3}, {"dataset": {"use": 3}}):
        assert {"dataset.task=", "dataset.train="} <= set(names(catalogue, "dataset.t", tables))


def test_the_keys_that_a_file_sets_can_be_taken_out() -> None:
    assert [name for name, _ in keys_of_file(FILE, "mod")] == ["model", "model.checkpoint", "model.use"]


def test_a_name_that_two_offer_is_completed_with_its_distribution(site: Site) -> None:
    site.add(offering("metric", "metric(name='f1')"))
    found = component_names(load_catalogue(), "metric")
    assert {"ftrun:f1", "their-package:f1"} <= set(found) and "f1" not in found
