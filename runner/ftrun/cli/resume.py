"""`ftrun resume RUN`: go on with a run that stopped."""

from __future__ import annotations

import click

from ftrun.cli import completing
from ftrun.cli.common import WRONG, announce_killed, open_catalogue, plugin_option, tell
from ftrun.cli.run import run_all
from ftrun.errors import ExperimentError, RunError, RunFinishedError
from ftrun.planning.experiment import with_backend
from ftrun.planning.layers import parse_override


@click.command("resume")
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.option(
    "--backend",
    metavar="NAME",
    help="Go on with another backend: with ftrun's own ones the curve is the same; else with --allow-changes.",
    shell_complete=completing.backends,
)
@click.option(
    "--profile",
    metavar="NAME",
    help="With an experiment file: its profile; that of the run if absent.",
    shell_complete=completing.profiles,
)
@click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change one key, with --allow-changes.",
    shell_complete=completing.settings,
)
@click.option(
    "--unset",
    metavar="KEY",
    multiple=True,
    help="Take one key out, with --allow-changes.",
    shell_complete=completing.keys,
)
@click.option(
    "--allow-changes", is_flag=True, help="Go on though settings, packages, data or machine have changed; recorded."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output, all else on standard error.")
@plugin_option
def command(
    run: str,
    backend: str | None,
    profile: str | None,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    allow_changes: bool,
    as_json: bool,
) -> int:
    """Go on with a run that was interrupted, killed or failed, from its newest whole checkpoint.

    RUN is a run's name, its folder, MLflow's name or id of it, or an experiment file for its latest unfinished run. It
    is the same run in MLflow, and ends with the weights, metrics and history of one that was never disturbed; so what
    its numbers depend on must be as it was. Exit status as that of `ftrun run`; 0, too, if the run is finished already.
    """
    from ftrun.execution.resumption import plan_resumption

    announce_killed()
    catalogue = open_catalogue()
    try:
        chosen = with_backend(dict(map(parse_override, overrides)), backend)
        plan, resumption = plan_resumption(
            run, catalogue, chosen, allow_changes=allow_changes, profile=profile, unset=unset
        )
    except ExperimentError as error:
        tell(error, run)
        return WRONG
    except RunFinishedError as finished:
        click.echo(str(finished), err=True)
        return 0
    except RunError as error:  # its journal is a later version's
        tell(error, run)
        return 1
    return run_all([(plan, resumption)], catalogue, as_json)
