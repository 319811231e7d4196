"""`ftrun describe KIND NAME`: what a component, or a table of a file, is and takes."""

from __future__ import annotations

import json

import click

from ftrun.cli import completing
from ftrun.cli.common import WRONG, open_catalogue, plugin_option, tell
from ftrun.errors import ExperimentError
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.described import TABLES, Description, describe, kind_meant, listed, observers
from ftrun.planning.hooks import OBSERVING


@click.command("describe")
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=completing.kinds)
@click.argument("name", required=False, metavar="[NAME]", shell_complete=completing.names)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@plugin_option
def command(kind: str | None, name: str | None, as_json: bool) -> int:
    """Say who provides a component, what its keys hold, and print a table of TOML to paste.

    \b
      ftrun describe                        all there is
      ftrun describe metric                 all of a kind: dataset, model, collator, metric, backend
      ftrun describe metric f1              one of them
      ftrun describe training               a table: training, tracking, push, or experiment, the top level
      ftrun describe training max_steps     one key of it
      ftrun describe observer               who looks on at runs, and by which hooks
    """
    catalogue = open_catalogue()
    if kind and kind.strip("[]").lower() in ("observer", "observers"):
        _observers(catalogue, as_json)
        return 0
    try:
        meant = kind_meant(catalogue, kind) if kind else None
        if meant is None or (name is None and meant not in TABLES):
            _list(catalogue, meant, as_json)
        else:
            _describe(describe(catalogue, meant, name), as_json, whole=name is None or meant not in TABLES)
    except ExperimentError as error:
        tell(error, " ".join(filter(None, ("describe", kind, name))))
        return WRONG
    return 0


def _list(catalogue: Catalogue, kind: str | None, as_json: bool) -> None:
    rows = listed(catalogue, kind)
    if as_json:
        names = ("kind", "name", "provider", "summary")
        click.echo(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2))
        return
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        click.echo("  ".join([*cells, row[3]]))


def _observers(catalogue: Catalogue, as_json: bool) -> None:
    found = observers(catalogue)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo("An observer has no settings, and no file names it: whoever installs its package has it.")
    click.echo(f"Its hooks: {', '.join(OBSERVING)}.")
    for one in found:
        who = f"{one['plugin']} of {one['distribution']} {one['version']}"
        click.echo(f"{who} observes: {', '.join(one['observes'])}")
    if not found:
        click.echo("No plugin here looks on.")


def _describe(description: Description, as_json: bool, whole: bool) -> None:
    if as_json:
        click.echo(json.dumps(description.as_json(), indent=2))
        return
    from ftrun.screen.console import make_console
    from ftrun.screen.describing import description_of

    make_console().print(description_of(description), highlight=False)
    if whole:
        click.echo(description.toml, nl=False)
