"""Loss and metrics over the steps, with the best one of each marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ftrun.pictures.canvas import COLOURS, GREY, legend_beside, paper, save, short
from ftrun.pictures.counting import smoothed
from ftrun.pictures.subject import Subject
from ftrun.runs.journal import read_current
from ftrun.runs.records import MetricsRecord

Curve = Mapping[int, float]
"""Values by step."""
LOSS = "train/loss"
SPANS_A_CURVE = 30
"""Of the smoothing; fewer steps than that are not smoothed."""
A_ROW = 3
"""Metrics beside each other."""


def read_curves(journal: Path) -> dict[str, Curve]:
    """The finite points of every metric of a run, in the order of their steps."""
    curves: dict[str, dict[int, float]] = {}
    for entry, _ in read_current(journal):
        if isinstance(entry.record, MetricsRecord):
            for key, value in entry.record.values.items():
                if math.isfinite(value):
                    curves.setdefault(key, {})[entry.record.step] = value
    return {key: dict(sorted(curve.items())) for key, curve in curves.items()}


def evaluated(curves: Mapping[str, Curve], splits: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """The curves of the evaluations, by the metric's name and by split."""
    found: dict[str, dict[str, Curve]] = {}
    for key, curve in curves.items():
        room, _, name = key.partition("/")
        if room != "eval":
            continue
        split = splits[0] if splits else "validation"
        if len(splits) > 1:
            split = next((split for split in splits if name.startswith(f"{split}/")), split)
            name = name.removeprefix(f"{split}/")
        found.setdefault(name, {})[split] = curve
    return found


def draw_loss(path: Path, curves: Mapping[str, Curve], subject: Subject) -> None:
    """The training loss, raw and smoothed, and that of the evaluations."""
    figure = paper(8.5, 4.2)
    axes: Any = figure.subplots()
    training = curves.get(LOSS, {})
    steps, values = np.array(list(training)), np.array(list(training.values()))
    span = len(values) / SPANS_A_CURVE
    if span > 1:
        axes.plot(steps, values, color=COLOURS[0], alpha=0.25, linewidth=0.8, label="training, every step")
        axes.plot(steps, smoothed(values, span), color=COLOURS[0], linewidth=1.6, label="training, smoothed")
    elif len(values):
        axes.plot(steps, values, color=COLOURS[0], marker=".", label="training")
    _draw_evaluated(axes, evaluated(curves, subject.splits).get("loss", {}), "min", COLOURS[1:])
    _dress(axes, "loss", subject)
    _start_low(axes, values)
    legend_beside(axes)
    save(figure, path)


def draw_metrics(path: Path, curves: Mapping[str, Curve], subject: Subject) -> None:
    """Every metric of the evaluations."""
    metrics = {name: by_split for name, by_split in evaluated(curves, subject.splits).items() if name != "loss"}
    across, down = min(len(metrics), A_ROW), -(-len(metrics) // A_ROW)
    figure = paper(4.2 * across + 0.6, 3.2 * down)
    all_axes = list(figure.subplots(down, across, squeeze=False).flat)
    for axes, (name, by_split) in zip(all_axes, metrics.items(), strict=False):
        _draw_evaluated(axes, by_split, subject.directions.get(name, "max"), COLOURS)
        _dress(axes, short(name, 40), subject)
        axes.margins(y=0.12)
        axes.set_xlim(0, max(max(curve) for curve in by_split.values()) * 1.04)
        axes.legend(fontsize=7, loc="best")
    for axes in all_axes[len(metrics) :]:
        axes.set_visible(False)
    save(figure, path)


def _draw_evaluated(axes: Axes, by_split: Mapping[str, Curve], better: str, colours: Sequence[str]) -> None:
    for place, (split, curve) in enumerate(by_split.items()):
        colour = colours[place % len(colours)]
        best = (max if better == "max" else min)(curve, key=lambda step: curve[step])
        label = f"{short(split)}; best: {curve[best]:.4g} at step {best:,}"
        axes.plot(list(curve), list(curve.values()), color=colour, marker="o", markersize=3.5, label=label)
        axes.plot([best], [curve[best]], color=colour, marker="*", markersize=14, markeredgecolor="white", zorder=3)


def _dress(axes: Axes, title: str, subject: Subject) -> None:
    axes.set_title(title, loc="left")
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    if subject.model_step is not None:
        label = "the run's model" if title == "loss" else None
        axes.axvline(subject.model_step, color=GREY, linestyle=":", linewidth=1, zorder=1, label=label)


def _start_low(axes: Axes, values: Any) -> None:
    """From 0, where that leaves enough room for what there is."""
    low, high = axes.get_ylim()
    if low > 0 and len(values) and low < (high - low):
        axes.set_ylim(bottom=0)
