"""`ftrun run FILE...`: the experiments in order, going on after a failure."""

from __future__ import annotations

import json
import sys

import click

from ftrun.cli.common import WRONG, experiment_options, load_plan, tell
from ftrun.errors import ExperimentError, FtrunError
from ftrun.plan import Plan
from ftrun.plugins import load_catalogue


@click.command("run")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@experiment_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run on standard output, all else on standard error.")
def command(files: tuple[str, ...], profile: str | None, overrides: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> int:
    """Run experiments in order, going on after a failure.

    All files are checked before the first one runs. Exit status: 0 all done; 1 a run failed; 2 a file, an option or a
    part is wrong; 130 interrupted, 143 terminated (a checkpoint is written first).
    """
    catalogue = load_catalogue()
    plans: list[Plan] = []
    for path in files:
        try:
            plans.append(load_plan(path, catalogue, profile, overrides, unset))
        except ExperimentError as error:
            tell(error, path)
    if len(plans) < len(files):
        return WRONG

    from rich.console import Console

    from ftrun.execution import execute
    from ftrun.progress import make_watcher

    console = Console(stderr=as_json)
    worst = 0
    for plan in plans:
        try:
            outcome = execute(plan, catalogue, make_watcher(console))
        except FtrunError as error:
            tell(error, str(plan.path))
            worst = max(worst, 1)
            continue
        if outcome.problem:
            tell(outcome.problem, str(plan.path))
        if as_json:
            print(json.dumps(outcome.result.as_json()), flush=True)
        if outcome.exit_status > 128:
            return outcome.exit_status
        worst = max(worst, outcome.exit_status)
    sys.stdout.flush()
    return worst
