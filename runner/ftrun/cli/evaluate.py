"""`ftrun evaluate RUN`: the run's metrics on further rows with labels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import click

from ftrun.cli import completing
from ftrun.cli.common import announce_killed, open_catalogue, plugin_option, status_of, tell
from ftrun.errors import FtrunError
from ftrun.execution.places import option_places, places_called


@click.command("evaluate")
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.option(
    "--data",
    required=True,
    metavar="FILE|SPLIT",
    help="Rows with labels, or a split of the run's data set.",
    shell_complete=completing.files,
)
@click.option("--name", metavar="NAME", help="What the record calls these rows; the split's or the file's if absent.")
@click.option("--text-column", "text_columns", metavar="NAME", multiple=True, help="The data's column of text.")
@click.option("--delimiter", metavar="CHARACTER", help="Between cells of CSV and TSV; as in the training if absent.")
@click.option("--encoding", metavar="NAME", help="Of CSV and TSV; as in the training if absent.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="The best one if absent.")
@click.option("--json", "as_json", is_flag=True, help="The numbers as one JSON object.")
@plugin_option
def command(
    run: str,
    data: str,
    name: str | None,
    text_columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    device: str | None,
    as_json: bool,
) -> int:
    """Measure a run's model on further rows with labels, by the run's own metrics.

    RUN is as for `ftrun predict`. The numbers of a finished run's own model go on its record, and to MLflow, as
    `eval/NAME/METRIC` at the step of the model; those of a test split that was measured at the run's end are
    `test/METRIC` already. What stands there already stays; a number that comes out otherwise is told.
    """
    announce_killed()
    try:
        with places_called(option_places(device)):
            numbers = _evaluate(run, data, name, text_columns, delimiter, encoding, device)
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    if as_json:
        click.echo(json.dumps({key: value if math.isfinite(value) else None for key, value in numbers.items()}))
        return 0
    width = max(map(len, numbers), default=0)
    for key, value in numbers.items():
        click.echo(f"{key:<{width}}  {value:.4f}")
    return 0


def _evaluate(
    run: str,
    data: str,
    name: str | None,
    text_columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    device: str | None,
) -> Mapping[str, float]:
    from ftrun.execution.evaluation import check_name, measure
    from ftrun.execution.row_sources import RowSource
    from ftrun.execution.trained import find_trained
    from ftrun.screen.console import make_console
    from ftrun.screen.watchers import make_watcher

    source = RowSource(data, text_columns, delimiter, encoding)
    called = name or source.name or data
    check_name(called)
    watcher = make_watcher(make_console(stderr=True))
    trained = find_trained(run, open_catalogue(), device, watcher=watcher)
    return measure(trained, source, watcher, called)
