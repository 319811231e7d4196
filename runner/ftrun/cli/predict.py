"""`ftrun predict RUN`: a run's model on rows of a file, of a split, or of one's own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftrun.cli import completing
from ftrun.cli.common import announce_killed, open_catalogue, plugin_option, status_of, tell
from ftrun.errors import ExperimentError, FtrunError, Problem

if TYPE_CHECKING:
    from ftrun.execution.row_tables import RowTable
    from ftrun.execution.trained import Trained


@click.command("predict")
@click.argument("run", metavar="RUN", shell_complete=completing.runs)
@click.argument("second", nargs=-1, metavar="")
@click.option(
    "--data",
    metavar="FILE|SPLIT",
    help="CSV, TSV, JSON or Parquet, or a split of the run's data set.",
    shell_complete=completing.files,
)
@click.option(
    "--out", metavar="FILE", help="Where to write, in the form that the name ends in.", shell_complete=completing.files
)
@click.option("--text", "texts", metavar='"..." ["..."]', multiple=True, help="Text of your own; again for several.")
@click.option("--text-column", "text_columns", metavar="NAME", multiple=True, help="The data's column of text.")
@click.option("--delimiter", metavar="CHARACTER", help="Between cells of CSV and TSV; as in the training if absent.")
@click.option("--encoding", metavar="NAME", help="Of CSV and TSV; as in the training if absent.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), help="The best one if absent.")
@click.option("--glue-submission", "submission", metavar="FOLDER", help="Write what GLUE takes of its test splits.")
@plugin_option
def command(
    run: str,
    second: tuple[str, ...],
    data: str | None,
    out: str | None,
    texts: tuple[str, ...],
    text_columns: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    device: str | None,
    submission: str | None,
) -> int:
    """Predict with a run's model: the input's columns as they are written, and beside them `prediction` and for each
    class `probability_CLASS`.

    RUN is a run's name, its folder, MLflow's id of it, the folder of its model or of a checkpoint, or a folder that
    `save_pretrained` wrote. Rows need no label. Without --out a table is shown on a terminal; in a pipe it is CSV for
    CSV and else JSON, one object a line.

    \b
      ftrun predict RUN --data new.csv --out predicted.csv
      ftrun predict RUN --data validation                       the run's own split
      ftrun predict RUN --text "One sentence." "Another one."   a pair; --text again for the next
      ftrun predict RUN --glue-submission FOLDER                GLUE's hidden test splits
    """
    announce_killed()
    try:
        from ftrun.execution.trained import find_trained

        pairs = _pairs(texts, second)
        if sum(map(bool, (data, pairs, submission))) != 1:
            raise ExperimentError(Problem("say what to predict: one of --data, --text and --glue-submission"))
        trained = find_trained(run, open_catalogue(), device)
        if submission:
            _submit(trained, Path(submission))
        else:
            _predict(
                trained,
                data,
                pairs,
                Path(out) if out else None,
                text_columns,
                {"delimiter": delimiter, "encoding": encoding},
            )
    except FtrunError as error:
        tell(error, run)
        return status_of(error)
    return 0


def _pairs(texts: Sequence[str], second: Sequence[str]) -> list[tuple[str, ...]]:
    """The texts of each row: those of --text, and behind each the second of a pair, where there are pairs."""
    if second and len(second) != len(texts):
        message = f"there is {second[0]!r} beside RUN, and it is no second text of a pair"
        raise ExperimentError(Problem(message, hint='Pairs: ftrun predict RUN --text "..." "..." --text "..." "...".'))
    return list(zip(texts, second, strict=True)) if second else [(text,) for text in texts]


def _predict(
    trained: Trained,
    data: str | None,
    pairs: Sequence[tuple[str, ...]],
    out: Path | None,
    text_columns: Sequence[str],
    dialect: Mapping[str, str | None],
) -> None:
    from ftrun.execution.prediction import predicting, table_of_split
    from ftrun.execution.row_tables import check_writable, rows_of_texts, write_rows
    from ftrun.screen.console import make_console
    from ftrun.screen.watchers import make_watcher

    file = data_file(data)
    if out:
        check_writable(out, file)
    table = read_data(trained, file, dialect) if file else None
    with predicting(trained, make_watcher(make_console(stderr=True))) as predictor:
        if table is None and data is not None:
            table = table_of_split(predictor.splits, data)
        elif table is None:
            columns = predictor.task.text_columns or ("text", "text_pair")[: len(pairs[0])]
            table, text_columns = rows_of_texts(pairs, columns), columns
        added = predictor.predict(table, text_columns)
    if out:
        write_rows(table, added, out)
        click.echo(f"{len(table):,} rows predicted: {out}", err=True)
    else:
        _show(table, added)


def data_file(data: str | None) -> Path | None:
    """The file that is meant, if it is one and no split."""
    from ftrun.rowfiles import FORMATS

    if data is None:
        return None
    path = Path(data).expanduser()
    if path.is_dir():
        raise ExperimentError(Problem(f"{data} is a folder", "--data", "Name a file in it, or a split."))
    with contextlib.suppress(OSError):
        if path.is_file():
            return path
    if path.suffix.lower() in FORMATS or len(path.parts) > 1:
        raise ExperimentError(Problem(f"there is no file {path.absolute()}", "--data"))
    return None


def read_data(trained: Trained, file: Path, told: Mapping[str, str | None]) -> RowTable:
    """The rows of a file, whose cells stand as the options say, or as in the training."""
    from ftrun.execution.row_tables import read_rows
    from ftrun.rowfiles import Dialect, dialect_fault

    trained_on = trained.dialect
    dialect = Dialect(
        told["delimiter"] or trained_on.delimiter,
        told["encoding"] or trained_on.encoding,
        trained_on.quoting,
        "--{} {}",
    )
    if fault := dialect_fault(dialect.delimiter, dialect.encoding):
        raise ExperimentError(Problem(fault, "--delimiter" if fault.startswith("delimiter") else "--encoding"))
    return read_rows(file, dialect)


def _show(table: RowTable, added: Mapping[str, Sequence[Any]]) -> None:
    from ftrun.execution.row_tables import write_text
    from ftrun.screen.console import make_console
    from ftrun.screen.tables import rows_table

    if sys.stdout.isatty():
        make_console().print(rows_table({**table.columns, **added}))
        return
    write_text(table, added, sys.stdout, table.suffix if table.suffix in (".csv", ".tsv") else ".jsonl")


def _submit(trained: Trained, folder: Path) -> None:
    from ftrun.execution.glue_submission import check_submission, write_submission
    from ftrun.execution.prediction import predicting
    from ftrun.screen.console import make_console
    from ftrun.screen.watchers import make_watcher

    check_submission(trained.task)
    with predicting(trained, make_watcher(make_console(stderr=True))) as predictor:
        for path in write_submission(predictor, folder):
            click.echo(str(path))
