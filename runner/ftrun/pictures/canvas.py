"""What all figures share: paper, colours and letters."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""For lines; told apart by eyes that see few colours, too. Okabe and Ito, "Color Universal Design", 2008."""
GREY = "#777777"
DOTS_A_INCH = 120
LONGEST_NAME = 24
SCRIPTS = ["DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic", "Noto Sans Devanagari", "Unifont"]
"""Fonts that are tried for a letter, those that are there; where none has it, a box stands for it."""


def prepare() -> None:
    """Make matplotlib, in this process, draw files and say nothing, whatever the user's settings are."""
    mpl.use("Agg")
    mpl.rcdefaults()
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # letters that no font has, and scales without a range
    mpl.rcParams.update(
        {
            "text.parse_math": False,  # a "$" in a name is one
            "font.family": SCRIPTS,
            "font.size": 9,
            "axes.titlesize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.formatter.useoffset": False,
            "grid.color": "#E6E6E6",
            "legend.frameon": False,
        }
    )


def paper(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=DOTS_A_INCH)


def legend_beside(axes: Axes) -> None:
    """A legend outside of the axes, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8)


def short(name: str, longest: int = LONGEST_NAME) -> str:
    """A name in one line, cut where it is long.

    >>> short("not equivalent\\n at all, whatever", 16)
    'not equivalent …'
    """
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def short_names(names: Sequence[str], longest: int = LONGEST_NAME) -> list[str]:
    """Names for the sides of a figure, each another: those that are alike once cut have their place behind."""
    cut = [short(name, longest) for name in names]
    alike = Counter(cut)
    return [f"{name} [{place}]" if alike[name] > 1 else name for place, name in enumerate(cut)]
