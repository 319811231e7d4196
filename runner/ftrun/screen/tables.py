"""Tables: what a look at data and model found, and runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ftrun.contracts import Need
from ftrun.execution.facts import Inspection, Lengths, Numbers, SplitFacts
from ftrun.planning.needs import Needed
from ftrun.runs.comparison import losses
from ftrun.runs.folder import RunFolder
from ftrun.runs.results import RunResult
from ftrun.screen.wording import figure

MOST_ROWS = 20
"""Rows that are shown on a terminal."""
LONGEST_CELL = 120
"""Characters of a cell that are shown."""
MOST_CLASSES = 20
"""Classes that get a row each; of more, the largest are shown."""


def inspection_tables(inspection: Inspection) -> RenderableType:
    """Rows and lengths by split, the balance of the labels, and the size of the model."""
    model = f"{inspection.parameters:,} parameters"
    if inspection.trainable != inspection.parameters:
        model += f", {inspection.trainable:,} of them trained"
    if inspection.max_length is not None:
        by = ", by its max_length" if inspection.is_cut_by_setting else ""
        model += f"; rows are cut after {inspection.max_length:,} tokens by the model{by}"
    if not any(split.lengths for split in inspection.splits):
        model += "; the model does not tell how many tokens rows have"
    parts = [_splits(inspection.splits), _labels(inspection.splits), model]
    return Group(*(part for part in parts if part is not None))


def needs_table(needs: Sequence[Needed]) -> Table:
    """What an experiment needs, whether it is on this machine, and how to get what is not."""
    table = _table("for", "needs", "here", "how to get it", left=4)
    for needed in needs:
        need = needed.need or Need("nothing else", True)
        here = {True: Text("\N{CHECK MARK}", "green"), False: Text("missing", "red"), None: Text("not known", "yellow")}
        table.add_row(Text(needed.place), Text(need.what), here[need.here], Text(needed.get or ""))
    return table


def _splits(splits: Sequence[SplitFacts]) -> Table:
    table = _table(
        "split",
        "for",
        "rows",
        "tokens:\nhalf up to",
        "95 %\nup to",
        "longest",
        "cut",
        "loss before\ntraining",
    )
    for split in splits:
        loss = "no labels" if split.loss is None else f"{split.loss:.4f}"
        _add_row(table, split.name, split.context, f"{split.rows:,}", *_lengths(split.lengths), loss)
    return table


def _lengths(lengths: Lengths | None) -> list[str]:
    if lengths is None:
        return ["", "", "", ""]
    cut = "" if lengths.cut is None else f"{lengths.cut / lengths.rows:.1%}"
    return [f"{lengths.median:,}", f"{lengths.most:,}", f"{lengths.longest:,}", cut]


def _labels(every: Sequence[SplitFacts]) -> Table | None:
    splits = [split for split in every if split.labels is not None]
    if not splits:
        return None
    first = splits[0].labels
    assert first is not None
    if isinstance(first, Numbers):
        table = _table("labels", "lowest", "mean", "highest")
        for split in splits:
            if isinstance(split.labels, Numbers):
                numbers = (split.labels.lowest, split.labels.mean, split.labels.highest)
                _add_row(table, split.name, *(f"{number:g}" for number in numbers))
        return table
    assert first is not None
    table = _table("class", *(split.name for split in splits))
    names = sorted(first, key=lambda name: -first[name])[:MOST_CLASSES] if len(first) > MOST_CLASSES else list(first)
    for name in names:
        _add_row(table, name, *(_share(split, name) for split in splits))
    if len(first) > len(names):
        _add_row(table, f"and {len(first) - len(names)} more")
    return table


def _share(split: SplitFacts, name: str) -> str:
    count = split.labels[name] if isinstance(split.labels, Mapping) else 0
    return f"{count:,} ({count / max(split.counted, 1):.1%})"


def rows_table(columns: Mapping[str, Sequence[Any]]) -> RenderableType:
    """The first rows of some columns, with how many more there are."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        table.add_column(Text(name), overflow="fold")
    rows = list(zip(*columns.values(), strict=True))
    for row in rows[:MOST_ROWS]:
        _add_row(table, *map(_shown, row))
    more = len(rows) - MOST_ROWS
    return Group(table, f"and {more:,} more rows; --out FILE writes all of them") if more > 0 else table


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else shorten(str(value), LONGEST_CELL, placeholder=" ...")


def comparison_table(results: Sequence[RunResult]) -> Table:
    """A row a run: what it came to, and whether its loss is the first run's at every step, to the last bit."""
    keys = list(dict.fromkeys(key for result in results for key in result.metrics))
    keys.sort(key=lambda key: key.endswith("loss"))  # the loss last: people read the scores first
    several = len({result.experiment for result in results}) > 1
    table = Table(title="the runs side by side", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for header in (["experiment"] if several else []) + ["backend"]:
        table.add_column(Text(header), overflow="fold")
    for header in (
        *(key.removeprefix("eval/") for key in keys),
        "training\ntime",
        "examples\n/s",
        "same loss at\nevery step",
    ):
        table.add_column(Text(header), justify="right")
    first = losses(RunFolder(results[0].run_folder))
    for result in results:
        names = [result.experiment, result.backend] if several else [result.backend]
        scores = [figure(result.metrics[key]) if key in result.metrics else "" for key in keys]
        speed = f"{result.examples_per_second:.1f}" if result.examples_per_second else ""
        same = _same(result, results[0], first)
        _add_row(table, *names, *scores, f"{result.training_seconds:.1f} s", speed, same)
    return table


def _same(result: RunResult, reference: RunResult, first: Mapping[int, float]) -> str:
    if result is reference:
        return "the first"
    return "yes" if first and losses(RunFolder(result.run_folder)) == first else "no"


def _table(*headers: str, left: int = 1) -> Table:
    """A table whose first columns are words, and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(Text(header), justify="left" if number < left else "right", overflow="fold")
    return table


def _add_row(table: Table, *cells: str) -> None:
    """Cells as they are written: a class may be called "[red]" or ":key:", which rich would read as its own."""
    table.add_row(*map(Text, cells))
