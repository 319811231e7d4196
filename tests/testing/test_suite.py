"""What is said of a suite itself, before any of its tests."""

from __future__ import annotations

import pytest
from ftrun.testing import MetricSuite


def test_a_suite_that_sets_what_it_does_not_have_is_told_what_is_meant() -> None:
    with pytest.raises(TypeError, match=r"Mine sets without_valeu.*Did you mean without_value"):
        type("Mine", (MetricSuite,), {"without_valeu": ("one row",)})
    with pytest.raises(TypeError, match=r"test_one_row_ends_no_runs.*Did you mean test_one_row_ends_no_run"):
        type("Mine", (MetricSuite,), {"test_one_row_ends_no_runs": None})
    type("Mine", (MetricSuite,), {"colours": ("red",), "without_value": ("one row",), "test_one_row_ends_no_run": None})
