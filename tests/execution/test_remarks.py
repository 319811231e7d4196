"""What a person should know of how a training went."""

from __future__ import annotations

from pathlib import Path

import ftrun
import pytest


def test_a_model_that_says_one_class_is_told_of(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ftrun.run(tiny, overrides={"training.learning_rate": 0.0, "training.max_steps": 1})
    assert "for every row of validation" in capsys.readouterr().out
