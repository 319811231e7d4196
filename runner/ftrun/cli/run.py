"""`ftrun run FILE...`: the experiments in order, going on after a failure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ftrun.cli import completing
from ftrun.cli.common import (
    WRONG,
    announce_killed,
    backend_option,
    experiment_options,
    load_plan,
    open_catalogue,
    plugin_option,
    status_of,
    tell,
)
from ftrun.errors import ExperimentError, FtrunError, RunFinishedError
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.plan import Plan

if TYPE_CHECKING:
    from ftrun.execution.beginning import Beginning


@click.command("run")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", shell_complete=completing.experiments)
@experiment_options
@backend_option("Run on this backend; again for several, in turn.")
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a run on standard output, all else on standard error."
)
@plugin_option
def command(
    files: tuple[str, ...],
    profile: str | None,
    overrides: tuple[str, ...],
    unset: tuple[str, ...],
    backends: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run experiments in order, going on after a failure; several are compared in a table at the end.

    All files are checked before the first one runs. Exit status: 0 all done; 1 a run failed; 2 a file, an option or a
    part is wrong; 130 interrupted, 143 terminated, 129 hung up (a checkpoint is written first).
    """
    catalogue = open_catalogue()
    plans: list[Plan] = []
    wrong = False
    for path in files:
        for backend in backends or (None,):
            try:
                plans.append(load_plan(path, catalogue, profile, overrides, unset, backend=backend))
            except ExperimentError as error:
                tell(error, path)
                wrong = True
    if wrong:
        return WRONG
    announce_killed()
    from ftrun.execution.beginning import FreshStart

    return run_all([(plan, FreshStart(plan)) for plan in plans], catalogue, as_json)


def run_all(plans: Sequence[tuple[Plan, Beginning]], catalogue: Catalogue, as_json: bool) -> int:
    """Execute plans in order, show how each ended and all side by side, and give the worst exit status."""
    from ftrun.execution.story import execute
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import comparison_table
    from ftrun.screen.watchers import make_watcher
    from ftrun.screen.wording import open_mlflow

    console = make_console(stderr=as_json)
    worst = 0
    results = []
    for plan, beginning in plans:
        try:
            outcome = execute(plan, catalogue, make_watcher(console), beginning)
        except RunFinishedError as finished:
            click.echo(str(finished), err=True)
            continue
        except FtrunError as error:
            tell(error, str(plan.path))
            worst = max(worst, status_of(error))
            continue
        if outcome.problem:
            tell(outcome.problem, str(plan.path))
        if as_json:
            print(json.dumps(outcome.result.as_json()), flush=True)
        if outcome.signal is not None:  # also where the run had reached its end: the others are not wanted
            return 128 + outcome.signal
        results.append(outcome.result)
        if outcome.result.status != "FINISHED":
            worst = max(worst, status_of(outcome.problem))
    if len(results) > 1:
        console.print(comparison_table(results))
        for result in [result for result in results if result.tracking_uri][-1:]:
            told = f"see the curves: {open_mlflow(result)}"
            console.print(told, highlight=False, soft_wrap=True, markup=False, emoji=False)
    return worst
