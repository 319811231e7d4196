"""`ftrun new`: a package or an experiment to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, get_args

import click

from ftrun.cli.common import WRONG, tell
from ftrun.errors import ExperimentError

PLUGIN_KINDS = ("dataset", "model", "collator", "metric", "backend", "observer")


@click.group("new")
def command() -> None:
    """Write a package or an experiment to start from.

    \b
      ftrun new plugin ftrun-kappa --kind metric     a package with a metric, its tests and an experiment
      ftrun new experiment mine.toml                 an experiment file
    """


@command.command("plugin")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(PLUGIN_KINDS),
    multiple=True,
    required=True,
    help="What it is to have; again for several.",
)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to; by default a folder called as the package.")
def plugin_command(name: str, kinds: tuple[Any, ...], folder: Path | None) -> int:
    """Write a plugin's package, which installs, lints, type-checks and passes its own tests as it stands.

    NAME is the package's, as pip is to call it, such as ftrun-kappa; a file says `use = "kappa"`. What is in it works,
    and is to be replaced by what is yours.
    """
    from ftrun.scaffolding.package import PluginKind, new_package

    assert get_args(PluginKind) == PLUGIN_KINDS
    target = folder or Path(name)
    try:
        files = new_package(name, kinds, target)
    except ExperimentError as error:
        tell(error, name)
        return WRONG
    for path in files:
        click.echo(f"  {target / path}", err=True)
    click.echo("To go on:", err=True)
    for line in (
        f"cd {shlex.quote(str(target))}",
        "pip install --editable '.[dev]'",
        "pytest",
        "ftrun experiment.toml",
    ):
        click.echo(f"  {line}", err=True)
    return 0
