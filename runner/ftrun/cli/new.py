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

    NAME is the package's, as pip is to call it, such as ftrun-kappa; a file says `use = "kappa"`, or with several kinds
    `use = "kappa-metric"` and so on. What is in it works, and is to be replaced by what is yours.
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


@command.command("experiment")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", metavar="NAME", help="The data set to use; files by default.")
@click.option("--model", metavar="NAME", help="The model; sequence-classification by default.")
@click.option("--collator", metavar="NAME", help="The collator; dynamic-padding by default.")
@click.option("--backend", metavar="NAME", help="The backend; trainer by default.")
@click.option("--metric", "metrics", metavar="NAME", multiple=True, help="A metric; again for several.")
def experiment_command(file: Path, metrics: tuple[str, ...], **named: str | None) -> int:
    """Write an experiment file: keys that must be there with a value to replace, the others as comments.

    `ftrun plugins` lists what there is to use.
    """
    from ftrun.planning.catalogue import load_catalogue
    from ftrun.scaffolding.experiment import new_experiment

    used: dict[Any, Any] = {kind: [name] for kind, name in named.items() if name is not None}
    if metrics:
        used["metric"] = metrics
    try:
        new_experiment(file, load_catalogue(), used)
    except ExperimentError as error:
        tell(error, str(file))
        return WRONG
    click.echo(f"To go on:\n  ftrun check {shlex.quote(str(file))}", err=True)
    return 0
