"""What the commands share: their options, and how problems are told."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ftrun.cli import completing
from ftrun.contracts import KINDS, Kind
from ftrun.errors import ExperimentError, FtrunError, Problem
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.choice import OPTION, VARIABLE, Choice
from ftrun.planning.experiment import load_experiment, with_backend
from ftrun.planning.layers import parse_override
from ftrun.planning.plan import Plan, make_plan

if TYPE_CHECKING:
    from ftrun.execution.row_sources import RowSource

F = TypeVar("F", bound=Callable[..., Any])

WRONG = 2
"""Exit status where the file, an option or a part is wrong."""
FAILED = 1
"""Exit status where a sound experiment could not be run to its end."""


def status_of(error: FtrunError | None) -> int:
    """The exit status for an error; that of a fault of ours, which is none, is that of a failed run."""
    return WRONG if isinstance(error, ExperimentError) else FAILED


def experiment_options(function: F) -> F:
    """Adds --profile, --set and --unset."""
    options = [
        click.option(
            "--profile",
            metavar="NAME",
            help="Lay the file's [profile.NAME] over it.",
            shell_complete=completing.profiles,
        ),
        click.option(
            "--set",
            "overrides",
            metavar="KEY=VALUE",
            multiple=True,
            help="Set one key, such as training.max_steps=20.",
            shell_complete=completing.settings,
        ),
        click.option("--unset", metavar="KEY", multiple=True, help="Take one key out.", shell_complete=completing.keys),
    ]
    return _with_options(function, options)


def backend_option(told: str) -> Callable[[F], F]:
    """Adds --backend, which may be given several times, as `backends`.

    Args:
        told: Its help.
    """
    return click.option(
        "--backend", "backends", metavar="NAME", multiple=True, help=told, shell_complete=completing.backends
    )


def row_options(function: F) -> F:
    """Adds how rows are read that a run's model is put to, and where: --text-column, --delimiter, --encoding,
    --quoting, --device.

    The command is given them together, as `rows`.
    """

    @functools.wraps(function)
    def gathered(
        *arguments: Any,
        text_columns: tuple[str, ...],
        delimiter: str | None,
        encoding: str | None,
        quoting: bool | None,
        device: str | None,
        **others: Any,
    ) -> Any:
        return function(*arguments, rows=RowOptions(text_columns, delimiter, encoding, quoting, device), **others)

    as_trained = "as in the training if absent."
    options = [
        click.option("--text-column", "text_columns", metavar="NAME", multiple=True, help="The data's column of text."),
        click.option("--delimiter", metavar="CHARACTER", help=f"Between cells of CSV and TSV; {as_trained}"),
        click.option("--encoding", metavar="NAME", help=f"Of CSV and TSV; {as_trained}"),
        click.option(
            "--quoting", type=bool, metavar="BOOLEAN", help=f'Whether " encloses cells of these; {as_trained}'
        ),
        click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="The best one if absent."),
    ]
    return cast(F, _with_options(gathered, options))


@dataclass(frozen=True)
class RowOptions:
    """What `row_options` gives a command; None for what is as in the training, and for the best device."""

    text_columns: tuple[str, ...]
    delimiter: str | None
    encoding: str | None
    quoting: bool | None
    device: str | None

    def source(self, rows: Any) -> RowSource:
        """The rows of a file or split, or of one's own."""
        from ftrun.execution.row_sources import RowSource

        return RowSource(rows, self.text_columns, self.delimiter, self.encoding, self.quoting)


def _with_options(function: F, options: Sequence[Callable[[F], F]]) -> F:
    """Adds options, to be shown in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def plugin_option(function: F) -> F:
    """Adds --no-plugin, which `open_catalogue` obeys."""

    def keep(context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]) -> None:
        context.meta[OPTION] = names

    option = click.option(
        OPTION,
        metavar="NAME",
        multiple=True,
        expose_value=False,
        callback=keep,
        help=f"Leave out a distribution's plugins; again for several. {VARIABLE} names those that may load.",
        shell_complete=completing.distributions,
    )
    return option(function)


def open_catalogue() -> Catalogue:
    """The catalogue without the plugins that the command leaves out, here and in the processes that it begins.

    What a person should know of how plugins were loaded goes to standard error.

    Raises:
        ExperimentError: If a plugin is to be left out that is not installed.
    """
    context = click.get_current_context(silent=True)
    catalogue = load_catalogue(Choice.of(os.environ, context.meta.get(OPTION, ()) if context else ()))
    if catalogue.choice.without:
        names = [plugin.distribution for plugin in catalogue.plugins]
        os.environ[VARIABLE] = catalogue.choice.as_variable(names) or ""
    for sentence in catalogue.notices:
        click.secho(f"note: {sentence}", fg="yellow", err=True)
    return catalogue


def load_plan(
    path: str,
    catalogue: Catalogue,
    profile: str | None,
    overrides: Sequence[str],
    unset: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    backend: str | None = None,
    asked: Collection[Kind] = KINDS,
) -> Plan:
    """The plan of a file with the command's options.

    Raises:
        ExperimentError: If anything about it is wrong.
    """
    chosen = with_backend(dict(map(parse_override, overrides)), backend)
    experiment = load_experiment(Path(path), profile, chosen, unset)
    return make_plan(experiment, catalogue, environ, asked=asked)


def announce_killed() -> None:
    """Say of every run here whose process is gone that it was killed, and have MLflow know."""
    from ftrun.execution.finding import mark_killed_runs
    from ftrun.runs.folder import RUNS_FOLDER

    for folder in mark_killed_runs(RUNS_FOLDER):
        name = folder.name
        click.secho(f"{name} was killed; to go on with it: ftrun resume {name}", fg="yellow", err=True)


def tell(error: FtrunError, about: str) -> None:
    """Print problems on standard error: a heading, then each with its place and what to do."""
    count = len(error.problems)
    click.secho(f"{about}: {count} {'problem' if count == 1 else 'problems'}", fg="red", bold=True, err=True)
    for problem in error.problems:
        _tell_one(problem, about)


def _tell_one(problem: Problem, about: str) -> None:
    place = click.style(problem.place, bold=True) + ": " if problem.place else ""
    origin = f" ({problem.origin})" if problem.origin and problem.origin != about else ""
    click.echo(f"  {place}{problem.message}{origin}", err=True)
    if problem.hint:
        click.echo(f"      {problem.hint}", err=True)
