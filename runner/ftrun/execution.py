"""The story of a run: plan -> data -> model -> encode -> fit -> record; `_train` tells it in order."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from ftrun import tracking
from ftrun.contracts import (
    Backend,
    BackendSession,
    BuiltModel,
    Collator,
    Dataset,
    EvaluationReport,
    FitResult,
    Job,
    Metric,
    Model,
    Splits,
)
from ftrun.encoding import encode_split
from ftrun.errors import ExperimentError, FtrunError, Problem
from ftrun.experiment import load_experiment
from ftrun.journal import Journal, RunFolder
from ftrun.plan import Plan, make_plan, metric_directions
from ftrun.plugins import Catalogue, load_catalogue
from ftrun.process import environment_restored, output_logged, refuse_several_processes, signals_caught
from ftrun.progress import Watcher, make_watcher
from ftrun.record import record_data, record_model, record_predictions, record_start
from ftrun.reporter import RunReporter
from ftrun.results import RunResult, Status

log = logging.getLogger(__name__)

RUNS_FOLDER = Path("runs")
DELIVERY_PATIENCE = 60.0
"""Seconds that the end of a run waits for MLflow; what is pending then is delivered by `ftrun sync`."""


def run(
    path: str | os.PathLike[str],
    profile: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    unset: Sequence[str] = (),
    runs_folder: str | os.PathLike[str] = RUNS_FOLDER,
    progress: bool = True,
) -> RunResult:
    """Run an experiment file, as the command `ftrun FILE` does.

    Args:
        path: The TOML file.
        profile: The `[profile.NAME]` to lay over it.
        overrides: Values by dotted key, such as `{"training.num_train_epochs": 1}`.
        unset: Dotted keys to take out.
        runs_folder: Where run folders are made; `runs` in the working folder by default.
        progress: Whether to show what goes on.

    Returns:
        The run as it ended; `status` and `error` tell how, also where it failed.

    Raises:
        ExperimentError: If the file or a part of it is wrong; nothing was run then.
        RunError: If the run folder cannot be made.
    """
    catalogue = load_catalogue()
    plan = make_plan(load_experiment(Path(path), profile, overrides, unset), catalogue)
    watcher = make_watcher(Console()) if progress else Watcher()
    return execute(plan, catalogue, watcher, Path(runs_folder)).result


class Outcome:
    """A run's result, and what is left to say about it.

    Attributes:
        result: The run as it ended.
        problem: The error that a user can mend, if that is what ended it.
        exit_status: What the command should exit with for this run.
    """

    def __init__(self, result: RunResult, exit_status: int, problem: FtrunError | None = None) -> None:
        self.result = result
        self.exit_status = exit_status
        self.problem = problem


def execute(plan: Plan, catalogue: Catalogue, watcher: Watcher, runs_folder: Path = RUNS_FOLDER) -> Outcome:
    """Run a plan from beginning to end and say how it ended; what goes wrong is in the outcome, never raised."""
    refuse_several_processes()
    execution = _Execution(plan, catalogue, watcher, RunFolder.create(runs_folder, plan.name))
    with environment_restored(), output_logged(execution.folder.log), watcher:
        return execution.run()


class _Execution:
    """One run under way."""

    def __init__(self, plan: Plan, catalogue: Catalogue, watcher: Watcher, folder: RunFolder) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.watcher = watcher
        self.folder = folder
        self.journal = Journal(folder.journal)
        self.reporter = RunReporter(self.journal, watcher, self._evaluated)
        self.feeder = tracking.Feeder(folder, plan.tracking.uri) if plan.tracking.enabled else None
        self.recording = False  # what fails before there is anything to track is no run in MLflow
        self.began = time.perf_counter()

    def run(self) -> Outcome:
        self.watcher.run_started(self.plan, self.folder.path)
        fit: FitResult | None = None
        status: Status = "FAILED"
        problem: FtrunError | None = None
        exit_status = 1
        error: str | None = None
        with signals_caught(self._asked_to_stop) as interruption:
            try:
                fit = self._train()
                status, exit_status = ("FINISHED", 0) if fit.completed else ("KILLED", interruption.exit_status or 1)
                error = None if fit.completed else "stopped on request; its checkpoints are kept"
            except KeyboardInterrupt:
                status, exit_status, error = "KILLED", interruption.exit_status or 130, "interrupted"
            except FtrunError as told:
                log.exception("the run failed")
                problem, error = told, str(told)
                exit_status = 2 if isinstance(told, ExperimentError) else 1
            except Exception as fault:
                log.exception("the run failed")
                error = f"{type(fault).__name__}: {fault} (the traceback is in {self.folder.log.name})"
            return Outcome(self._end(status, error, fit), exit_status, problem)

    def _asked_to_stop(self) -> None:
        """While it trains, a run stops after its step, with a checkpoint; before that there is nothing to keep."""
        if not self.reporter.is_training:
            raise KeyboardInterrupt
        self.reporter.request_stop()

    def _train(self) -> FitResult:
        plan, watcher = self.plan, self.watcher
        watcher.working("importing")
        backend = plan.backend.component(Backend)
        with backend.build(plan.backend.settings, plan.training) as session:
            watcher.working("opening the data set")
            splits = plan.dataset.component(Dataset).build(plan.dataset.settings)
            watcher.data_opened(splits)
            self._check_task(splits)

            watcher.working("building the model")
            session.seed(plan.seed)
            built = plan.model.component(Model).build(plan.model.settings, splits.task)
            for notice in built.notices:
                watcher.notice(notice)

            job = self._job(splits, built)
            self._start_recording(session, splits)
            session.seed(plan.seed)
            fit = session.fit(job, self.reporter)
            self._record_fit(splits, fit)
            return fit

    def _check_task(self, splits: Splits) -> None:
        """What only the opened data tells: whether model and metrics suit its task."""
        task, model = splits.task, self.plan.model
        if task.kind not in model.component(Model).kinds:
            message = f'the model "{model.use}" does not take the data set\'s kind of task, {task.kind}'
            raise ExperimentError(Problem(message, "model.use"))
        metric_directions(self.plan.metrics, task)

    def _job(self, splits: Splits, built: BuiltModel) -> Job:
        plan = self.plan
        show = self.watcher.encoding
        return Job(
            model=built.model,
            tokenizer=built.tokenizer,
            train=encode_split(splits, "train", splits.train, built, show),
            evaluation={
                name: encode_split(splits, name, rows, built, show) for name, rows in splits.evaluation.items()
            },
            collate=plan.collator.component(Collator).build(plan.collator.settings, built.tokenizer),
            evaluators=[part.component(Metric).build(part.settings, splits.task) for part in plan.metrics],
            training=plan.training,
            task=splits.task,
            seed=plan.seed,
            data_seed=plan.seed if plan.training.data_seed is None else plan.training.data_seed,
            run_folder=self.folder.path,
        )

    def _start_recording(self, session: BackendSession, splits: Splits) -> None:
        record_start(self.journal, self.folder, self.plan, session.environment())
        record_data(self.journal, splits)
        self.recording = True
        self.catalogue.observe(
            "ftrun_run_started", run=self.folder.name, run_folder=self.folder.path, experiment=self.plan.resolved()
        )

    def _evaluated(self, report: EvaluationReport) -> None:
        self.catalogue.observe("ftrun_evaluated", run=self.folder.name, report=report)

    def _record_fit(self, splits: Splits, fit: FitResult) -> None:
        if fit.predictions:
            record_predictions(self.journal, self.folder, splits, fit.predictions)
            for sentence in _one_class_notices(splits, fit):
                self.watcher.notice(sentence)
        if fit.model_folder:
            record_model(self.journal, self.folder, fit.model_folder)

    def _end(self, status: Status, error: str | None, fit: FitResult | None) -> RunResult:
        with contextlib.suppress(Exception):  # what failed here has been told where it failed
            self.reporter.close()
        if error:
            self.journal.append("tags", tags={"ftrun.error": error})
        self.journal.append("end", status=status)
        self.journal.close()
        metrics = fit.metrics if fit else {}
        facts = {"run": self.folder.name, "run_folder": self.folder.path, "status": status, "metrics": metrics}
        self.catalogue.observe("ftrun_run_finished", **facts)
        delivery = tracking.Delivery()
        if self.feeder and not self.recording:
            self.feeder.abandon()
        elif self.feeder:
            self.watcher.working("delivering to MLflow")
            delivery = self.feeder.finish(DELIVERY_PATIENCE)
        result = self._result(status, error, metrics, delivery)
        self.watcher.run_finished(result, delivery.pending)
        return result

    def _result(
        self, status: Status, error: str | None, metrics: Mapping[str, float], delivery: tracking.Delivery
    ) -> RunResult:
        reporter = self.reporter
        return RunResult(
            experiment=self.plan.name,
            backend=self.plan.backend.use,
            run=self.folder.name,
            run_folder=self.folder.path,
            run_id=delivery.run_id,
            tracking_uri=delivery.uri,
            status=status,
            error=error,
            steps=reporter.steps,
            seconds=time.perf_counter() - self.began,
            training_seconds=reporter.training_seconds,
            examples_per_second=reporter.examples / reporter.training_seconds if reporter.training_seconds else None,
            metrics=metrics,
        )


def _one_class_notices(splits: Splits, fit: FitResult) -> list[str]:
    """A sentence for every split on which the model says the same class of every row."""
    names = splits.task.class_names
    if not names:
        return []
    said = {split: sorted(set(predicted.values.tolist())) for split, predicted in fit.predictions.items()}
    return [
        f'the model predicts "{names[classes[0]]}" for every row of {split}: its accuracy is that class\'s share'
        for split, classes in said.items()
        if len(classes) == 1
    ]
