"""Rows of CSV that a stray `"` has made one of, known by their labels. Light."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Suspect:
    """A row that looks like several.

    Attributes:
        place: What to call it: "row 3 of train".
        rows: The cells of each.
    """

    place: str
    rows: Sequence[Sequence[str]]


class Numbers(Container[str]):
    """All text that is a finite number: the labels of a regression."""

    def __contains__(self, text: object) -> bool:
        try:
            return math.isfinite(float(str(text)))
        except ValueError:
            return False


def swallowed(suspects: Sequence[Suspect], labels: Mapping[int, Container[str]], how: str) -> list[str]:
    """A sentence about rows in which every line has a label where one belongs.

    Args:
        suspects: Rows that would be several without `"`.
        labels: What stands in the columns of labels, by their place; without any there is nothing to know them by.
        how: How `"` is made a character like any other.
    """
    found = [one for one in suspects if labels and _are_labelled(one.rows, labels)]
    if not found:
        return []
    more = f"; so are {len(found) - 1:,} more" if len(found) > 1 else ""
    what = (
        f'{len(found[0].rows):,} lines between two " are read as one row, and each looks like a row with a label{more}'
    )
    return [f'{found[0].place}: {what}. If " is a character like any other there: {how}']


def _are_labelled(rows: Sequence[Sequence[str]], labels: Mapping[int, Container[str]]) -> bool:
    return all(row[place].strip() in known for row in rows for place, known in labels.items())
