"""`ftrun evaluate RUN`: the run's metrics on further rows with labels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import click

from ftrun.cli import completing
from ftrun.cli.common import RowOptions, announce_killed, open_catalogue, plugin_option, row_options, status_of, tell
from ftrun.errors import FtrunError
from ftrun.execution.places import option_places, places_called


@click.command("evaluate")
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.option(
    "--data",
    required=True,
    metavar="FILE|SPLIT",
    help="Rows with labels, as for predict, or a split of the run's data set.",
    shell_complete=completing.files,
)
@click.option("--name", metavar="NAME", help="What the record calls these rows; the split's or the file's if absent.")
@row_options
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
@plugin_option
def command(
    run: str,
    data: str,
    name: str | None,
    as_json: bool,
    rows: RowOptions,
) -> int:
    """Measure a run's model on further rows with labels, by the run's own metrics.

    RUN is as for `ftrun predict`. The numbers of a finished run's own model go on its record, and to MLflow, as
    `eval/NAME/METRIC` at the step of the model; those of a test split that was measured at the run's end are
    `test/METRIC` already. What stands there already stays; a number that comes out otherwise is told.
    """
    announce_killed()
    try:
        with places_called(option_places(rows.device)):
            numbers = _evaluate(run, data, name, rows)
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    if as_json:
        click.echo(json.dumps({key: value if math.isfinite(value) else None for key, value in numbers.items()}))
        return 0
    from ftrun.screen.wording import figure

    width = max(map(len, numbers), default=0)
    for key, value in numbers.items():
        click.echo(f"{key:<{width}}  {figure(value)}")
    return 0


def _evaluate(run: str, data: str, name: str | None, rows: RowOptions) -> Mapping[str, float]:
    from ftrun.execution.evaluation import check_name, measure
    from ftrun.execution.trained import find_trained
    from ftrun.screen.console import make_console
    from ftrun.screen.watchers import make_watcher

    source = rows.source(data)
    check_name(name or source.name or data)  # and again once it is known, before a model is loaded
    watcher = make_watcher(make_console(stderr=True))
    trained = find_trained(run, open_catalogue(), rows.device, watcher=watcher)
    return measure(trained, source, watcher, name)
