"""Curves, as the journal has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.pictures.curves import draw_loss, draw_metrics, evaluated, read_curves
from ftrun.pictures.subject import Subject
from ftrun.runs.journal import Journal


def curves_of(folder: Path, points: dict[int, dict[str, float]]) -> dict[str, dict[int, float]]:
    journal = Journal(folder / "journal.jsonl")
    for step, values in points.items():
        journal.metrics(step, values)
    journal.close()
    return {key: dict(curve) for key, curve in read_curves(folder / "journal.jsonl").items()}


def test_points_come_in_the_order_of_their_steps_and_only_numbers(tmp_path: Path) -> None:
    found = curves_of(tmp_path, {1: {"train/loss": 2.0}, 2: {"train/loss": float("nan")}, 3: {"train/loss": 1.0}})
    assert found == {"train/loss": {1: 2.0, 3: 1.0}}


def test_metrics_are_told_by_split_where_there_are_several() -> None:
    one = evaluated({"eval/f1": {1: 0.5}, "eval/a/b": {1: 1.0}, "train/loss": {1: 2.0}}, ["validation"])
    assert one == {"f1": {"validation": {1: 0.5}}, "a/b": {"validation": {1: 1.0}}}
    two = evaluated({"eval/matched/f1": {1: 0.5}, "eval/other/f1": {1: 0.4}}, ["matched", "other"])
    assert two == {"f1": {"matched": {1: 0.5}, "other": {1: 0.4}}}


@pytest.mark.parametrize("steps", [0, 1, 5, 300])
def test_any_number_of_steps_is_drawn(tmp_path: Path, steps: int) -> None:
    curves = curves_of(tmp_path, {step: {"train/loss": 1 / step} for step in range(1, steps + 1)})
    draw_loss(tmp_path / "loss.png", curves, Subject("classification", model_step=steps))
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_every_metric_has_its_place(tmp_path: Path) -> None:
    curves = {f"eval/{split}/$m{place}_": {2: 0.5, 4: 0.5} for split in ("a", "b") for place in range(4)}
    draw_metrics(tmp_path / "metrics.png", curves, Subject("regression", splits=["a", "b"], directions={"$m0_": "min"}))
    assert (tmp_path / "metrics.png").stat().st_size > 1000
