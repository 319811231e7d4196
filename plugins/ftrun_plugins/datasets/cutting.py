"""A validation split cut off the rows to train on, where there is none: a function of seed and rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from ftrun.errors import ExperimentError, Problem

from ftrun_plugins.datasets import DEFAULT_SIZE, TableText
from ftrun_plugins.datasets.holding import arrow_of
from ftrun_plugins.datasets.labels import Labelled

CUT_OFF = "validation"
"""What the rows that are cut off are called."""
PLACE = "dataset.validation_size"
Integers = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Cut:
    """Rows of which some may have been cut off.

    Attributes:
        rows: All of them, with a notice that says so.
        digests: What tells the two splits apart from others, by name.
    """

    rows: Labelled
    digests: Mapping[str, str] = field(default_factory=dict)


def cut_where_none(rows: Labelled, settings: TableText, train: str, digest: str, evaluated: bool) -> Cut:
    """Cut a validation split off where there is nothing to evaluate on, and somebody asks for that.

    Args:
        rows: All rows.
        settings: As for `cut_off`, and so all that follow.
        evaluated: Whether the training is evaluated; a file that has `validation_size` asks in any case.

    Raises:
        ExperimentError: If there are too few rows.
    """
    if rows.evaluation:
        return Cut(rows)
    if evaluated or settings.validation_size is not None:
        return cut_off(rows, settings, train, digest)
    how = "[dataset] validation_size = 0.1, or an eval_strategy, cuts one off"
    notice = f"there is no validation split, and all rows of {train} are trained on: {how}"
    return Cut(replace(rows, notices=[*rows.notices, notice]))


def cut_off(rows: Labelled, settings: TableText, train: str, digest: str) -> Cut:
    """Cut a validation split off the training rows: of each class its share, and where a row has several classes, or a
    number, at random.

    Args:
        rows: With a training split, and none to evaluate on.
        settings: How much, and by which seed.
        train: What to call the training split.
        digest: What tells the training split apart.

    Raises:
        ExperimentError: If there are too few rows.
    """
    size = DEFAULT_SIZE if settings.validation_size is None else settings.validation_size
    count = len(rows.train)
    by_class = rows.task.kind == "classification"
    if not by_class:
        classes = np.zeros(count, np.int64)
    else:
        classes = arrow_of(rows.train, [rows.task.label_column]).column(0).to_numpy()
    taken = places_of_validation(classes, size, settings.split_seed)
    kept = np.setdiff1d(np.arange(count), taken, assume_unique=True)
    both = replace(rows, train=rows.train.select(kept), evaluation={CUT_OFF: rows.train.select(taken)})
    how = ", of each class its share" if by_class else ", at random"
    notice = (
        f"there is no validation split: {len(taken):,} of the {count:,} rows of {train} are cut off for it{how}, and "
        f"{len(kept):,} are left (split_seed = {settings.split_seed})"
    )
    told = {split: _digest(f"{digest} {train}", split, size, settings.split_seed) for split in (train, CUT_OFF)}
    return Cut(replace(both, notices=[*rows.notices, notice]), told)


def places_of_validation(classes: Integers, size: float, seed: int) -> Integers:
    """The places of the rows that are cut off, in their order.

    Args:
        classes: The class of every row; one for all where there are none.
        size: A share of the rows, or their number.
        seed: What the choice depends on beside the rows.

    Raises:
        ExperimentError: If there are too few rows: a class keeps one at least.
    """
    _, members, counts = np.unique(classes, return_inverse=True, return_counts=True)
    shares = _shares([int(count) for count in counts], size)
    order = np.lexsort((_random(len(classes), seed), members))
    firsts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    taken = [order[first : first + share] for first, share in zip(firsts, shares, strict=True)]
    places: Integers = np.sort(np.concatenate(taken))
    return places


def _shares(counts: list[int], size: float) -> list[int]:
    """How many rows of each class are cut off: in proportion, the largest remainders rounded up."""
    rows, most = sum(counts), sum(count - 1 for count in counts)
    wanted = int(size) if size >= 1 else max(1, int(rows * size + 0.5))
    if most == 0 or (size >= 1 and wanted > most):
        message = f"{wanted:,} of {rows:,} rows cannot be cut off for a validation split: a class keeps one at least"
        hint = "Name a split of its own to evaluate on, or have more rows."
        if len(counts) > 1:
            hint = f'Every row is of another class: is that the label? For numbers: kind = "regression". {hint}'
        raise ExperimentError(Problem(message, PLACE, hint if most == 0 else f"{most:,} can."))
    wanted = min(wanted, most)
    eligible = sum(count for count in counts if count > 1)
    shares = [min(wanted * count // eligible, count - 1) if count > 1 else 0 for count in counts]
    by_remainder = sorted(range(len(counts)), key=lambda at: -(wanted * counts[at] % eligible))
    while (left := wanted - sum(shares)) > 0:
        room = [at for at in by_remainder if shares[at] < counts[at] - 1]
        for at in room[:left]:
            shares[at] += 1
    return shares


def _random(count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """A number for every place, no two alike: SplitMix64, which no library's version changes."""
    start = int.from_bytes(hashlib.sha256(f"validation {seed}".encode()).digest()[:8], "little")
    with np.errstate(over="ignore"):
        mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(start)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return mixed ^ (mixed >> np.uint64(31))


def _digest(digest: str, split: str, size: float, seed: int) -> str:
    return hashlib.sha256(f"{digest} {split} {size} {seed}".encode()).hexdigest()
