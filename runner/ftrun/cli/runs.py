"""`ftrun runs`: the runs here at a glance, and to be rid of what nobody needs of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ftrun.cli.common import FAILED, WRONG, announce_killed
from ftrun.runs.folder import RUNS_FOLDER

if TYPE_CHECKING:
    from ftrun.execution.cleaning import Cleaning
    from ftrun.execution.overview import Overview


@click.command("runs")
@click.option("--clean", "cleans", is_flag=True, help="Remove what nobody needs, after saying what and how much.")
@click.option("--yes", is_flag=True, help="With --clean: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(cleans: bool, yes: bool, as_json: bool) -> int:
    """Show the runs here, the newest first: state, backend, the model's metric, steps, size, age, and how many records
    MLflow has not got yet.

    The metric is that of the run's model, or of the last evaluation: the one that the best model is chosen by, or the
    first beside the loss. In a pipe a run is a line of cells between tabs, without a heading: name, state, backend,
    metric, steps, bytes, beginning in seconds since 1970, records pending.

    --clean removes the checkpoints of runs that are finished and in MLflow, and the parts that killed processes left.
    It keeps the model of every run, and all of a run that is going on or can be resumed.
    Exit status 1 if something could not be removed; 2 if nobody is there to be asked and --yes was not said.
    """
    from ftrun.execution.overview import overview

    announce_killed()
    runs, unreadable = overview(RUNS_FOLDER)
    for sentence in unreadable:
        click.secho(sentence, fg="yellow", err=True)
    if cleans:
        return _clean(runs, yes, as_json)
    _show(runs, as_json)
    return 0


def _show(runs: Sequence[Overview], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([run.as_json() for run in runs], indent=2))
        return
    from ftrun.screen.console import make_console
    from ftrun.screen.listing import run_cells, runs_table

    if not sys.stdout.isatty():
        for run in runs:
            click.echo("\t".join(run_cells(run)))
    elif runs:
        make_console().print(runs_table(runs))
    else:
        click.echo("There is no run here. To begin with one: ftrun FILE")


def _clean(runs: Sequence[Overview], yes: bool, as_json: bool) -> int:
    from ftrun.execution.cleaning import clean, plan_cleaning
    from ftrun.screen.listing import cleaning_lines, readable

    cleanings = plan_cleaning(runs)
    for cleaning in cleanings:
        for line in cleaning_lines(cleaning):
            click.echo(line, err=as_json)
    removable = [cleaning for cleaning in cleanings if cleaning.paths]
    freed = sum(cleaning.size for cleaning in removable)
    if removable and not yes and (status := _asked(readable(freed))) is not None:
        return status
    stays = [sentence for cleaning in removable for sentence in clean(cleaning)]
    for sentence in stays:
        click.secho(sentence, fg="red", err=True)
    if as_json:
        click.echo(json.dumps(_facts(cleanings, stays)))
    elif not removable:
        click.echo("There is nothing to remove.")
    elif not stays:
        click.echo(f"{readable(freed)} freed")
    return FAILED if stays else 0


def _asked(size: str) -> int | None:
    """The exit status where it is not to be removed."""
    if not sys.stdin.isatty():
        click.secho(f"nothing is removed, as nobody can be asked: say --yes to remove these {size}", fg="red", err=True)
        return WRONG
    if click.confirm(f"Remove these {size}?", err=True):
        return None
    click.echo("nothing is removed", err=True)
    return 0


def _facts(cleanings: Sequence[Cleaning], stays: Sequence[str]) -> dict[str, object]:
    named = {cleaning.run.folder.name: cleaning for cleaning in cleanings}
    return {
        "removed": {name: list(map(str, cleaning.paths)) for name, cleaning in named.items() if cleaning.paths},
        "bytes": sum(cleaning.size for cleaning in cleanings),
        "kept": {name: cleaning.kept for name, cleaning in named.items() if cleaning.kept},
        "failed": list(stays),
    }
