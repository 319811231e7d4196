"""A suite for models that fails on each that is broken, in the point that it is broken in, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_components import broken_in, check, heard_of, points_of
from ftrun.testing import ModelSuite
from ftrun.testing.suite import ComponentSuite

COSTLY = ("another_process", "on_every_backend", "died", "it_saved", "a_run_")
"""What trains is tried of a broken model where it must fail."""
pytestmark = pytest.mark.slow


def test_it_fails_on_what_is_broken_and_on_nothing_else(tmp_path: Path) -> None:
    heard = heard_of("models.py", tmp_path, costly=COSTLY)
    check(heard)
    assert broken_in(heard) >= points_of(ModelSuite) - points_of(ComponentSuite)
