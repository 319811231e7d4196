"""Figures of predicted numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from ftrun.pictures.canvas import COLOURS, GREY, paper, save, short
from ftrun.pictures.counting import Floats

FAINTEST = 0.2
"""Rows whose cell would be white; so that one row is seen."""
MOST_DOTS = 5000
"""Rows that are a dot each; of more, the number in each place is drawn."""


def draw_predicted(path: Path, split: str, labels: Floats, said: Floats) -> None:
    """Predicted over true numbers."""
    figure = paper(5.8, 5.2)
    axes: Any = figure.subplots()
    cells = _draw_rows(axes, labels, said)
    if cells:
        _explain(figure.colorbar(cells, ax=axes, shrink=0.8))
    ends = [min(labels.min(), said.min()), max(labels.max(), said.max())]
    axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1, label="as true")
    axes.set(xlabel="true", ylabel="predicted")
    axes.set_title(f"{short(split)}: {len(labels):,} rows\n{_errors(labels, said)}", loc="left")
    axes.legend(loc="upper left", fontsize=8)
    save(figure, path)


def draw_residuals(path: Path, split: str, labels: Floats, said: Floats) -> None:
    """What is predicted beyond the true number, over what is predicted, and how often."""
    beyond = said - labels
    figure = paper(7.6, 4.2)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    _draw_rows(left, said, beyond)
    right.hist(beyond, bins=min(40, max(10, int(np.sqrt(len(beyond))))), orientation="horizontal", color=COLOURS[0])
    for axes in (left, right):
        axes.axhline(0, color=GREY, linestyle="--", linewidth=1)
    right.axhline(beyond.mean(), color=COLOURS[1], linewidth=1.2, label=f"mean {beyond.mean():.3g}")
    right.legend(loc="upper right", fontsize=8)
    right.set_xlabel("rows")
    left.set(xlabel="predicted", ylabel="predicted - true")
    left.set_title(f"{short(split)}: residuals", loc="left")
    save(figure, path)


def _draw_rows(axes: Axes, across: Floats, up: Floats) -> Any:
    """A dot for each row, or cells by their number of rows, which are returned."""
    if len(across) <= MOST_DOTS:
        alpha = 0.7 if len(across) < 500 else 0.3
        axes.scatter(across, up, s=14, color=COLOURS[0], alpha=alpha, linewidths=0)
        return None
    faint = LogNorm(vmin=FAINTEST)
    return axes.hexbin(across, up, gridsize=45, cmap="Blues", mincnt=1, norm=faint, linewidths=0)


def _explain(bar: Any) -> None:
    bar.set_label("rows")
    bar.ax.set_ylim(bottom=1)
    bar.ax.yaxis.set_major_formatter("{x:,.0f}")  # that of a logarithm writes powers as formulas
    bar.outline.set_visible(False)


def _errors(labels: Floats, said: Floats) -> str:
    beyond = said - labels
    return f"mean absolute error {np.abs(beyond).mean():.3g}, root of mean square {np.sqrt((beyond**2).mean()):.3g}"
