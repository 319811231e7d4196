"""`ftrun schema`: the JSON Schema of an experiment file, with the settings of every plugin that is installed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from ftrun.cli import completing
from ftrun.cli.common import open_catalogue, plugin_option
from ftrun.errors import ExperimentError, Problem
from ftrun.planning.schema import DRAFT, experiment_schema
from ftrun.runs.folder import write_whole


@click.command("schema")
@click.option("--out", metavar="FILE", help="Write it there, over an earlier one.", shell_complete=completing.files)
@plugin_option
def command(out: str | None) -> int:
    """Print the JSON Schema of an experiment file, by which an editor completes and checks it.

    It holds the settings of every plugin that is installed: write it anew when these change. An experiment names it in
    its first line:

    \b
      ftrun schema --out schema.json
      #:schema schema.json

    taplo, tombi and the editors that use them read that line; `taplo lint FILE` checks a file by it.
    """
    text = json.dumps(experiment_schema(open_catalogue()), indent=1, ensure_ascii=False) + "\n"
    if out is None:
        click.echo(text, nl=False)
        return 0
    path = Path(out)
    _refuse_other_files(path)
    try:
        write_whole(path, text)
    except OSError as error:
        raise ExperimentError(Problem(f"{out} cannot be written: {error.strerror or error}", "--out")) from None
    click.echo(f"{out}: name it in an experiment's first line: #:schema {path.name}", err=True)
    return 0


def _refuse_other_files(path: Path) -> None:
    """Only a schema is written over."""
    if os.path.exists(path) and not _is_schema(path):  # noqa: PTH110 - Path's own raises for what cannot be a path
        hint = "Name a file that is not there, or an earlier schema."
        raise ExperimentError(Problem(f"{path} is there, and is no schema of ftrun", "--out", hint))


def _is_schema(path: Path) -> bool:
    try:
        if not path.is_file():  # such as a folder, or a pipe, which would have to be waited for
            return False
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(known, dict) and known.get("$schema") == DRAFT
