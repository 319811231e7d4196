"""`ftrun plugins`: who offers what, and what failed and why."""

from __future__ import annotations

import json

import click

from ftrun.contracts import KINDS
from ftrun.planning.catalogue import Catalogue, Plugin, load_catalogue


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of a plugin that failed.")
def command(as_json: bool, traceback: bool) -> int:
    """List every plugin with its distribution, version and components, and what failed and why."""
    catalogue = load_catalogue()
    if as_json:
        click.echo(json.dumps([_as_json(plugin) for plugin in catalogue.plugins], indent=2))
        return 0
    _print_components(catalogue)
    for plugin in catalogue.plugins:
        if plugin.observes:
            click.echo(f"{plugin.distribution} {plugin.version} observes: {', '.join(plugin.observes)}")
        if plugin.failure:
            click.secho(f"failed: {plugin.name} of {plugin.distribution} {plugin.version}: {plugin.failure}", fg="red")
            if traceback and plugin.trace:
                click.echo(plugin.trace)
    return 0


def _print_components(catalogue: Catalogue) -> None:
    rows = [
        (kind, name, offer.provider, offer.component.summary)
        for kind in KINDS
        for name, offers in catalogue.offers(kind).items()
        for offer in offers
    ]
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in range(3)]
    for kind, name, provider, summary in rows:
        click.echo(f"{kind:<{widths[0]}}  {name:<{widths[1]}}  {provider:<{widths[2]}}  {summary}")


def _as_json(plugin: Plugin) -> dict[str, object]:
    return {
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "components": [
            {"kind": component.kind, "name": component.name, "summary": component.summary}
            for component in plugin.components
        ],
        "observes": plugin.observes,
        "failure": plugin.failure,
    }
