"""Several runs side by side, and whether their losses are the same at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table

from ftrun.journal import RunFolder, read_journal
from ftrun.results import RunResult


def losses(folder: RunFolder) -> Mapping[int, float]:
    """The training loss of a run at every step."""
    return {
        record["step"]: float(record["values"]["train/loss"])
        for record, _ in read_journal(folder.journal)
        if record["type"] == "metrics" and "train/loss" in record["values"]
    }


def compare(results: Sequence[RunResult]) -> Table:
    """A row a run: what it came to, and whether its loss is the first run's at every step, to the last bit."""
    keys = list(dict.fromkeys(key for result in results for key in result.metrics))
    keys.sort(key=lambda key: key.endswith("loss"))  # the loss last: people read the scores first
    table = Table(title="the runs side by side")
    table.add_column("experiment")
    table.add_column("backend")
    for header in (*keys, "training time", "examples/s", "same loss at every step"):
        table.add_column(header, justify="right")
    first = losses(RunFolder(results[0].run_folder))
    for result in results:
        speed = f"{result.examples_per_second:.1f}" if result.examples_per_second else ""
        cells = [f"{result.metrics[key]:.4f}" if key in result.metrics else "" for key in keys]
        same = _same(result, results[0], first)
        table.add_row(result.experiment, result.backend, *cells, f"{result.training_seconds:.1f} s", speed, same)
    return table


def _same(result: RunResult, reference: RunResult, first: Mapping[int, float]) -> str:
    if result is reference:
        return "the first"
    return "yes" if first and losses(RunFolder(result.run_folder)) == first else "no"
