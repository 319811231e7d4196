"""What the classes are called, and which of them a label is: one map for all splits."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from ftrun.rowfiles import as_text, spellings

from ftrun_plugins.datasets import LabelledText

MANY_CLASSES = 50
"""So many, and hardly two rows of each, are worth a question."""
WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
FRACTION_OF_0 = re.compile(rf"({WHOLE.pattern})\.0+")
PART_OF_LIST = re.compile(r"""^\s*\[\s*(['"].*|\])|['"]\s*\]\s*$""")
"""How a list begins or ends that Python or JSON has written."""
NOTHING = frozenset({"nan", "null", "<na>", "n/a", "#n/a"})
"""What programs write for a value that is missing, in any case."""
NOTHING_AS_WRITTEN = frozenset({"None", "NA", "NaT"})
"""The same in this case alone: in another they are words."""


def in_order(value: Any) -> tuple[float, str]:
    """Numbers in their order, also where a file has them as text, and before them no text."""
    name = as_name(value)
    try:
        number = float(name)
    except ValueError:
        number = math.inf
    return (number if number == number else math.inf), name


def as_name(value: Any) -> str:
    """The name of the class that a value of a label column stands for: as the file has it."""
    return value if isinstance(value, str) else as_text(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def is_minus_one(value: Any) -> bool:
    """Whether it is what `datasets` has for a label that is kept secret."""
    return not isinstance(value, bool) and as_name(value).strip() in ("-1", "-1.0")


def whole_and_not(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names that are one whole number, the first without a fraction and the second with one of 0: "1" and "1.0"."""
    known = {name for name in names if WHOLE.fullmatch(name)}
    return [(one[1], name) for name in names if (one := FRACTION_OF_0.fullmatch(name)) and one[1] in known]


def words_for_nothing(names: Sequence[str]) -> list[str]:
    """A sentence about classes whose names are words for a value that is missing."""
    found = [name for name in names if name in NOTHING_AS_WRITTEN or name.casefold() in NOTHING]
    if not found:
        return []
    what = f"the class {found[0]!r} is" if len(found) == 1 else f"the classes {', '.join(map(repr, found))} are"
    return [f"{what} often written for a label that is missing: leave the cell blank where a row has none"]


def odd_classes(names: Sequence[str], rows: int, label: str) -> list[str]:
    """Sentences about classes that are hardly meant.

    Args:
        names: The classes.
        rows: Of the training split.
        label: What the label column is called.
    """
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(_plain(name), []).append(name)
    notices = [
        f"the classes {', '.join(map(repr, group))} differ in nothing but case or spaces"
        for group in alike.values()
        if len(group) > 1
    ]
    numbers: dict[Decimal, list[str]] = {}
    for name in names:
        if abs(in_order(name)[0]) < math.inf:
            numbers.setdefault(Decimal(name.strip()), []).append(name)
    notices += [
        f"the classes {', '.join(map(repr, group))} are one number in several ways"
        for group in numbers.values()
        if len(group) > 1
    ]
    if lists := [name for name in names if PART_OF_LIST.search(name)]:
        notices.append(
            f"the classes {', '.join(lists[:3])} look like lists, as pandas writes them into CSV: of several classes a "
            "row ftrun reads lists in JSON and Parquet, or cells such as a|b with label_separator"
        )
    if len(names) > MANY_CLASSES and 2 * len(names) > rows:
        notices.append(f'there are {len(names):,} classes in {rows:,} rows; is "{label}" the label column?')
    return notices


def written_otherwise(name: str, names: Sequence[str]) -> str | None:
    """The class that a label stands for which differs from its name in case or spaces, or is its number; or None."""
    number = in_order(name)[0]
    is_number = abs(number) < math.inf
    fits = (one for one in names if _plain(one) == _plain(name) or (is_number and in_order(one)[0] == number))
    return next(fits, None)


def _plain(name: str) -> str:
    """Without what is hardly seen: case, spaces and a mark of the order of bytes."""
    return " ".join(name.casefold().replace("\ufeff", " ").split())


class Classes:
    """The one map from labels to class ids.

    Args:
        names: Of the classes, in the order of their ids.
        settings: Whether a label is a name or an id.
    """

    def __init__(self, names: Sequence[str], settings: LabelledText) -> None:
        self.names = names
        self.by_id = settings.label_ids
        self.hint_ids = not settings.label_ids and settings.class_names is not None
        self._ids = {name: index for index, name in enumerate(names)}

    def __call__(self, value: Any, declared: Sequence[str] | None) -> int | None:
        """The id of a value's class; None if it is none of them.

        Args:
            value: As the column has it.
            declared: The names that a ClassLabel column gives its ids.
        """
        if self.by_id:
            number = whole(value)
            return number if number is not None and 0 <= number < len(self.names) else None
        if declared is not None:
            return self._ids.get(declared[value]) if 0 <= value < len(declared) else None
        return next((self._ids[name] for name in spellings(value) if name in self._ids), None)


def whole(value: Any) -> int | None:
    """The class id that a cell or a number, which has no fraction, is."""
    if isinstance(value, bool):
        return None
    try:
        return int(value)
    except ValueError:
        return None
