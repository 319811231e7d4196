"""`ftrun predict RUN`: a run's model on rows of a file, of a split, or of one's own."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftrun.cli import completing
from ftrun.cli.common import RowOptions, announce_killed, open_catalogue, plugin_option, row_options, status_of, tell
from ftrun.errors import ExperimentError, FtrunError, Problem
from ftrun.execution.places import option_places, places_called

if TYPE_CHECKING:
    from ftrun.contracts import Task
    from ftrun.execution.row_sources import RowSource
    from ftrun.execution.row_tables import RowTable
    from ftrun.execution.trained import Trained
    from ftrun.execution.watcher import Watcher

AS_TEXT = "\0"
"""What begins an argument that is no option, though it begins with "-"; nothing that a shell hands over has it."""


class Predict(click.Command):
    """Takes what stands behind the text of --text as text, though it begins with "-", unless it is an option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = {name for option in self.get_params(ctx) for name in option.opts}
        return super().parse_args(ctx, list(_second_texts_marked(args, options)))


def _second_texts_marked(args: Sequence[str], options: Collection[str]) -> Iterator[str]:
    before = ["", ""]
    for place, argument in enumerate(args):
        if argument == "--":
            yield from args[place:]
            return
        is_behind = before[0] == "--text" or before[1].startswith("--text=")
        is_option = argument in options or re.fullmatch(r"--[a-z][\w-]*(=.*)?", argument, re.DOTALL)
        yield AS_TEXT + argument if is_behind and argument.startswith("-") and not is_option else argument
        before = [before[1], argument]


@click.command("predict", cls=Predict)
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.argument("second", nargs=-1, metavar="")
@click.option(
    "--data",
    metavar="FILE|SPLIT",
    help="CSV, TSV, JSON, Parquet, or what the run's data set reads; or a split of it.",
    shell_complete=completing.files,
)
@click.option(
    "--out", metavar="FILE", help="Where to write, in the form that the name ends in.", shell_complete=completing.files
)
@click.option("--overwrite", is_flag=True, help="Replace what --out names, if it is there.")
@click.option("--text", "texts", metavar='"..." ["..."]', multiple=True, help="Text of your own; again for several.")
@row_options
@click.option("--glue-submission", "submission", metavar="FOLDER", help="Write what GLUE takes of its test splits.")
@plugin_option
def command(
    run: str,
    second: tuple[str, ...],
    data: str | None,
    out: str | None,
    overwrite: bool,
    texts: tuple[str, ...],
    submission: str | None,
    rows: RowOptions,
) -> int:
    """Predict with a run's model: the input's columns as they are written, and beside them `prediction` and for each
    class `probability_CLASS`.

    RUN is a run's name, its folder, MLflow's id of it, the folder of its model or of a checkpoint, or a folder that
    `save_pretrained` wrote. By MLflow's id, `runs:/ID/model` or `models:/NAME/VERSION` the model is fetched from
    MLflow if the run's folder is not here. Rows need no label. Without --out a table is shown on a terminal; in a pipe
    it is CSV for CSV and else JSON, one object a line.

    \b
      ftrun predict RUN --data new.csv --out predicted.csv
      ftrun predict RUN --data validation                       the run's own split
      ftrun predict RUN --text "One sentence." "Another one."   a pair; --text again for the next
      ftrun predict RUN --glue-submission FOLDER                GLUE's hidden test splits
    """
    announce_killed()
    try:
        with places_called(option_places(rows.device)):
            from ftrun.execution.row_tables import check_writable
            from ftrun.execution.trained import find_trained
            from ftrun.screen.console import make_console
            from ftrun.screen.watchers import make_watcher

            if data and second and not texts:
                raise _beside(data, second)
            pairs = _pairs(texts, [text.removeprefix(AS_TEXT) for text in second])
            if sum(map(bool, (data, pairs, submission))) != 1:
                raise ExperimentError(Problem("say what to predict: one of --data, --text and --glue-submission"))
            source = rows.source(data or pairs)
            file, target = source.file, Path(out).expanduser() if out else None
            if target:  # and a file that is not there is told, too, before a model is fetched
                check_writable(target, file, overwrite)
            watcher = make_watcher(make_console(stderr=True))
            trained = find_trained(run, open_catalogue(), rows.device, watcher=watcher)
            if submission:
                _submit(trained, Path(submission), watcher)
            else:
                _predict(trained, source, target, watcher)
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    return 0


def _beside(data: str, second: Sequence[str]) -> ExperimentError:
    """What to do where --data is followed by more than one name, as by a pattern of the shell's."""
    message = f"there is {second[0]!r} beside --data {data!r}, which names one file or split"
    hint = "Say it once for each file; some data sets read a folder, too. A name with spaces is quoted."
    return ExperimentError(Problem(message, "--data", hint))


def _pairs(texts: Sequence[str], second: Sequence[str]) -> list[tuple[str, ...]]:
    """The texts of each row: those of --text, and behind each the second of a pair, where there are pairs."""
    if second and len(second) != len(texts):
        message = f"there is {second[0]!r} beside RUN, and it is no second text of a pair"
        raise ExperimentError(Problem(message, hint='Pairs: ftrun predict RUN --text "..." "..." --text "..." "...".'))
    return list(zip(texts, second, strict=True)) if second else [(text,) for text in texts]


def _predict(trained: Trained, source: RowSource, out: Path | None, watcher: Watcher) -> None:
    from ftrun.execution.row_sources import predict_rows
    from ftrun.execution.row_tables import check_rows_writable, write_rows

    check = (lambda table, task: check_rows_writable(table, out)) if out else _check_shown
    table, added = predict_rows(trained, source, watcher, check)
    if out:
        write_rows(table, added, out)
        click.echo(f"{len(table):,} {'row' if len(table) == 1 else 'rows'} predicted: {out}", err=True)
    else:
        _show(table, added)


def _check_shown(table: RowTable, task: Task) -> None:
    from ftrun.execution.row_tables import check_shown

    if not sys.stdout.isatty() and _suffix_shown(table) != ".jsonl":
        check_shown(table, task.class_names or (), sys.stdout)


def _suffix_shown(table: RowTable) -> str:
    """How rows are written to a pipe."""
    return table.suffix if table.suffix in (".csv", ".tsv") else ".jsonl"


def _show(table: RowTable, added: Mapping[str, Sequence[Any]]) -> None:
    from ftrun.execution.row_tables import write_text
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import rows_table

    if sys.stdout.isatty():
        make_console().print(rows_table({**table.columns, **added}))
        return
    write_text(table, added, sys.stdout, _suffix_shown(table))


def _submit(trained: Trained, folder: Path, watcher: Watcher) -> None:
    from ftrun.execution.glue_submission import check_submission, write_submission
    from ftrun.execution.prediction import predicting

    check_submission(trained.task)
    with predicting(trained, watcher) as predictor:
        for path in write_submission(predictor, folder):
            click.echo(str(path))
