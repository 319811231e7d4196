"""The story of a run: plan -> data -> model -> encode -> fit -> record; `_train` tells it in order."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from ftrun.contracts import BestBy, BuiltModel, EvaluationReport, FitResult, Job, Splits
from ftrun.errors import ExperimentError, FtrunError, RunError
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.encoding import Encoding
from ftrun.execution.preparation import build_collate, build_model, evaluators_of, open_data, open_session
from ftrun.execution.process import environment_restored, output_logged, refuse_several_processes, signals_caught
from ftrun.execution.recording import (
    model_tags,
    record_data,
    record_experiment,
    record_model,
    record_predictions,
    record_resumption,
    record_start,
    run_tags,
)
from ftrun.execution.reporter import RunReporter
from ftrun.execution.resumption import Resumption
from ftrun.execution.watcher import Watcher
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.plan import Plan
from ftrun.redaction import redacted
from ftrun.runs.folder import RUNS_FOLDER, RunFolder
from ftrun.runs.journal import Journal
from ftrun.runs.records import ERROR_TAG
from ftrun.runs.results import RunResult, Status
from ftrun.tracking.feeder import Delivery, Feeder, delivery, missing_credentials

log = logging.getLogger(__name__)

DELIVERY_PATIENCE = 60.0
"""Seconds that the end of a run waits for MLflow; what is pending then is delivered by `ftrun sync`."""


class Outcome:
    """A run's result, and what is left to say about it.

    Attributes:
        result: The run as it ended.
        problem: The error that a user can mend, if that is what ended it.
        exit_status: What the command should exit with for this run.
        signal: The signal that ended it, if one did.
    """

    def __init__(
        self,
        result: RunResult,
        exit_status: int,
        problem: FtrunError | None = None,
        ended_by: signal.Signals | None = None,
    ) -> None:
        self.result = result
        self.exit_status = exit_status
        self.problem = problem
        self.signal = ended_by


def execute(
    plan: Plan,
    catalogue: Catalogue,
    watcher: Watcher,
    runs_folder: Path = RUNS_FOLDER,
    resumption: Resumption | None = None,
) -> Outcome:
    """Run a plan from beginning to end, or go on with a run, and say how it ended; what goes wrong while it runs is in
    the outcome, never raised.

    Raises:
        RunFinishedError: If the run to go on with is finished.
        RunError: If the run folder cannot be made or written, or another process has it.
    """
    refuse_several_processes()
    folder = resumption.folder if resumption else RunFolder.create(runs_folder, plan.name)
    with folder.locked():
        if resumption:
            resumption.look_again(plan)
        with environment_restored(), output_logged(folder.log), watcher:
            return _begin(plan, catalogue, watcher, folder, resumption).run()


def _begin(
    plan: Plan, catalogue: Catalogue, watcher: Watcher, folder: RunFolder, resumption: Resumption | None
) -> _Execution:
    try:
        return _Execution(plan, catalogue, watcher, folder, resumption)
    except OSError as error:
        raise RunError(f"the run folder {folder.path} cannot be written: {error.strerror or error}") from error


class _Execution:
    """One run under way."""

    def __init__(
        self, plan: Plan, catalogue: Catalogue, watcher: Watcher, folder: RunFolder, resumption: Resumption | None
    ) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.watcher = watcher
        self.folder = folder
        self.resumption = resumption
        if resumption is None:
            record_experiment(folder, plan)
        self.journal = Journal(folder.journal)
        checkpoint = resumption.checkpoint if resumption else None
        self.reporter = RunReporter(
            self.journal,
            watcher,
            folder.checkpoints,
            plan.training.save_total_limit,
            self._evaluated,
            checkpoint.step if checkpoint else 0,
        )
        self.feeder = Feeder(folder, plan.tracking.uri) if plan.tracking.enabled else None
        self.heeds_signals = True
        self.recording = False  # what fails before there is anything to track is no run in MLflow
        self.began = time.perf_counter()

    def run(self) -> Outcome:
        self.watcher.run_started(self.plan, self.folder.path)
        if self.resumption:
            self._tell_resumption(self.resumption)
        if self.feeder and (missing := missing_credentials(self.folder, self.plan.tracking.uri)):
            self.watcher.notice(f"MLflow is not told: {missing}")
        fit: FitResult | None = None
        status: Status = "FAILED"
        problem: FtrunError | None = None
        exit_status = 1
        error: str | None = None
        with signals_caught(self._asked_to_stop) as interruption:
            try:
                fit = self._train()
                status, exit_status = ("FINISHED", 0) if fit.completed else ("KILLED", interruption.exit_status or 1)
                error = None if fit.completed else f"stopped on request after step {fit.steps}, with a checkpoint"
            except KeyboardInterrupt:
                status, exit_status, error = "KILLED", interruption.exit_status or 130, "interrupted"
            except FtrunError as told:
                log.exception("the run failed")
                problem, error = told, str(told)
                exit_status = 2 if isinstance(told, ExperimentError) else 1
            except (Exception, SystemExit) as fault:
                log.exception("the run failed")
                error = redacted(f"{type(fault).__name__}: {fault} (the traceback is in {self.folder.log.name})")
            return Outcome(self._end(status, error, fit), exit_status, problem, interruption.signal)

    def _asked_to_stop(self) -> None:
        """While it trains, a run stops after its step, with a checkpoint; before that there is nothing to keep, and
        while its end is written down, it is about to stop anyway.
        """
        if self.reporter.is_training:
            self.reporter.request_stop()
        elif self.heeds_signals:
            raise KeyboardInterrupt

    def _train(self) -> FitResult:
        plan, watcher = self.plan, self.watcher
        watcher.working("importing")
        with open_session(plan) as session, EncodedCache() as cache:
            tags = run_tags(plan, self.folder, session.environment())
            if self.resumption:
                self.resumption.compare_environment(tags)
            splits, best = open_data(plan, watcher)
            if self.resumption:
                self.resumption.compare_data(splits)
            session.seed(plan.seed)
            built = build_model(plan, splits, watcher)
            tags |= model_tags(built)
            if self.resumption:
                self.resumption.compare_model(tags)

            job = self._job(splits, built, cache, best)
            self._start_recording(tags, splits)
            session.seed(plan.seed)
            fit = ClassOrder(built, splits.task).fit(session.fit(job, self.reporter))
            self._record_fit(splits, fit)
            return fit

    def _job(self, splits: Splits, built: BuiltModel, cache: EncodedCache, best: BestBy | None) -> Job:
        plan, watcher = self.plan, self.watcher
        encoding = Encoding(splits, built, plan.model.offer.provider, cache, watcher.encoding, watcher.notice)
        return Job(
            model=built.model,
            tokenizer=built.tokenizer,
            train=encoding.encode(splits.train_split, splits.train),
            evaluation={name: encoding.encode(name, rows) for name, rows in splits.evaluation.items()},
            collate=build_collate(plan, built),
            evaluators=evaluators_of(plan, splits.task, built),
            training=plan.training,
            task=splits.task,
            seed=plan.seed,
            data_seed=plan.seed if plan.training.data_seed is None else plan.training.data_seed,
            run_folder=self.folder.path,
            best_by=best,
            resume_from=self.resumption.checkpoint.folder if self.resumption and self.resumption.checkpoint else None,
            resume_best=self.resumption is None or self.resumption.best_counts,
        )

    def _start_recording(self, tags: Mapping[str, str], splits: Splits) -> None:
        if self.resumption and self.resumption.history.recorded:
            record_resumption(self.journal, self.resumption, self.plan, tags)
            history = self.resumption.history
            recorded = [(r["context"], r["split"]) for r in history.datasets if r["digest"] == splits.digest]
            record_data(self.journal, splits, recorded)
        else:
            record_start(self.journal, self.folder, self.plan, tags)
            record_data(self.journal, splits)
        self.recording = True
        self.catalogue.observe(
            "ftrun_run_started", run=self.folder.name, run_folder=self.folder.path, experiment=self.plan.resolved()
        )

    def _tell_resumption(self, resumption: Resumption) -> None:
        for sentence in resumption.skipped:
            self.watcher.notice(sentence)
        found = resumption.checkpoint
        self.watcher.notice(
            f"going on from {found.folder.name}" if found else "there is no checkpoint: it begins at the beginning"
        )

    def _evaluated(self, report: EvaluationReport) -> None:
        self.catalogue.observe("ftrun_evaluated", run=self.folder.name, run_folder=self.folder.path, report=report)

    def _record_fit(self, splits: Splits, fit: FitResult) -> None:
        if fit.predictions:
            record_predictions(self.journal, self.folder, splits, fit.predictions)
            for sentence in _one_class_notices(splits, fit):
                self.watcher.notice(sentence)
        if fit.model_folder:
            record_model(self.journal, self.folder, fit.model_folder)
        if fit.model_step is not None:
            self.journal.append("tags", tags={"ftrun.model_step": str(fit.model_step)})
        if fit.stopped_early:
            self.watcher.notice(f"stopped early after step {fit.steps}: {self._patience()} without a better one")
        if self.plan.training.load_best_model_at_end:
            self.watcher.notice(f"the model is that of step {fit.model_step}, the best evaluation")

    def _patience(self) -> str:
        count = self.plan.training.early_stopping_patience
        return "an evaluation" if count == 1 else f"{count} evaluations"

    def _end(self, status: Status, error: str | None, fit: FitResult | None) -> RunResult:
        self.heeds_signals = False
        with contextlib.suppress(Exception, KeyboardInterrupt):  # what failed here has been told where it failed
            self.reporter.close()
        if self.recording or not self.resumption:  # what did not come to go on stays as it was
            self._record_end(status, error)
        with contextlib.suppress(RunError):
            self.journal.close()
        metrics = fit.metrics if fit else {}
        facts = {"run": self.folder.name, "run_folder": self.folder.path, "status": status, "metrics": metrics}
        self.catalogue.observe("ftrun_run_finished", **facts)
        delivered = Delivery()
        if self.feeder and not self.recording:
            self.feeder.abandon()
        elif self.feeder:
            delivered = self._deliver(self.feeder)
        result = self._result(status, error, metrics, delivered)
        self.watcher.run_finished(result, delivered.pending)
        return result

    def _deliver(self, feeder: Feeder) -> Delivery:
        """Wait for MLflow to have everything; Ctrl-C ends the waiting, and the feeder goes on for a while alone."""
        self.watcher.delivering(delivery(self.folder))
        self.heeds_signals = True
        try:
            return feeder.finish(DELIVERY_PATIENCE, self.watcher.delivering)
        except KeyboardInterrupt:
            feeder.let_go()
            return delivery(self.folder)

    def _record_end(self, status: Status, error: str | None) -> None:
        if self.journal.differing:
            key, step = self.journal.differing[0]
            count = len(self.journal.differing)
            self.watcher.notice(
                f"{count} points came out otherwise when they were repeated; the first: {key}, step {step}"
            )
        try:
            if error:
                self.journal.append("tags", tags={ERROR_TAG: error})
            self.journal.append("end", status=status)
            self.journal.sync()
        except RunError as fault:  # a full disk, say; the next look at the run marks it
            self.watcher.notice(str(fault))

    def _result(
        self, status: Status, error: str | None, metrics: Mapping[str, float], delivered: Delivery
    ) -> RunResult:
        reporter = self.reporter
        return RunResult(
            experiment=self.plan.name,
            backend=self.plan.backend.use,
            run=self.folder.name,
            run_folder=self.folder.path,
            run_id=delivered.run_id,
            tracking_uri=delivered.uri,
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
