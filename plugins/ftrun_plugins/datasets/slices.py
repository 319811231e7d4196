"""Parts of a split, such as `train[:10%]`, as `datasets` has them. Light."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

BOUND = r"-?[0-9](?:_?[0-9])*%?"
SLICE = re.compile(rf"(?P<split>[^\[\]()+]+)\[(?P<start>{BOUND})?:(?P<stop>{BOUND})?\]")
EXAMPLES = "train[:10%], train[100:200] or train[-10%:]"


@dataclass(frozen=True)
class Slice:
    """Rows of a split from one place to another.

    Attributes:
        split: The split's name.
        start, stop: The places as they are written: from the split's end if negative, and with % a share of its rows;
            None for its beginning and its end.
    """

    split: str
    start: str | None
    stop: str | None

    @property
    def name(self) -> str:
        """What to call it where brackets have no place: `train_0_10pct` for `train[:10%]`."""
        bounds = [_plain(bound) for bound in (self.start or "0", self.stop or "end")]
        return "_".join([self.split, *bounds])

    def of(self, rows: int) -> range:
        """The places of its rows in a split of so many. A share is rounded to the nearest row, and half a row to the
        even one; what is beyond the split is cut.
        """
        start = 0 if self.start is None else _place(self.start, rows)
        stop = rows if self.stop is None else _place(self.stop, rows)
        return range(start, max(start, stop))


def as_slice(told: str) -> Slice | None:
    """The part of a split that is meant; None where a whole split is.

    Raises:
        ValueError: If it is neither.
    """
    if not set("[]+()") & set(told):
        return None
    found = SLICE.fullmatch(told)
    if found is None:
        raise ValueError(f'"{told}" is no part of a split{_why(told)}; such a part is {EXAMPLES}')
    part = Slice(found["split"], found["start"], found["stop"])
    bounds = [bound for bound in (part.start, part.stop) if bound]
    if len({bound.endswith("%") for bound in bounds}) > 1:
        raise ValueError(f'"{told}" mixes places and shares; a part is {EXAMPLES}')
    for bound in bounds:
        if bound.endswith("%") and abs(int(bound[:-1])) > 100:
            raise ValueError(f'"{told}" asks for more than 100 %')
    if all(bound is None or bound.endswith("%") for bound in (part.start, part.stop)) and not part.of(100):
        raise ValueError(f'"{told}" has no rows: it ends where it begins, or before')
    return part


def refuse_alike(told: Sequence[str]) -> None:
    """Refuse parts of splits that would have one name, and are written in two ways.

    Raises:
        ValueError: Saying which.
    """
    names: dict[str, str] = {}
    for one in told:
        part = as_slice(one)
        name = part.name if part else one
        if names.setdefault(name, one) != one:
            raise ValueError(f'"{names[name]}" and "{one}" would both be called {name}')


def _why(told: str) -> str:
    if "+" in told:
        return ", for splits are not joined by +"
    return ", for it is always rounded to the nearest row" if "(" in told else ""


def _place(bound: str, rows: int) -> int:
    place = round(int(bound[:-1]) * rows / 100.0) if bound.endswith("%") else int(bound)
    return min(max(rows + place, 0) if place < 0 else place, rows)


def _plain(bound: str) -> str:
    return bound.replace("-", "minus").replace("%", "pct").replace("_", "")
