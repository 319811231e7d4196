"""Whether the same rows come out alike: of a plugin's collator twice, and of its model in batches cut otherwise."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ftrun.contracts import Collate, Predictions
from ftrun.execution.watcher import Watcher
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.parts import Part

NO_LABEL = -100
FEW_ROWS = 8
"""Rows that are tried."""
TOLERANCE = 0.05
"""Share of a loss or of the largest number by which two of the same rows may differ, in whatever precision."""
LEAST = 1e-3
"""What may differ at any rate."""

Rows = Sequence[Mapping[str, Any]]


def try_collator(part: Part, collate: Collate, rows: Rows, watcher: Watcher) -> bool:
    """Make batches of a few rows twice, and of each alone.

    Args:
        part: The collator.
        collate: Its collate function.
        rows: Encoded, with labels.
        watcher: Is told where it is not pure.

    Returns:
        Whether it is pure, so that its batches tell something of a model.

    Raises:
        ExperimentError: If it gives the labels in another order than the rows'.
    """
    if part.offer.distribution == BUILT_IN:
        return True
    some = rows[:FEW_ROWS]
    before = _generators()
    first, second = collate(some), collate(some)
    if _plain(first) != _plain(second):
        watcher.notice(f"{part.who} makes another batch of the same rows each time: {IMPURE}")
        return False
    if before != _generators():
        watcher.notice(f"{part.who} draws from a global generator, which others draw from: {IMPURE}")
        return False
    _check_order(part, [_contents(row) for row in first["labels"]], [_alone(collate, row) for row in some])
    return True


IMPURE = "it must be pure, or curves differ from backend to backend"


def _alone(collate: Collate, row: Mapping[str, Any]) -> Sequence[Any]:
    return _contents(collate([row])["labels"][0])


def _check_order(part: Part, together: Sequence[Any], alone: Sequence[Any]) -> None:
    """Refuse what is the same labels, row by row, in another order; where they differ otherwise, nothing is known."""
    if together != alone and sorted(map(repr, together)) == sorted(map(repr, alone)):
        message = "gives the rows of a batch in another order than it was given them"
        raise part.fault(message, "Predictions are told apart by their order: every row must stay where it is.")


def try_model(part: Part, say: Callable[[Rows], Predictions], rows: Rows, size: int, watcher: Watcher) -> None:
    """Put a few rows through a model twice, and once with every row there twice; what differs is told.

    Args:
        part: The model.
        say: What the model says of encoded rows with labels, as an evaluation has it, with the model's own loss.
        rows: Encoded, with labels.
        size: Rows that it takes at once.
        watcher: Is told.
    """
    some = list(rows[: min(FEW_ROWS, size // 2)])
    if part.offer.distribution == BUILT_IN or not some:
        return
    once, again = say(some), say(some)
    if once.loss is None or again.loss is None:
        return
    if _differ(once.loss, again.loss) or _differ_in_numbers(once.logits, again.logits):
        watcher.notice(f"{part.who} says something else of the same rows each time, though it is in eval mode")
        return
    twice = say([*some, *some]).loss
    if twice is not None and _differ(once.loss, twice):
        watcher.notice(
            f"{part.who} has a loss of {once.loss:.4g} for {len(some)} rows, and {twice:.4g} where each is twice: "
            "it must be the mean over the labels, or it depends on how batches are cut"
        )


def try_loaded(part: Part, said: Any, loaded: Any, watcher: Watcher) -> None:
    """Whether a model says the same once it is saved and loaded; if not, that is told.

    Args:
        part: The model.
        said: Its numbers for a few rows.
        loaded: Those of the one that was loaded, for the same rows.
        watcher: Is told.
    """
    if _differ_in_numbers(said, loaded):
        watcher.notice(
            f"{part.who} says something else of the same rows once it is saved and loaded: does save_pretrained write "
            "all of it, and `load` read it? Predictions with the model of this run will be other ones"
        )


def _differ(one: float, other: float) -> bool:
    return abs(one - other) > max(LEAST, TOLERANCE * max(abs(one), abs(other)))  # never of NaN


def _differ_in_numbers(one: Any, other: Any) -> bool:
    if one.shape != other.shape:
        return True
    return bool(one.size) and _differ(0.0, float(abs(one - other).max()) / max(1.0, float(abs(one).max())))


def _generators() -> str:
    """What the global generators stand at, of those libraries that somebody has imported."""
    states: list[Any] = [random.getstate()]
    if numpy := sys.modules.get("numpy"):
        states.append([getattr(part, "tolist", lambda part=part: part)() for part in numpy.random.get_state()])
    if torch := sys.modules.get("torch"):
        states.append(torch.get_rng_state().tolist())
    return repr(states)


def _plain(batch: Mapping[str, Any]) -> str:
    return repr({name: value.tolist() if hasattr(value, "tolist") else value for name, value in batch.items()})


def _contents(labels: Any) -> Sequence[Any]:
    """The labels of a row, whichever side they are filled up on."""
    plain = labels.tolist() if hasattr(labels, "tolist") else labels
    return [label for label in plain if label != NO_LABEL] if isinstance(plain, list) else [plain]
