"""The parts of a plan: components that an experiment uses, with their settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ftrun.contracts import Component
from ftrun.errors import ExperimentError, Problem
from ftrun.planning.catalogue import Offer
from ftrun.settings import Settings

METRIC_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
"""What a metric's table may call it: the name is a part of MLflow's key, and "/" parts such keys."""

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Part:
    """A component that the experiment uses, with its settings.

    Attributes:
        name: What the file calls a metric, if it does: `name` beside `use`.
    """

    use: str
    offer: Offer
    settings: Settings
    name: str | None = None

    def component(self, kind: type[C]) -> C:
        """The component as what it is known to be."""
        return cast(C, self.offer.component)

    def fault(self, message: str, hint: str | None = None) -> ExperimentError:
        """That the component does not do what the contract says.

        Args:
            message: What it did, and what was expected, after its name.
            hint: What to do about it.
        """
        kind = self.offer.component.kind
        place = "metrics" if kind == "metric" else kind
        return ExperimentError(Problem(f'the {kind} "{self.use}" of {self.offer.provider} {message}', place, hint))

    def table(self) -> dict[str, Any]:
        """The table as a file has it, every default filled in."""
        name = {} if self.name is None else {"name": self.name}
        return {"use": self.use, **name, **self.settings.model_dump(exclude_none=True)}
