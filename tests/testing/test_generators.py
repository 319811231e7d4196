"""Who draws from a global generator is found, and who seeds one always alike."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from ftrun.testing.generators import generators_kept, nothing_drawn


@pytest.mark.parametrize(
    ("draw", "whose"),
    [
        (lambda: random.random(), "Python's random"),
        (lambda: np.random.rand(), "NumPy"),
        (lambda: torch.rand(1), "torch"),
        (lambda: random.seed(3), "Python's random"),
        (lambda: torch.manual_seed(20), "torch"),
    ],
)
def test_what_is_drawn_is_told_and_undone(draw: Callable[[], object], whose: str) -> None:
    draw()
    before = random.getstate(), torch.get_rng_state()
    told = f"looking changes the global generator of {whose}"
    with pytest.raises(pytest.fail.Exception, match=told), nothing_drawn("looking"):
        draw()
    assert before[0] == random.getstate() and torch.equal(before[1], torch.get_rng_state())


def test_a_generator_of_ones_own_is_nobodys_business() -> None:
    with nothing_drawn("looking"):
        torch.rand(1, generator=torch.Generator().manual_seed(3))
        random.Random(3).random()


def test_they_are_put_back_though_something_is_raised() -> None:
    before = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError), generators_kept():
        torch.rand(1)
        raise ZeroDivisionError
    assert torch.equal(before, torch.get_rng_state())
