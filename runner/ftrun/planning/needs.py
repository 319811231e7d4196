"""What an experiment needs on a machine without a network, part by part, and whether it is there; light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import Need
from ftrun.planning.answers import needs_answered
from ftrun.planning.plan import Plan

NOT_SAID = Need("what it needs", None)


@dataclass(frozen=True)
class Needed:
    """A thing that a part of an experiment needs.

    Attributes:
        place: The part's in the file, with the key that names the thing where there is one.
        part: Its name; who: who provides it.
        need: The thing; None where the part needs nothing.
    """

    place: str
    part: str
    who: str
    need: Need | None

    @property
    def get(self) -> str | None:
        """How to get it; None where it is here."""
        return None if self.need is None or self.need.here else self.need.get

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        need = self.need or Need("nothing else", True)
        return {"place": self.place, "use": self.part, "what": need.what, "here": need.here, "get": self.get}


def needs_of(plan: Plan) -> Sequence[Needed]:
    """Everything that the parts of a plan need, in their order; the network is not asked.

    Raises:
        ExperimentError: If a part gives no answer though it has one.
    """
    found = []
    for place, part in plan.parts.items():
        told = needs_answered(part, place)
        needs = (NOT_SAID,) if told is None else told or (None,)
        for need in needs:
            key = f"{place}.{need.key}" if need and need.key else place
            found.append(Needed(key, part.use, part.offer.who, need))
    return found


def missing(needs: Sequence[Needed]) -> Sequence[Needed]:
    """Those of them that are not on this machine."""
    return [needed for needed in needs if needed.need and needed.need.here is False]
