"""The global generators of random numbers, and who draws from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ftrun.testing.sentences import expect


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put Python's, NumPy's and torch's global generators back at the end."""
    from ftrun.training import state

    with state.generators_kept():
        yield


@contextlib.contextmanager
def nothing_drawn(what: str) -> Iterator[None]:
    """Fail the test if anything is drawn from a global generator, or one of them is seeded, before the block ends.

    Args:
        what: What is done in it.
    """
    from ftrun.training.state import random_states

    with generators_kept():
        _seed_all(SELDOM)  # else whoever seeds always alike would leave them as they were the time before
        before = random_states()
        yield
        changed = changed_since(before)
    hint = "Draw from a generator of its own, seeded by its settings: else it changes the curve of a run."
    expect(not changed, f"{what} changes the global generator of {' and '.join(changed)}", hint)


def changed_since(before: Mapping[str, Any]) -> Sequence[str]:
    """The global generators that are not where `random_states()` had them, in words."""
    from ftrun.training.state import random_states

    after = random_states()
    return [_SPOKEN.get(name, name) for name, state in before.items() if not _same(state, after[name])]


_SPOKEN = {
    "python": "Python's random",
    "numpy": "NumPy",
    "cpu": "torch",
    "cuda": "torch on CUDA",
    "mps": "torch on mps",
}


SELDOM = 20_482_731
"""A seed that nobody takes."""


def _seed_all(seed: int) -> None:
    import transformers

    transformers.set_seed(seed)


def _same(one: object, other: object) -> bool:
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list) and one and isinstance(one[0], torch.Tensor):
        return all(map(_same, one, other))
    return one == other
