"""`ftrun plugins`: who offers what, and what failed and why."""

from __future__ import annotations

import json

import click

from ftrun.cli.common import open_catalogue, plugin_option
from ftrun.contracts import KINDS
from ftrun.planning.catalogue import Catalogue, Offer, Plugin


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of a plugin that failed.")
@plugin_option
def command(as_json: bool, traceback: bool) -> int:
    """List every plugin with its distribution, version and components, what failed and why, and what was left out.

    A name that two distributions offer is remarked, with how a file says which is meant: `use = "PACKAGE:NAME"`. A
    plugin that is slow to load, or changes the process as it is loaded, is told by every command.
    """
    catalogue = open_catalogue()
    if as_json:
        click.echo(json.dumps([_as_json(catalogue, plugin) for plugin in catalogue.plugins], indent=2))
        return 0
    _print_components(catalogue)
    for plugin in catalogue.plugins:
        if plugin.left_out:
            click.echo(f"left out by {plugin.left_out}: {plugin.name} of {plugin.distribution} {plugin.version}")
        if plugin.observes:
            twin = sum(
                other.distribution == plugin.distribution and bool(other.observes) for other in catalogue.plugins
            )
            which = f"{plugin.name} of " if twin > 1 else ""
            click.echo(f"{which}{plugin.distribution} {plugin.version} observes: {', '.join(plugin.observes)}")
        if plugin.failure:
            click.secho(f"failed: {plugin.name} of {plugin.distribution} {plugin.version}: {plugin.failure}", fg="red")
            if traceback and plugin.trace:
                click.echo(plugin.trace)
    for sentence in catalogue.collisions():
        click.secho(f"note: {sentence}", fg="yellow")
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


def _as_json(catalogue: Catalogue, plugin: Plugin) -> dict[str, object]:
    offers = [Offer(component, plugin.distribution, plugin.version) for component in plugin.components]
    return {
        "plugin": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "components": [
            {
                "kind": offer.component.kind,
                "name": offer.component.name,
                "use": catalogue.use_of(offer),
                "summary": offer.component.summary,
            }
            for offer in offers
        ],
        "observes": plugin.observes,
        "failure": plugin.failure,
        "left_out": plugin.left_out,
        "notices": plugin.notices,
        "seconds": round(plugin.seconds, 3),
    }
