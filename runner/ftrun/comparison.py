"""Several runs side by side, and whether their losses are the same at every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
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
    several = len({result.experiment for result in results}) > 1
    table = Table(title="the runs side by side", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for header in (["experiment"] if several else []) + ["backend"]:
        table.add_column(header, overflow="fold")
    for header in (
        *(key.removeprefix("eval/") for key in keys),
        "training\ntime",
        "examples\n/s",
        "same loss at\nevery step",
    ):
        table.add_column(header, justify="right")
    first = losses(RunFolder(results[0].run_folder))
    for result in results:
        names = [result.experiment, result.backend] if several else [result.backend]
        scores = [f"{result.metrics[key]:.4f}" if key in result.metrics else "" for key in keys]
        speed = f"{result.examples_per_second:.1f}" if result.examples_per_second else ""
        same = _same(result, results[0], first)
        table.add_row(*names, *scores, f"{result.training_seconds:.1f} s", speed, same)
    return table


def _same(result: RunResult, reference: RunResult, first: Mapping[int, float]) -> str:
    if result is reference:
        return "the first"
    return "yes" if first and losses(RunFolder(result.run_folder)) == first else "no"
