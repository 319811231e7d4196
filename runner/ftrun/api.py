"""What `import ftrun` offers a program: to run an experiment, to go on with a run, and to use its model."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ftrun.execution.beginning import FreshStart
from ftrun.execution.decoding import PREDICTED
from ftrun.execution.evaluation import measure
from ftrun.execution.outcome import Outcome
from ftrun.execution.places import argument_places, places_called
from ftrun.execution.prediction import probabilities_of
from ftrun.execution.resumption import plan_resumption
from ftrun.execution.row_sources import Data, RowSource, predict_rows
from ftrun.execution.row_tables import records_of, rows_by_name
from ftrun.execution.story import execute
from ftrun.execution.trained import find_trained
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue, load_catalogue
from ftrun.planning.experiment import load_experiment, with_backend
from ftrun.planning.plan import make_plan
from ftrun.runs.folder import RUNS_FOLDER
from ftrun.runs.results import PredictionResult, RunResult
from ftrun.screen.console import make_console
from ftrun.screen.watchers import make_watcher


def run(
    path: str | os.PathLike[str] | Mapping[str, Any],
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
    backend: str | None = None,
) -> RunResult:
    """Run an experiment, as the command `ftrun FILE` does.

    Args:
        path: The TOML file; or a dict with what one holds, `name` among it, and paths from the working folder.
        profile: The `[profile.NAME]` to lay over it.
        overrides: Values by dotted key, such as `{"training.num_train_epochs": 1}`.
        unset: Dotted keys to take out.
        runs_folder: Where run folders are made; `runs` in the working folder by default.
        progress: Whether to show what goes on.
        backend: The backend to run on; the file's by default. Overrides may not choose another one.

    Returns:
        The run as it ended; `status` and `error` tell how, also where it failed.

    Raises:
        ExperimentError: If the file or a part of it is wrong; nothing was run then.
        RunError: If the run folder cannot be made.
        KeyboardInterrupt: After Ctrl-C, once the run has written its checkpoint and is recorded as KILLED. SIGTERM is
            passed on in the same way, to what the program has it do.
    """
    catalogue = load_catalogue()
    chosen = with_backend(overrides or {}, backend)
    plan = make_plan(load_experiment(_source(path), profile, chosen, unset), catalogue)
    watcher = _watcher(progress, catalogue)
    return _in_program(execute(plan, catalogue, watcher, FreshStart(plan, Path(runs_folder))))


def resume(
    run: str | os.PathLike[str],
    backend: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_changes: bool = False,
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
    unset: Sequence[str] = (),
) -> RunResult:
    """Go on with a run that stopped, as the command `ftrun resume RUN` does.

    Args:
        run: Its name, its folder, MLflow's name or id of it, or an experiment file for its latest unfinished run.
        backend: The backend to go on with; the run's own by default. Overrides may not choose another one. To or from
            one that is not ftrun's own is a change.
        overrides: Values by dotted key, to change what the run was begun with.
        allow_changes: Whether to go on though settings, packages, data or machine have changed.
        runs_folder: Where runs are looked for.
        progress: Whether to show what goes on.
        unset: Dotted keys to take out of what the run was begun with.

    Returns:
        The run as it ended.

    Raises:
        ExperimentError: If there is no such run, or something has changed that may not.
        RunFinishedError: If nothing is left to do.
        RunError: If the run is still going on, or a later version of ftrun has written it.
        KeyboardInterrupt: As `run`.
    """
    catalogue = load_catalogue()
    chosen = with_backend(overrides or {}, backend)
    plan, resumption = plan_resumption(str(run), catalogue, chosen, Path(runs_folder), allow_changes, unset=unset)
    return _in_program(execute(plan, catalogue, _watcher(progress, catalogue), resumption))


def predict(
    run: str | os.PathLike[str],
    data: Data,
    *,
    text_columns: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: bool | None = None,
    device: str | None = None,
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
) -> PredictionResult:
    """Predict rows with a run's model, as the command `ftrun predict RUN` does.

    Args:
        run: Its name, its folder, MLflow's name or id of it; `runs:/ID/model` or `models:/NAME/VERSION`; the folder of
            its model or of a checkpoint; or a folder that `save_pretrained` wrote. What is not here is fetched from
            MLflow.
        data: A file of rows (CSV, TSV, JSON, Parquet, or in a form that the run's data set reads by itself, which may
            be a folder) or the name of a split of that; or the rows themselves: a list of texts, of pairs of texts, or
            of dicts with columns. Rows need no label.
        text_columns: The columns that hold the text, one or two, where they are called otherwise than in the training.
        delimiter: Between the cells of CSV and TSV, encoding: of them; as in the training by default.
        quoting: Whether `"` encloses cells of these; as in the training by default.
        device: "auto", "cpu", "cuda" or "mps"; the best one there is by default.
        runs_folder: Where runs are looked for; `runs` in the working folder by default.
        progress: Whether to show what goes on.

    Returns:
        Labels, probabilities and rows, one for each row of `data`, in its order.

    Raises:
        ExperimentError: If there is no such run, it has no model, or something about the rows is wrong; nothing was
            computed then.
        RunError: If MLflow is out of reach, or a part fails in a way that it does not explain.
    """
    with places_called(argument_places(device)):
        catalogue = load_catalogue()
        watcher = _watcher(progress, catalogue)
        trained = find_trained(os.fspath(run), catalogue, device, Path(runs_folder), watcher)
        table, added = predict_rows(trained, RowSource(data, text_columns, delimiter, encoding, quoting), watcher)
    told = rows_by_name(added)
    rows = [{**record, **row} for record, row in zip(records_of(table), told, strict=True)]
    return PredictionResult(trained.name, added[PREDICTED], probabilities_of(added), rows)


def evaluate(
    run: str | os.PathLike[str],
    data: Data,
    *,
    name: str | None = None,
    text_columns: Sequence[str] = (),
    delimiter: str | None = None,
    encoding: str | None = None,
    quoting: bool | None = None,
    device: str | None = None,
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
) -> dict[str, float]:
    """Measure a run's model on rows with labels, by the run's own metrics, as the command `ftrun evaluate RUN` does.

    The numbers of a finished run's own model go on its record, and to MLflow, as `eval/NAME/METRIC` at the step of the
    model; what stands there already stays.

    Args:
        run: As for `predict`.
        data: A file, or the name of a split; or a list of dicts with the columns of text and of the label.
        name: What the record calls the rows; the file's or the split's name by default. Rows that are at hand go on no
            record without one.
        text_columns: As for `predict`, and so all that follow.
        delimiter: Between the cells of a CSV file.
        encoding: Of a file of text.
        quoting: Whether `"` encloses its cells.
        device: Where to compute.
        runs_folder: Where runs are looked for.
        progress: Whether to show what goes on.

    Returns:
        The loss and the metrics by name, such as `{"loss": 0.41, "accuracy": 0.83, "f1": 0.88}`.

    Raises:
        ExperimentError: As `predict`; or if a row has no label, or one that is none of the task's.
        RunError: As `predict`; or if the record cannot be written.
    """
    with places_called(argument_places(device)):
        catalogue = load_catalogue()
        watcher = _watcher(progress, catalogue)
        trained = find_trained(os.fspath(run), catalogue, device, Path(runs_folder), watcher)
        return measure(trained, RowSource(data, text_columns, delimiter, encoding, quoting), watcher, name)


def _source(experiment: str | os.PathLike[str] | Mapping[str, Any]) -> Path | Mapping[str, Any]:
    return experiment if isinstance(experiment, Mapping) else Path(experiment)


def _watcher(progress: bool, catalogue: Catalogue) -> Watcher:
    """Who shows the run, and has said what there is to know of its plugins."""
    watcher = make_watcher(make_console()) if progress else Watcher()
    for sentence in catalogue.notices:
        watcher.notice(sentence)
    return watcher


def _in_program(outcome: Outcome) -> RunResult:
    """The result, for a program that called; a signal that ended the run goes on to where it was meant for."""
    if outcome.signal is not None:
        signal.raise_signal(outcome.signal)
    return outcome.result
