"""What is to be drawn of a run, and what came of it: what passes between the run and the process that draws. Light."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Subject:
    """What the run folder alone does not tell.

    Attributes:
        kind: The task's; classes: their names in the order of their ids, none for regression.
        text_columns: The columns of text that the tables of predictions have.
        splits: The evaluation splits, the main one first.
        directions: The numbers of an evaluation, "max" or "min" each, whichever is better.
        model_step: The step that the model is of.
        tested: The test splits with labels: there are no curves of them.
    """

    kind: str
    classes: Sequence[str] = ()
    text_columns: Sequence[str] = ()
    splits: Sequence[str] = ()
    directions: Mapping[str, str] = field(default_factory=dict)
    model_step: int | None = None
    tested: Sequence[str] = ()


@dataclass(frozen=True)
class Drawn:
    """What was drawn.

    Attributes:
        tables: Paths in the run folder of the tables among it, with slashes.
        failed: What could not be drawn, by the name of its file.
        published: Whether anything is in `pictures/`.
    """

    tables: Sequence[str] = ()
    failed: Sequence[str] = ()
    published: bool = False


def as_line(facts: Subject | Drawn) -> bytes:
    """Either of them as a line of JSON."""
    return json.dumps(asdict(facts)).encode() + b"\n"


def subject_from(line: bytes) -> Subject:
    """The subject in a line."""
    facts: dict[str, Any] = json.loads(line)
    return Subject(**facts)


def drawn_from(line: bytes) -> Drawn | None:
    """What was drawn, in a line; None where it does not say."""
    try:
        facts: dict[str, Any] = json.loads(line)
        return Drawn(**facts)
    except (ValueError, TypeError):
        return None
