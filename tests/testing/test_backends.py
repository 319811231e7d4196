"""A suite for backends that fails on each that is broken, in the point that it is broken in, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from broken_components import broken_in, check, heard_of, points_of
from ftrun.testing import BackendSuite
from ftrun.testing.keys import CHANGES
from ftrun.testing.suite import ComponentSuite
from ftrun.training import FITTING_KEYS, SCHEDULE_KEYS

OWN = points_of(BackendSuite) - points_of(ComponentSuite)


@pytest.mark.by_hand
def test_it_fails_on_what_is_broken(tmp_path: Path) -> None:
    """What trains is tried of a broken one where it must fail: the rest of it would take many minutes."""
    heard = heard_of("backends.py", tmp_path, costly=sorted(OWN))
    check(heard)
    assert broken_in(heard) >= OWN


def test_the_keys_that_show_in_a_curve_are_tried() -> None:
    elsewhere = {"device", "full_determinism", "per_device_eval_batch_size", "tf32", "fp16"}
    elsewhere |= {
        key
        for key in FITTING_KEYS
        if key.startswith(
            ("save_", "eval_", "early_", "greater_", "metric_", "load_", "gradient_checkpointing", "torch_")
        )
    }
    elsewhere |= {key for key in FITTING_KEYS if key.startswith("dataloader_")} - {"dataloader_drop_last"}  # workers
    assert (FITTING_KEYS | SCHEDULE_KEYS) - elsewhere <= set(CHANGES)
