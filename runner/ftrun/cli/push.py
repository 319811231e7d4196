"""`ftrun push RUN`: put a run's model on the Hugging Face Hub."""

from __future__ import annotations

import click

from ftrun.cli import completing
from ftrun.cli.common import announce_killed, status_of, tell
from ftrun.errors import FtrunError
from ftrun.runs.folder import RUNS_FOLDER


@click.command("push")
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.option("--repo", metavar="USER/NAME", help="The repository; that of the run's [push] table if absent.")
def command(run: str, repo: str | None) -> int:
    """Put the model of a finished run on the Hugging Face Hub, with its tokenizer and a model card.

    RUN is a run's name, its folder or MLflow's id of it. A repository that is not there yet is made, and is private
    unless the run's file says `private = false` in its [push] table. Files that the Hub has already make no commit.
    Exit status 1 if the Hub does not take it; 2 if there is no such run, or nothing says where to.
    """
    from ftrun.execution.finding import find_run
    from ftrun.execution.process import output_redacted
    from ftrun.execution.push import push, push_settings, pushed_sentence

    announce_killed()
    try:
        folder = find_run(run, RUNS_FOLDER)
        settings = push_settings(folder, repo)
        with output_redacted():
            uploaded = push(folder, settings)
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    click.echo(f"{folder.name}: {pushed_sentence(uploaded)}")
    return 0
