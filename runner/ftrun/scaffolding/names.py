"""The names that a new package goes by, all made of the one that it is given."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

from ftrun.errors import ExperimentError, Problem

PREFIX = "ftrun-"


@dataclass(frozen=True)
class Names:
    """What a package is called.

    Attributes:
        distribution: By pip, such as "ftrun-kappa".
        module: By Python, such as "ftrun_kappa".
        component: By a file, such as "kappa", where it offers one component.
        words: In the names of classes, such as "Kappa".
    """

    distribution: str
    module: str
    component: str
    words: str

    def of(self, kind: str, is_alone: bool) -> str:
        """What a file calls the component of a kind: "kappa", or "kappa-metric" beside those of other kinds."""
        return self.component if is_alone else f"{self.component}-{kind}"


def names_of(distribution: str) -> Names:
    """The names of a package, by that of its distribution.

    Raises:
        ExperimentError: If that cannot be a distribution's name, or no module can be called so.
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", distribution):
        raise ExperimentError(
            Problem(f'"{distribution}" cannot be the name of a package', hint='Take letters, digits and "-".')
        )
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    module = name.replace("-", "_")
    if not module.isidentifier() or keyword.iskeyword(module) or module in ("ftrun", "ftrun_plugins"):
        hint = f'Call it "{PREFIX}{name}", say.'
        raise ExperimentError(Problem(f'no module of its own can be called "{module}"', hint=hint))
    component = name.removeprefix(PREFIX)
    named_by = name if component[0].isdigit() else component  # no class begins with a digit
    return Names(name, module, component, "".join(word.capitalize() for word in named_by.split("-")))
