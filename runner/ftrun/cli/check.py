"""`ftrun check FILE...`: everything that can be known to be wrong without training."""

from __future__ import annotations

import click

from ftrun.cli.common import WRONG, experiment_options, load_plan, tell
from ftrun.errors import ExperimentError
from ftrun.plugins import load_catalogue


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@experiment_options
def command(files: tuple[str, ...], profile: str | None, overrides: tuple[str, ...], unset: tuple[str, ...]) -> int:
    """Say all that is wrong with experiment files, without training; exit status 2 if anything is.

    Checks syntax, keys, types and values, that every part is installed, and that files and packages are there. What
    only the data or the Hub knows is found when the run begins.
    """
    catalogue = load_catalogue()
    status = 0
    for path in files:
        try:
            plan = load_plan(path, catalogue, profile, overrides, unset)
        except ExperimentError as error:
            tell(error, path)
            status = WRONG
        else:
            click.echo(f"{path}: {plan.name} on {plan.backend.use}, nothing wrong")
    return status
