"""`ftrun check FILE...`: everything that can be known to be wrong without training."""

from __future__ import annotations

import click

from ftrun.cli import completing
from ftrun.cli.common import experiment_options, load_plan, open_catalogue, plugin_option, status_of, tell
from ftrun.errors import FtrunError
from ftrun.planning.plan import Plan


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completing.experiments)
@click.option("--deep", is_flag=True, help="Open data and model, too, and put one batch through the model.")
@experiment_options
@plugin_option
def command(
    files: tuple[str, ...], deep: bool, profile: str | None, overrides: tuple[str, ...], unset: tuple[str, ...]
) -> int:
    """Say all that is wrong with experiment files, without training; exit status 2 if anything is.

    Checks syntax, keys, types and values, that every part is installed, and that files and packages are there. What
    only the data, the model or the Hub knows is found by --deep, which also shows rows, the balance of the labels,
    lengths, how many rows are cut, and parameters; or else when the run begins.
    """
    catalogue = open_catalogue()
    status = 0
    for path in files:
        try:
            plan = load_plan(path, catalogue, profile, overrides, unset)
            if deep:
                _look_inside(plan)
        except FtrunError as error:
            tell(error, path)
            status = max(status, status_of(error))
        else:
            click.echo(f"{path}: {plan.name} on {plan.backend.use}, nothing wrong")
    return status


def _look_inside(plan: Plan) -> None:
    from ftrun.execution.inspection import inspect
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import inspection_tables
    from ftrun.screen.watchers import make_watcher

    inspection = inspect(plan, make_watcher(make_console(stderr=True)))
    make_console().print(inspection_tables(inspection))
