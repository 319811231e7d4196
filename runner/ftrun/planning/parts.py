"""The parts of a plan: components that an experiment uses, with their settings."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ftrun.contracts import Component
from ftrun.errors import ExperimentError, Problem
from ftrun.planning.catalogue import Offer
from ftrun.planning.experiment import ExperimentSettings
from ftrun.planning.written import table_of
from ftrun.settings import Settings

METRIC_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}"
"""What a metric and its table may call a number: the name is a part of MLflow's key, and "/" parts such keys."""

TABLES = frozenset(ExperimentSettings.model_fields) - {"format", "name", "seed"}
"""The tables of a file."""

C = TypeVar("C", bound=Component)


@dataclass(frozen=True)
class Part:
    """A component that the experiment uses, with its settings.

    Attributes:
        name: What the file calls a metric, if it does: `name` beside `use`.
        is_default: Whether the file names none of its kind, and so has this one.
    """

    use: str
    offer: Offer
    settings: Settings
    name: str | None = None
    is_default: bool = False

    @property
    def who(self) -> str:
        """What to call it in a sentence."""
        return self.offer.who.replace("the ", "the default ", 1) if self.is_default else self.offer.who

    def component(self, kind: type[C]) -> C:
        """The component as what it is known to be."""
        return cast(C, self.offer.component)

    @property
    def module(self) -> str:
        """The module that its `build` is of."""
        return module_of(self.offer.component)

    @property
    def home(self) -> Path | None:
        """The folder of the package that it comes from, or the file of a single module; None where there is neither."""
        return home_of(self.offer.component)

    def fault(self, message: str, hint: str | None = None, place: str | None = None) -> ExperimentError:
        """That the component does not do what the contract says.

        Args:
            message: What it did, and what was expected, after its name.
            hint: What to do about it.
            place: Where its table is, where a file has several of its kind.
        """
        kind = self.offer.component.kind
        place = place or ("metrics" if kind == "metric" else kind)
        return ExperimentError(Problem(f"{self.who} {message}", place, hint))

    def table(self) -> dict[str, Any]:
        """The table as a file has it, every default filled in."""
        name = {} if self.name is None else {"name": self.name}
        return {"use": self.use, **name, **table_of(self.settings)}

    def placed(self, problem: Problem, place: str) -> Problem:
        """A problem that the component tells, with its place in the file.

        It is one of the component's own table, unless it begins with a table of the file that is no key there.

        Args:
            problem: As the component tells it.
            place: Where the component's table is.
        """
        first = re.split(r"[.[]", problem.place or "")[0]
        is_files = first in TABLES and first not in type(self.settings).model_fields
        return problem if is_files else problem.inside(place)


def module_of(component: Component) -> str:
    """The module that a component's `build` is of."""
    build = getattr(component, "build", None)
    return getattr(build, "__module__", None) or type(build).__module__


def home_of(component: Component) -> Path | None:
    """The folder of the package that a component comes from, or the file of a single module; None where there is
    neither.
    """
    file = getattr(sys.modules.get(module_of(component).partition(".")[0]), "__file__", None)
    if file is None:
        return None
    path = Path(file).resolve()
    return path.parent if path.name == "__init__.py" else path
