"""The small parts stand beside what is installed, and only in a catalogue that is asked for them."""

from __future__ import annotations

from ftrun.contracts import Predictions
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.conformance import components_in
from ftrun.testing import tiny_task
from ftrun.testing.offers import PARTS, ScriptedSettings, catalogue_with


def test_the_small_parts_are_offered_and_only_here() -> None:
    catalogue = catalogue_with([PARTS[0]])
    assert catalogue.find("dataset", "ftrun.testing:tiny", "").provider == "ftrun.testing"
    assert catalogue.find("dataset", "under-test:tiny", "").component is PARTS[0]
    assert catalogue.find("backend", "loop", "").distribution == "ftrun"
    assert "tiny" not in load_catalogue().offers("dataset")


def test_they_are_as_the_contract_says() -> None:
    for part in PARTS:
        assert components_in([part], "here", part.kind)
        assert all(field.description for field in part.settings.model_fields.values())


def test_a_scripted_metric_gives_its_numbers_in_their_order_and_counts_no_rehearsal() -> None:
    import numpy as np

    whole, rehearsed = (Predictions(np.zeros((rows, 2)), np.zeros(rows), 0.0) for rows in (3, 2))
    settings = ScriptedSettings(values=(0.1, 0.9, 0.5), rows=3)
    evaluate = PARTS[2].build(settings, tiny_task())  # type: ignore[attr-defined]
    told = [evaluate(predictions)["scripted"] for predictions in (rehearsed, whole, whole, rehearsed, whole, whole)]
    assert told == [0.1, 0.1, 0.9, 0.1, 0.5, 0.5]
