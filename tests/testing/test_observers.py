"""A suite for observers that fails on each that is broken, in the point that it is broken in, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_components import broken_in, check, heard_of, points_of
from ftrun.testing import ObserverSuite

pytestmark = pytest.mark.slow


def test_it_fails_on_what_is_broken_and_on_nothing_else(tmp_path: Path) -> None:
    heard = heard_of("observers.py", tmp_path)
    check(heard)
    assert broken_in(heard) >= points_of(ObserverSuite)
