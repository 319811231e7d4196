"""`ftrun check FILE...`: everything that can be known to be wrong without training."""

from __future__ import annotations

import json
from functools import partial
from itertools import product

import click

from ftrun.cli import completing
from ftrun.cli.common import (
    WRONG,
    backend_option,
    experiment_options,
    load_plan,
    open_catalogue,
    plugin_option,
    status_of,
    tell,
)
from ftrun.errors import FtrunError
from ftrun.planning.plan import Plan


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completing.experiments)
@click.option("--deep", is_flag=True, help="Open data and model, too, and put one batch through the model.")
@click.option("--offline", is_flag=True, help="Say what of all that it needs is on this machine; asks no network.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="With --offline: one JSON object a file, or a file and backend, on standard output.",
)
@experiment_options
@backend_option("As it would run on this backend; again for several, in turn.")
@plugin_option
def command(
    files: tuple[str, ...],
    deep: bool,
    offline: bool,
    as_json: bool,
    profile: str | None,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    backends: tuple[str, ...],
) -> int:
    """Say all that is wrong with experiment files, without training; exit status 2 if anything is.

    Checks syntax, keys, types and values, that every part is installed, and that files and packages are there. What
    only the data, the model or the Hub knows is found by --deep, which also shows how many rows there are, the balance
    of the labels, lengths, how many rows are cut, and parameters; or else when the run begins.

    With --offline it lists data, checkpoint, tokenizer, scripts and packages, with what is missing on this machine and
    how to get it; exit status 2 if anything is.
    """
    if as_json and not offline:
        raise click.UsageError("--json is for --offline.")
    if deep and offline:
        raise click.UsageError("--deep opens what --offline only looks for: ask for one.")
    catalogue = open_catalogue()
    status = 0
    for path, backend in product(files, backends or (None,)):
        load = partial(load_plan, path, catalogue, profile, overrides, unset, backend=backend)
        try:
            if offline:
                wanted = load(asked=())  # what it names may be missing
                if not _all_here(path, wanted, as_json):
                    status = max(status, WRONG)
                    continue
            plan = load()
            notices = _look_inside(plan) if deep else 0
        except FtrunError as error:
            tell(error, f"{path} on {backend}" if len(backends) > 1 else path)
            status = max(status, status_of(error))
        else:
            told = f"{path}: {plan.name} on {plan.backend.use}, nothing wrong"
            if notices:
                told += f" that would stop a run; see the {f'{notices} notes' if notices > 1 else 'note'}"
            click.echo(told if deep else told + _open_yet(plan), err=as_json)
    return status


def _open_yet(plan: Plan) -> str:
    """What only the data tells, and so is not checked yet, to go on a sentence with; empty where all is known."""
    if plan.task and (plan.task.class_names or plan.task.kind not in ("classification", "multi_label")):
        return ""
    suited = "classes" if plan.task else "task"
    told = f"Only the data tells whether model, metrics and training suit its {suited}"
    return f" so far. {told}: ftrun check --deep looks at it"


def _all_here(path: str, plan: Plan, as_json: bool) -> bool:
    """Show what the plan needs; whether nothing of it is missing."""
    from ftrun.planning.needs import missing, needs_of
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import needs_table

    needs = needs_of(plan)
    lacking = missing(needs)
    if as_json:
        told = {"file": path, "experiment": plan.name, "backend": plan.backend.use, "complete": not lacking}
        click.echo(json.dumps({**told, "needs": [needed.as_json() for needed in needs]}))
    else:
        make_console().print(needs_table(needs))
    if lacking:
        count = "1 thing is" if len(lacking) == 1 else f"{len(lacking)} things are"
        click.secho(f"{path}: {count} missing on this machine", fg="red", bold=True, err=True)
    return not lacking


def _look_inside(plan: Plan) -> int:
    """Show what data and model are; how many sentences a person was told."""
    from ftrun.execution.inspection import inspect
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import inspection_tables
    from ftrun.screen.watchers import make_watcher

    watcher = make_watcher(make_console(stderr=True))
    inspection = inspect(plan, watcher)
    make_console().print(inspection_tables(inspection))
    return watcher.notices
