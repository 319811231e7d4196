"""A run in a few lines of Markdown, as MLflow's page of it shows them: its result, and the command to go on with."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from ftrun.runs.folder import RunFolder


def description(
    state: str,
    purpose: str,
    command: str,
    metrics: Mapping[str, float] | None = None,
    best_checkpoint: str | None = None,
) -> str:
    """The description of a run.

    Args:
        state: That it is under way, or how it ended, in words.
        purpose: What the command is for, such as "to go on".
        command: What goes on with it, or repeats it.
        metrics: Of the model's evaluation, by MLflow's keys (`eval/f1`), and of its test (`test/f1`).
        best_checkpoint: The folder's name of the best evaluation's checkpoint, where there is one.
    """
    best = f"Best checkpoint: `{best_checkpoint}`" if best_checkpoint else ""
    parts = [f"{_sentence(state)}.", _table(metrics or {}), best, f"{_sentence(purpose)}:", f"    {command}"]
    return "\n\n".join(filter(None, parts))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".")


def resume_command(folder: RunFolder) -> str:
    """What goes on with a run, from any folder."""
    return f"ftrun resume {shlex.quote(str(folder.path))}"


def repeat_command(folder: RunFolder) -> str:
    """What runs a run's settings again, in any folder."""
    return f"ftrun {shlex.quote(str(folder.experiment))}"


def _table(metrics: Mapping[str, float]) -> str:
    rows = [f"| {key} | {value:.4f} |" for key, value in metrics.items()]
    return "\n".join(["| metric | value |", "| --- | ---: |", *rows]) if rows else ""
