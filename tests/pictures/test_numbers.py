"""Figures of predicted numbers: few and many, and all alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ftrun.pictures.numbers import draw_predicted, draw_residuals


@pytest.mark.parametrize("rows", [1, 30, 6000])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_any_number_of_rows_is_drawn(tmp_path: Path, rows: int, spread: float) -> None:
    labels = np.random.default_rng(0).normal(size=rows) * spread
    draw_predicted(tmp_path / "predicted.png", "validation", labels, labels * 0.5 + 1)
    draw_residuals(tmp_path / "residuals.png", "validation", labels, labels * 0.5 + 1)
    assert all(path.stat().st_size > 1000 for path in tmp_path.iterdir())
