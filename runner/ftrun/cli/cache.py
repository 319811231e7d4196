"""`ftrun cache`: what tokenized data, and models from MLflow, take on this disk, and to be rid of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from ftrun.execution.encoded_cache import LIMIT_BYTES, Entry, clear, encoded_cache_folder, entries
from ftrun.runs.folder import RunFolder
from ftrun.runs.glance import size_of
from ftrun.screen.listing import readable
from ftrun.tracking.fetching import fetched_folder, fetched_runs, forget

SHOWN = 10
"""Entries that are listed; the rest are counted."""


@click.group("cache", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Show what tokenized data takes on this disk.

    A run tokenizes its data once and keeps the result; the next run with the same rows, the same tokenizer and the
    same packages takes it from there. What is kept depends on nothing else: not on the split's name, the backend or
    [training]. At most 20 GiB are kept, and the least recently used goes first; nothing is lost with it but the time
    to tokenize again.

    \b
      ftrun cache            where it is, what it takes, and what was used last
      ftrun cache clear      remove all of it but what a run is using now

    It is below HF_DATASETS_CACHE or HF_HOME where these are set, beside what the datasets library keeps itself,
    which is left alone. The models that were fetched from MLflow for runs whose folder is not here, at most ten, are
    shown and cleared, too.
    """
    if context.invoked_subcommand is None:
        _show(as_json)
    return 0


@command.command("clear")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def clear_command(as_json: bool) -> int:
    """Remove all tokenized data but what a run is using now, and say how much that freed.

    Models that were fetched from MLflow go, too. Exit status 1 if something could not be removed.
    """
    folder = encoded_cache_folder()
    removed, kept = clear(folder)
    models = fetched_runs()
    size = sum(size_of(run.path) for run in models)
    for run in models:
        forget(run)
    if as_json:
        facts = {"folder": str(folder), "freed": _bytes(removed), "removed": len(removed), "kept": len(kept)}
        facts |= {"models": len(models), "models_freed": size}
        click.echo(json.dumps(facts))
        return 1 if kept else 0
    click.echo(f"{folder}: {_counted(removed)} removed, {readable(_bytes(removed))} freed")
    if models:
        click.echo(f"{fetched_folder()}: {_models(models)} removed, {readable(size)} freed")
    if kept:
        click.echo(f"{_counted(kept)} kept, {readable(_bytes(kept))}: in use by a run, or not to be removed", err=True)
    return 1 if kept else 0


def _show(as_json: bool) -> None:
    folder = encoded_cache_folder()
    found = sorted(entries(folder), key=lambda entry: entry.used, reverse=True)
    models = fetched_runs()
    size = sum(size_of(run.path) for run in models)
    if as_json:
        facts: dict[str, Any] = {"folder": str(folder), "bytes": _bytes(found), "limit": LIMIT_BYTES}
        facts["models"] = {"folder": str(fetched_folder()), "bytes": size, "runs": [run.name for run in models]}
        click.echo(json.dumps({**facts, "entries": [_as_json(entry) for entry in found]}, indent=2))
        return
    click.echo(f"{folder}: {_counted(found)}, {readable(_bytes(found))} of at most {readable(LIMIT_BYTES)}")
    if models:
        click.echo(f"{fetched_folder()}: {_models(models)}, {readable(size)}")
    if not found:
        click.echo("The next run keeps its tokenized data there.")
        return
    _print_table([("last used", "size", "rows", "split", "data set", "model"), *map(_row, found[:SHOWN])])
    if len(found) > SHOWN:
        click.echo(f"and {len(found) - SHOWN:,} more, {readable(_bytes(found[SHOWN:]))}")
    click.echo("To remove all of it: ftrun cache clear")


def _row(entry: Entry) -> tuple[str, ...]:
    about = entry.about
    used = datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
    if not about:
        return (used, readable(entry.size), "", "", "(not whole)", "")
    rows = about.get("rows")
    told = [str(about.get(name, "")) for name in ("split", "data", "model")]
    return (used, readable(entry.size), f"{rows:,}" if isinstance(rows, int) else "", *told)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (1, 2) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


def _as_json(entry: Entry) -> dict[str, Any]:
    told = {name: entry.about.get(name) for name in ("data", "split", "rows", "model")}
    used = datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds")
    return {"key": entry.folder.name, "bytes": entry.size, "last_used": used, **told}


def _counted(found: Sequence[Entry]) -> str:
    return f"{len(found):,} tokenized {'split' if len(found) == 1 else 'splits'}"


def _models(found: Sequence[RunFolder]) -> str:
    return f"{len(found):,} {'model' if len(found) == 1 else 'models'} from MLflow"


def _bytes(found: Sequence[Entry]) -> int:
    return sum(entry.size for entry in found)
