"""`ftrun sync RUN`: deliver to MLflow what it has not got of a run."""

from __future__ import annotations

from pathlib import Path

import click

from ftrun.cli.common import WRONG


@click.command("sync")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
def command(runs: tuple[str, ...]) -> int:
    """Deliver to MLflow what it has not got of a run: RUN is a run's name, or its folder."""
    from ftrun.journal import RunFolder
    from ftrun.tracking import deliver

    status = 0
    for run in runs:
        path = next((path for path in (Path(run), Path("runs") / run) if (path / "journal.jsonl").is_file()), None)
        if path is None:
            click.secho(f"{run}: there is no such run here", fg="red", err=True)
            status = WRONG
            continue
        delivery = deliver(RunFolder(path.absolute()))
        if delivery.pending:
            click.secho(
                f"{path.name}: {delivery.pending} records are still pending: {delivery.error}", fg="red", err=True
            )
            status = max(status, 1)
        else:
            click.echo(f"{path.name}: all of it is in MLflow, as {delivery.run_id} at {delivery.uri}")
    return status
