"""`ftrun sync`: deliver to MLflow what it has not got yet."""

from __future__ import annotations

import click

from ftrun.cli import completing
from ftrun.cli.common import WRONG, announce_killed, tell
from ftrun.errors import ExperimentError, FtrunError
from ftrun.runs.folder import RUNS_FOLDER, RunFolder
from ftrun.runs.history import read_history


@click.command("sync")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=completing.runs)
def command(runs: tuple[str, ...]) -> int:
    """Deliver to MLflow what it has not got yet of a run, or of all runs here.

    RUN is a run's name, its folder, or MLflow's name or id of it. Exit status 1 if something is still pending.
    """
    from ftrun.execution.finding import find_run, tracked_runs

    announce_killed()
    status = 0
    folders: list[RunFolder] = []
    for run in runs:
        try:
            folders.append(find_run(run, RUNS_FOLDER))
        except ExperimentError as error:
            tell(error, run)
            status = WRONG
    for folder in folders if runs else tracked_runs(RUNS_FOLDER):
        status = max(status, _sync(folder, quiet=not runs))
    return status


def _sync(folder: RunFolder, quiet: bool) -> int:
    from ftrun.execution.finding import tracking_of
    from ftrun.execution.process import output_redacted
    from ftrun.tracking.sender import deliver
    from ftrun.tracking.state import delivery, is_state_damaged

    name = folder.name
    try:
        if quiet and not delivery(folder).pending:
            return 0
        if not read_history(folder).recorded:
            if not quiet:
                click.echo(f"{name}: it ended before there was anything for MLflow")
            return 0
        tracking = tracking_of(folder)
    except FtrunError as error:
        tell(error, f"{name} cannot be delivered")
        return 1
    anew = is_state_damaged(folder)
    with output_redacted():
        after = deliver(folder, tracking.get("uri"))
    if after.pending:
        click.secho(f"{name}: {after.pending} records are still pending: {after.error}", fg="red", err=True)
        return 1
    if anew:
        click.echo(f"{name}: {folder.tracking_state} cannot be read; delivered anew", err=True)
    click.echo(f"{name}: all of it is in MLflow, as {after.run_id} at {after.uri}")
    return 0
