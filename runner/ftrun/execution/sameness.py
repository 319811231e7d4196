"""Whether the same rows come out alike: of a plugin's collator twice, of its model in batches cut otherwise, or
without labels, and of its encode with another text in a column.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ftrun.contracts import Collate, Encode, Predictions
from ftrun.errors import FtrunError
from ftrun.execution.encoded_labels import KNOWN
from ftrun.execution.watcher import Watcher
from ftrun.planning.blame import line_in
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.conformance import said
from ftrun.planning.parts import Part
from ftrun.settings import TrainingSettings

NO_LABEL = -100
FEW_ROWS = 8
"""Rows that are tried."""
TOLERANCE = 0.05
"""Share of a loss or of the largest number by which two of the same rows may differ, in whatever precision."""
OF_FLOAT32 = 2e-4
"""The same of losses in float32: rows that a loss mixes alter that of an untrained model by little."""
SAME, FAR = 1e-5, 1e-3
"""Shares of the largest number up to which two are the same, but for rounding, and from which they are others."""
LEAST = 1e-3
"""What may differ at any rate."""

Rows = Sequence[Mapping[str, Any]]
Say = Callable[[Rows], Predictions]


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


def try_model(part: Part, say: Say, rows: Rows, training: TrainingSettings, kind: str, watcher: Watcher) -> None:
    """Put a few rows through a model twice, and once each by itself, or with every row there twice; what differs is
    told.

    Args:
        part: The model.
        say: What the model says of encoded rows with labels, as an evaluation has it, with the model's own loss.
        rows: Encoded, with labels.
        training: How many rows it takes at once, and in which precision.
        kind: Of the task.
        watcher: Is told.
    """
    some = list(rows[: min(FEW_ROWS, training.per_device_eval_batch_size // 2)])
    if part.offer.distribution == BUILT_IN or not some:
        return
    once, again = say(some), say(some)
    if once.loss is None or again.loss is None:
        return
    if _differ(once.loss, again.loss) or _differ_in_numbers(once.logits, again.logits):
        watcher.notice(f"{part.who} says something else of the same rows each time, though it is in eval mode")
        return
    if kind == "classification" and _are_probabilities(once.logits):
        watcher.notice(
            f"{part.who} seems to give probabilities for logits: softmax is taken of these wherever one is told"
        )
    if kind in KNOWN:
        share = OF_FLOAT32 if training.precision == "float32" and not training.tf32 else TOLERANCE
        _try_alone(part, once, [say([row]) for row in some], share, watcher)
        return
    twice = say([*some, *some]).loss
    if twice is not None and _differ(once.loss, twice):
        told = f"{part.who} has a loss of {once.loss:.4g} for {len(some)} rows, and {twice:.4g} where each is twice"
        watcher.notice(f"{told}: {MEAN}")


def check_order(model: Part, collator: Part, say: Say, rows: Rows) -> None:
    """Whether what a model says of a batch is of its rows in their order, and so beside their labels; of built-in parts
    that is known.

    Args:
        model: The model.
        collator: The collator.
        say: What the model says of encoded rows.
        rows: Encoded.

    Raises:
        ExperimentError: If each row's numbers are there, and beside another's label.
    """
    some = list(rows[:FEW_ROWS])
    if model.offer.distribution == collator.offer.distribution == BUILT_IN:
        return
    if are_moved(say(some).logits, [say([row]).logits for row in some]):
        theirs = model if collator.offer.distribution == BUILT_IN else collator
        told = "has the rows of a batch in another order than their labels: what is said of one is held to another's"
        hint = "Inputs and labels stand in the order in which the rows come."
        raise theirs.fault(told, f"{hint} The model may be the one that moves them." if theirs is collator else hint)


def are_moved(together: Any, alone: Sequence[Any]) -> bool:
    """Whether the numbers of a batch are those of its rows, each as it is alone, in another order than theirs.

    Args:
        together: (rows, ...)
        alone: Of each row, (1, ...).
    """
    if len(together) != len(alone) or any(one.shape != together[:1].shape for one in alone):
        return False
    apart = [[float(abs(row - one[0]).max()) for one in alone] for row in together]
    nearest = [min(range(len(alone)), key=gaps.__getitem__) for gaps in apart]
    largest = float(abs(together).max())
    are_there = all(gaps[at] <= SAME * largest for gaps, at in zip(apart, nearest, strict=True))
    moved = [row for row, at in enumerate(nearest) if apart[row][row] > FAR * largest and at != row]
    return are_there and len(set(nearest)) == len(nearest) and len(moved) > 1


MEAN = "it must be the mean over the labels, or it depends on how batches are cut"


def _try_alone(part: Part, together: Predictions, alone: Sequence[Predictions], share: float, watcher: Watcher) -> None:
    """Compare what a model says of rows in a batch, and of each by itself; losses by a share of them."""
    if any(_differ_in_numbers(together.logits[row : row + 1], one.logits) for row, one in enumerate(alone)):
        watcher.notice(
            f"{part.who} says something else of rows among longer ones than of each alone: padding must not count"
        )
        return
    losses = [one.loss for one in alone if one.loss is not None]
    mean = sum(losses) / len(losses) if losses else together.loss
    if together.loss is not None and mean is not None and _differ(together.loss, mean, share):
        told = f"{part.who} has a loss of {together.loss:.4g} for {len(alone)} rows, and {mean:.4g} for each alone"
        watcher.notice(f"{told}: {MEAN}; shapes such as (rows, 1) and (rows,) in one loss mix the rows")


def _are_probabilities(logits: Any) -> bool:
    """Whether every row's numbers are shares of 1."""
    flat = logits.reshape(-1, logits.shape[-1])
    return bool(((flat > 0) & (flat < 1)).all() and (abs(flat.sum(axis=-1) - 1) < LEAST).all())


