"""Figures and tables of predicted classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ftrun.pictures.canvas import COLOURS, GREY, legend_beside, paper, save, short, short_names
from ftrun.pictures.counting import (
    ByClass,
    Floats,
    Ints,
    RankedCurve,
    by_class,
    confusion,
    most_confused,
    precision_over_recall,
    reliability,
)
from ftrun.pictures.predicted import Classified

LARGEST_MATRIX = 20
"""Classes; of more, the most confused pairs are drawn."""
MOST_PAIRS = 20
MOST_CURVES = 7
"""Classes with a curve each; of more, those of the lowest average precision."""
POINTS_A_CURVE = 2000
MOST_WRONG = 50
"""Rows in the table of what is most confidently wrong."""
SLANTED: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
Tabled = dict[str, list[Any]]
"""A table as MLflow shows it: `columns` and `data`."""


def draw_confusion(path: Path, split: str, found: Classified) -> None:
    """The confusion matrix, or where there are many classes the pairs that are confused most."""
    draw = _draw_matrix if len(found.names) <= LARGEST_MATRIX else _draw_pairs
    draw(path, split, found)


def _draw_matrix(path: Path, split: str, found: Classified) -> None:
    count = len(found.names)
    names, matrix = short_names(found.names), confusion(found.labels, found.said, count)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = max(1.1 * count, 2.4) if count <= 5 else max(5.5, 0.52 * count)
    figure = paper(side + 3.0, side + 1.6)
    axes: Any = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    axes.set_xticks(range(count), names, **(SLANTED if count > 2 else {}))
    axes.set_yticks(range(count), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.set_title(f"{short(split)}: {len(found.labels):,} rows", loc="left")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    _write_cells(axes, matrix, shares)
    save(figure, path)


def _write_cells(axes: Axes, matrix: Ints, shares: Floats) -> None:
    size = 10 if len(matrix) <= 5 else 7.5 if len(matrix) <= 12 else 6.5
    for row, column in np.ndindex(matrix.shape):
        rows, share = matrix[row, column], shares[row, column]
        text = f"{rows:,}\n{share:.0%}" if rows else "0"
        colour = "white" if share > 0.55 else "#222222" if rows else "#AAAAAA"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)


def _draw_pairs(path: Path, split: str, found: Classified) -> None:
    pairs = most_confused(found.labels, found.said, len(found.names), MOST_PAIRS)
    names = short_names(found.names)
    figure = paper(9, max(2.0, 0.32 * len(pairs) + 1.2))
    axes: Any = figure.subplots()
    bars = axes.barh(range(len(pairs)), [pair.rows for pair in pairs], color=COLOURS[0])
    axes.bar_label(bars, [f"{pair.rows:,}  ({pair.share:.0%})" for pair in pairs], padding=4, fontsize=8)
    axes.set_yticks(range(len(pairs)), [f"{names[pair.label]} → {names[pair.said]}" for pair in pairs])
    axes.set_ylim(max(len(pairs), 1) - 0.4, -0.6)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("rows (share of the true class)")
    wrong = int((found.labels != found.said).sum())
    title = f"{short(split)}: most confused, true → predicted; {wrong:,} of {len(found.labels):,} rows are wrong"
    axes.set_title(title, loc="left")
    save(figure, path)


def draw_precision_recall(path: Path, split: str, names: Sequence[str], labels: Ints, probabilities: Floats) -> None:
    """Precision over recall: of class 1 where there are two classes, else of each against the rest."""
    figure = paper(7.8, 4.4)
    axes: Any = figure.subplots()
    for place, (name, curve, share) in enumerate(_ranked_curves(names, labels, probabilities)):
        colour = COLOURS[place % len(COLOURS)]
        label = f"{name}: {curve.average_precision:.3f}"
        thin = np.unique(np.linspace(0, len(curve.recall) - 1, POINTS_A_CURVE).astype(int))
        axes.step(curve.recall[thin], curve.precision[thin], where="pre", color=colour, linewidth=1.5, label=label)
        axes.axhline(share, color=colour, linewidth=0.8, linestyle=":", alpha=0.6)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    axes.set_title(f"{short(split)}: {len(labels):,} rows; average precision of each; dotted: by chance", loc="left")
    legend_beside(axes)
    save(figure, path)


def _ranked_curves(names: Sequence[str], labels: Ints, probabilities: Floats) -> list[tuple[str, RankedCurve, float]]:
    """Name, curve and share of the rows: of class 1 of two, or of the classes of the lowest average precision."""
    shown = short_names(names)
    there = [place for place in ([1] if len(names) == 2 else range(len(names))) if (labels == place).any()]
    found = [
        (shown[place], precision_over_recall(labels == place, probabilities[:, place]), float((labels == place).mean()))
        for place in there
    ]
    if len(found) <= MOST_CURVES:
        return found
    lowest = sorted(found, key=lambda curve: curve[1].average_precision)[: MOST_CURVES - 1]
    every = np.zeros(probabilities.shape, bool)
    every[np.arange(len(labels)), labels] = True
    return [*lowest, ("all classes", precision_over_recall(every.ravel(), probabilities.ravel()), 1 / len(names))]


def draw_reliability(path: Path, split: str, found: Classified) -> None:
    """How often rows are right by how probable that was said to be, and how many rows there are of each."""
    known = np.isfinite(found.probability)
    told = reliability((found.labels == found.said)[known], found.probability[known])
    figure = paper(5.4, 5.6)
    upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
    middles, width = (told.edges[:-1] + told.edges[1:]) / 2, told.edges[1] * 0.92
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as said")
    upper.bar(middles, np.nan_to_num(told.right), width, color=COLOURS[0], label="right")
    upper.plot(told.sure, told.right, "o", color=COLOURS[1], markersize=4, label="at the bin's mean probability")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of rows that are right")
    upper.set_title(f"{short(split)}: expected calibration error {told.error:.3f}", loc="left")
    upper.legend(loc="upper left", fontsize=8)
    lower.bar(middles, told.rows, width, color=GREY)
    lower.set(xlabel="probability of the predicted class", ylabel="rows")
    lower.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    lower.yaxis.set_major_formatter("{x:,.0f}")
    save(figure, path)


def per_class_table(found: Classified) -> Tabled:
    """Precision, recall, F1 and rows of every class."""
    return scores_table(found.names, by_class(found.labels, found.said, len(found.names)))


def scores_table(names: Sequence[str], scores: ByClass) -> Tabled:
    """The scores of every class, a row each."""
    columns = (scores.precision, scores.recall, scores.f1, scores.support)
    data = [list(row) for row in zip(names, *(column.tolist() for column in columns), strict=True)]
    return {"columns": ["class", "precision", "recall", "f1", "support"], "data": data}


def wrong_table(found: Classified, text_columns: Sequence[str]) -> Tabled:
    """The rows that are wrong, those of the highest probability first, at most `MOST_WRONG`."""
    sure = np.where((found.labels != found.said) & np.isfinite(found.probability), found.probability, -math.inf)
    places = [int(place) for place in np.argsort(-sure, kind="stable")[:MOST_WRONG] if sure[place] > -math.inf]
    texts = [name for name in dict.fromkeys(("idx", *text_columns)) if name in found.table.columns]
    judged = ["label", "prediction", "probability"]
    where = [*map(found.table.columns.index, texts), *map(found.table.place, judged)]
    return {
        "columns": [*texts, *judged],
        "data": [[found.table.rows[place][cell] for cell in where] for place in places],
    }
