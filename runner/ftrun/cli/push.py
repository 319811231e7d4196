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
@click.option("--public", is_flag=True, help="Anybody may see it: make it public, or push to one that is.")
def command(run: str, repo: str | None, public: bool) -> int:
    """Put the model of a finished run on the Hugging Face Hub, with its tokenizer and a model card.

    RUN is a run's name, its folder or MLflow's id of it; by its id it is fetched from MLflow if its folder is not here.
    A repository that is not there yet is made, and is private unless --public or `private = false` in the run's [push]
    table says otherwise; without either, one that is public already is refused. Files that the Hub has already make no
    commit. What was pushed goes on the run's record. Exit status 1 if the Hub does not take it; 2 if there is no such
    run, or nothing says where to.
    """
    from ftrun.execution.process import output_redacted
    from ftrun.execution.push import push, push_settings, pushed_sentence, remember_push
    from ftrun.execution.recovery import find_or_fetch
    from ftrun.screen.console import make_console
    from ftrun.screen.watchers import make_watcher

    announce_killed()
    try:
        folder = find_or_fetch(run, RUNS_FOLDER, make_watcher(make_console(stderr=True)))
        settings = push_settings(folder, repo, public)
        with output_redacted():
            uploaded = push(folder, settings)
        click.echo(f"{folder.name}: {pushed_sentence(uploaded)}")
        if sentence := remember_push(folder, uploaded):
            click.secho(f"note: {sentence}", fg="yellow", err=True)
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    return 0