def try_unlabelled(part: Part, say: Say, rows: Rows, watcher: Watcher) -> None:
    """Put a few rows through a model without their labels, as `ftrun predict` does; where that fails, or it says
    something else then, that is told.

    Args:
        part: The model.
        say: What the model says of encoded rows, as an evaluation has it.
        rows: Encoded, with labels.
        watcher: Is told.
    """
    if part.offer.distribution == BUILT_IN:
        return
    some = list(rows[:FEW_ROWS])
    bare = [{name: value for name, value in row.items() if name != "labels"} for row in some]
    try:
        without = say(bare).logits
    except FtrunError as fault:
        watcher.notice(f"{'; '.join(problem.message for problem in fault.problems)}: {PREDICTED}")
        return
    except Exception as fault:
        watcher.notice(
            f"{part.who} says nothing of rows without labels: {said(fault)}{line_in(fault, part)}: {PREDICTED}"
        )
        return
    if _differ_in_numbers(say(some).logits, without):
        watcher.notice(f"{part.who} says something else of rows that it is given the labels of: metrics are worthless")


PREDICTED = "rows without labels, as `ftrun predict` has them, will fail"


def try_columns(
    part: Part, encode: Encode, rows: Mapping[str, Sequence[Any]], columns: Sequence[str], watcher: Watcher
) -> None:
    """Encode a few rows with the texts of one column among other rows; where that changes nothing, the column is not
    read, which is told.

    Args:
        part: The model.
        encode: Its own.
        rows: As the data set has them, by column.
        columns: The task's text columns.
        watcher: Is told.
    """
    if part.offer.distribution == BUILT_IN:
        return
    before = _plain(encode(rows))
    for column in columns:
        texts = list(rows[column])
        moved = [*texts[1:], *texts[:1]]
        try:
            is_read = repr(moved) == repr(texts) or _plain(encode({**rows, column: moved})) != before
        except Exception:  # the texts do not go together, and so it reads them
            is_read = True
        if not is_read:
            watcher.notice(f"{part.who} encodes rows alike whatever the column {column} says: it is not read")


def try_loaded(part: Part, before: Any, loaded: Any, watcher: Watcher) -> None:
    """Whether a model says the same once it is saved and loaded; if not, that is told.

    Args:
        part: The model.
        before: Its numbers for a few rows.
        loaded: Those of the one that was loaded, for the same rows.
        watcher: Is told.
    """
    if _differ_in_numbers(before, loaded):
        watcher.notice(
            f"{part.who} says something else of the same rows once it is saved and loaded: does save_pretrained write "
            "all of it, and `load` read it? Predictions with the model of this run will be other ones"
        )


def _differ(one: float, other: float, share: float = TOLERANCE) -> bool:
    return abs(one - other) > max(min(share, LEAST), share * max(abs(one), abs(other)))  # never of NaN


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
