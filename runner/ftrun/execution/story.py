"""The story of a run: plan -> data -> model -> job -> fit -> record; `_train` tells it in order."""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from ftrun.contracts import Backend, BackendSession, BuiltModel, EvaluationReport, FitResult, Job, Splits
from ftrun.errors import FtrunError, RunError
from ftrun.execution.beginning import Beginning
from ftrun.execution.checks import checked_environment, checked_fit, training_named
from ftrun.execution.class_weights import weights_tags
from ftrun.execution.depiction import Depiction, subject_of
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.final_test import FinalTest
from ftrun.execution.monitor import Monitor
from ftrun.execution.onlookers import Onlookers
from ftrun.execution.outcome import Outcome
from ftrun.execution.preparation import build_model, make_job, open_data, open_session, terms_of
from ftrun.execution.process import environment_restored, output_logged, refuse_several_processes, signals_caught
from ftrun.execution.push import foreseen, push_finished
from ftrun.execution.recording import model_tags, plugin_tags, record_model, record_predictions, record_task, run_tags
from ftrun.execution.rehearsal import rehearse
from ftrun.execution.remarks import remarks_at_start, remarks_on, remarks_on_losses, remarks_on_skipped, without_effect
from ftrun.execution.reporter import RunReporter
from ftrun.execution.uploads import Choice, Policy, Uploads
from ftrun.execution.watcher import Watcher
from ftrun.planning.blame import blamed
from ftrun.planning.catalogue import Catalogue
from ftrun.planning.choice import BUILT_IN
from ftrun.planning.conformance import said
from ftrun.planning.plan import Plan
from ftrun.redaction import redacted
from ftrun.runs.checkpoint_table import record_checkpoints
from ftrun.runs.checkpoints import sync_folder
from ftrun.runs.description import description, repeat_command, resume_command
from ftrun.runs.glance import MODEL_STEP_TAG
from ftrun.runs.journal import Journal
from ftrun.runs.records import ERROR_TAG, NOTE_TAG, EndRecord, MeasuredRecord, TagsRecord
from ftrun.runs.results import RunResult, Status
from ftrun.tracking.feeder import Feeder
from ftrun.tracking.state import Delivery, delivery
from ftrun.tracking.target import missing_credentials

log = logging.getLogger(__name__)

DELIVERY_PATIENCE = 60.0
"""Seconds that the end of a run waits for MLflow to take something more; what is pending then is delivered by
`ftrun sync`."""

LONGEST_REASON = 300
"""Characters of what a store says that a person is shown."""


def execute(plan: Plan, catalogue: Catalogue, watcher: Watcher, beginning: Beginning) -> Outcome:
    """Run a plan from where it begins to its end, and say how it ended; what goes wrong while it runs is in the
    outcome, never raised.

    Raises:
        RunFinishedError: If the run to go on with is finished.
        RunError: If the run folder cannot be written, or another process has it.
    """
    refuse_several_processes()
    folder = beginning.folder
    with folder.locked():
        beginning.take(plan)
        with environment_restored(), output_logged(folder.log), watcher:
            return _begin(plan, catalogue, watcher, beginning).run()


def _begin(plan: Plan, catalogue: Catalogue, watcher: Watcher, beginning: Beginning) -> _Run:
    try:
        return _Run(plan, catalogue, watcher, beginning)
    except OSError as error:
        path = beginning.folder.path
        raise RunError(f"the run folder {path} cannot be written: {error.strerror or error}") from error


class _Run:
    """One run under way."""

    def __init__(self, plan: Plan, catalogue: Catalogue, watcher: Watcher, beginning: Beginning) -> None:
        self.plan = plan
        self.catalogue = catalogue
        self.watcher = watcher
        self.beginning = beginning
        self.folder = beginning.folder
        self.journal = Journal(self.folder.journal)
        self.onlookers = Onlookers(catalogue, self.folder, watcher)
        backend = plan.backend
        self.reporter = RunReporter(
            self.journal,
            watcher,
            self.folder.checkpoints,
            plan.training.save_total_limit,
            self._evaluated,
            beginning.step,
            backend.offer.who,
            backend.component(Backend).checkpoint_format,
        )
        self.gave_up = False  # the feeder, before the run's end
        self.feeder = Feeder(self.folder, plan.tracking.uri, self._feeder_gave_up) if plan.tracking.enabled else None
        self.uploads: Uploads | None = None
        self.depiction: Depiction | None = None
        apart = [self.feeder.pid] if self.feeder else []
        self.monitor = Monitor(self.journal, apart) if plan.tracking.system_metrics else None
        self.heeds_signals = True
        self.testing = False  # and can be left without a step that is lost
        self.recording = False  # what fails before there is anything to track is no run in MLflow
        self.began = time.perf_counter()

    def run(self) -> Outcome:
        """The whole of it."""
        self.watcher.run_started(self.plan, self.folder.path)
        for sentence in self.beginning.notices:
            self.watcher.notice(sentence)
        if self.feeder and (missing := missing_credentials(self.folder, self.plan.tracking.uri)):
            self.watcher.notice(f"MLflow is not told: {missing}")
        if to_know := foreseen(self.plan.push):
            self.watcher.notice(to_know)
        fit: FitResult | None = None
        status: Status = "FAILED"
        problem: FtrunError | None = None
        error: str | None = None
        with signals_caught(self._asked_to_stop) as interruption:
            try:
                fit = self._train()
                status = "FINISHED" if fit.completed else "KILLED"
                error = None if fit.completed else f"stopped on request after step {fit.steps}, with a checkpoint"
            except KeyboardInterrupt:
                interruption.signal = interruption.signal or signal.SIGINT
                status, error = "KILLED", "interrupted"
            except FtrunError as told:
                log.exception("the run failed")
                problem, error = told, str(told)
            except (Exception, SystemExit) as fault:
                log.exception("the run failed")
                raised = f"{type(fault).__name__}: {fault}{blamed(fault, self.plan.parts.values())}"
                error = redacted(f"{raised} (the traceback is in {self.folder.log.name})")
            return Outcome(self._end(status, error, fit), problem, interruption.signal)

    def _feeder_gave_up(self, delivery: Delivery) -> None:
        """Said when it happens: a training may take hours yet."""
        self.gave_up = True
        self.watcher.notice(f"MLflow is not told any more: {delivery.error or 'the process that does it is gone'}")

    def _asked_to_stop(self) -> None:
        """While it trains, a run stops after its step, with a checkpoint; before that there is nothing to keep, and
        while its end is written down, it is about to stop anyway. The test is left at once where the last step has its
        checkpoint, else finished.
        """
        if self.reporter.is_training and not self.testing:
            self.reporter.request_stop()
        elif self.heeds_signals:
            raise KeyboardInterrupt

    def _train(self) -> FitResult:
        plan, watcher, beginning = self.plan, self.watcher, self.beginning
        watcher.working("importing")
        with open_session(plan) as session, EncodedCache() as cache:
            tags = run_tags(plan, self.folder, checked_environment(plan, session)) | plugin_tags(plan, self.catalogue)
            beginning.compare_environment(tags)
            splits, best = open_data(plan, watcher)
            beginning.compare_data(splits)
            session.seed(plan.seed)
            built = build_model(plan, splits, watcher)
            tags |= model_tags(built)
            beginning.compare_model(tags)

            job = make_job(plan, splits, built, best, cache, watcher, beginning)
            tags |= weights_tags(plan.training, splits)
            test = FinalTest(plan, splits, built, cache, watcher)
            rehearse(plan, session, job, splits, built.encode, watcher)
            test.rehearse(session, job)
            if self.feeder:
                policy: Policy = plan.tracking.checkpoints or ("best" if best else "last")
                self.uploads = Uploads(self.journal, self.folder, Choice(policy, best), built, splits)
                self.reporter.on_published = self.uploads.offer
            if beginning.checkpoint_folder is None:
                self._start_recording(tags, splits)
            self.reporter.on_started = partial(self._started, beginning.checkpoint_folder, tags, splits)
            session.seed(plan.seed)
            with training_named(plan):
                fitted = session.fit(job, self.reporter)
            fit = checked_fit(plan, job, self.reporter, fitted)
            self.journal.append(MeasuredRecord(fit.steps, self.reporter.totals.metrics(built.model, fit.steps)))
            if fit.completed and test:
                fit = self._test(test, session, job, fit)
            self._record_fit(splits, built, terms_of(plan, splits.task, built).fit(fit, splits), test.measured)
            return fit

    def _test(self, test: FinalTest, session: BackendSession, job: Job, fit: FitResult) -> FitResult:
        self.testing = self.reporter.is_checkpointed
        if self.testing and self.reporter.stop_requested:
            raise KeyboardInterrupt
        tested = test.take(session, job, fit)
        self.testing = False
        step = fit.steps if fit.model_step is None else fit.model_step
        self.journal.metrics(step, {key: value for key, value in tested.metrics.items() if key not in fit.metrics})
        return tested

    def _started(self, checkpoint: Path | None, tags: Mapping[str, str], splits: Splits, total_steps: int) -> None:
        """Called as the backend says that training begins, all being where the checkpoint has it, if there is one: one
        that does not fit has failed before anything says that the run goes on from it.
        """
        if checkpoint:
            self._start_recording(tags, splits)
            if self.uploads:
                self.uploads.go_on(self.beginning.step, checkpoint, self.beginning.step == total_steps)
        for sentence in [*without_effect(self.plan.training), *remarks_at_start(self.plan.training, total_steps)]:
            self.watcher.notice(sentence)

    def _start_recording(self, tags: Mapping[str, str], splits: Splits) -> None:
        self.beginning.record(self.journal, self.plan, tags, splits)
        self._describe(f"under way from step {self.beginning.step + 1}", "should it stop, to go on")
        record_task(self.journal, self.folder, splits.task)
        self.recording = True
        if self.monitor:
            self.monitor.start()
        self.onlookers.tell("ftrun_run_started", experiment=self.plan.resolved())

    def _evaluated(self, report: EvaluationReport) -> None:
        if self.uploads:
            self.uploads.evaluated(report)
        self.onlookers.tell("ftrun_evaluated", report=report)

    def _record_fit(self, splits: Splits, built: BuiltModel, fit: FitResult, tested: Sequence[str]) -> None:
        tables: Sequence[str] = ()
        if fit.predictions:
            tables = self._record_predictions(splits, fit)
        if fit.completed and self.plan.tracking.pictures:
            subject = subject_of(self.plan, splits, fit, tested)
            self.depiction = Depiction(self.folder, subject, tables, self.watcher)
        if fit.model_folder and self.plan.tracking.model:
            why_not = record_model(self.journal, self.folder, fit, built, splits)
            if why_not and self.feeder:
                self.watcher.notice(why_not)
        elif fit.model_folder:
            sync_folder(fit.model_folder)
        if self.uploads:
            self.uploads.settle(fit.model_step if fit.model_folder and self.plan.tracking.model else None)
        if fit.model_step is not None:
            self.journal.append(TagsRecord({MODEL_STEP_TAG: str(fit.model_step)}))
        skipped = remarks_on_skipped(self.folder.journal) if self.plan.training.fp16 else []
        unchanged = remarks_on_losses(self.folder.journal)
        for sentence in [*remarks_on(self.plan, splits.task, fit), *unchanged, *skipped]:
            self.watcher.notice(sentence)

    def _record_predictions(self, splits: Splits, fit: FitResult) -> Sequence[str]:
        """The paths of their tables. What parts of somebody's own give in no form for a table costs no training; of the
        built-in parts it is a fault of ftrun's, which ends the run with its traceback.
        """
        parts = self.plan.parts.values()
        try:
            return record_predictions(self.journal, self.folder, splits, fit.predictions)
        except (RunError, OSError):
            raise
        except Exception as fault:
            if all(part.offer.distribution == BUILT_IN for part in parts):
                raise
            log.exception("the predictions cannot be written down")
            where = f"{blamed(fault, parts)} (the traceback is in {self.folder.log.name})"
            self.watcher.notice(redacted(f"the predictions cannot be written down: {said(fault)}{where}"))
            return ()

    def _end(self, status: Status, error: str | None, fit: FitResult | None) -> RunResult:
        self.heeds_signals = False
        with contextlib.suppress(Exception, KeyboardInterrupt):  # what failed here has been told where it failed
            self.reporter.close()
        if self.uploads:
            with contextlib.suppress(RunError):  # of a training that failed after its last checkpoint
                self.uploads.settle(None)
        if self.monitor:
            self.monitor.stop()
        if self.depiction:
            self._record_pictures(self.depiction, status)
        if self.recording or self.beginning.is_new:
            self._record_end(status, error, fit)
        with contextlib.suppress(RunError):
            self.journal.close()
        metrics = fit.metrics if fit else {}
        self.onlookers.finished(status=status, metrics=metrics)
        if status == "FINISHED" and self.plan.push.repo:
            self._push()
        delivered = Delivery()
        if self.feeder and not self.recording:
            self.feeder.abandon()
        elif self.feeder:
            delivered = self._deliver(self.feeder)
        result = self._result(status, error, metrics, delivered)
        self.watcher.run_finished(result, delivered.pending)
        return result

    def _record_pictures(self, depiction: Depiction, status: Status) -> None:
        """Those of a run that is finished; Ctrl-C ends the waiting for them, and takes nothing else."""
        self.heeds_signals = status == "FINISHED"
        try:
            if status == "FINISHED":
                depiction.record(self.journal)
            else:
                depiction.abandon()
        except KeyboardInterrupt:
            depiction.abandon()
        self.heeds_signals = False

    def _record_end(self, status: Status, error: str | None, fit: FitResult | None) -> None:
        if self.journal.differing:
            key, step = self.journal.differing[0]
            count = len(self.journal.differing)
            self.watcher.notice(
                f"{count} points came out otherwise when they were repeated; the first: {key}, step {step}"
            )
        try:
            self._describe_end(error, fit)
            if self.recording:
                self._record_checkpoints()
            if error:
                self.journal.append(TagsRecord({ERROR_TAG: error}))
            self.journal.append(EndRecord(status))
            self.journal.sync()
        except RunError as fault:  # a full disk, say; the next look at the run marks it
            self.watcher.notice(str(fault))

    def _record_checkpoints(self) -> None:
        try:
            record_checkpoints(self.journal, self.folder)
        except OSError as fault:  # a table is no reason for a run to have no end
            self.watcher.notice(f"the table of checkpoints cannot be written: {fault.strerror or fault}")

    def _describe_end(self, error: str | None, fit: FitResult | None) -> None:
        best = self.reporter.checkpoint_folder(self.reporter.best_step) if self.reporter.best_step else None
        kept = best.name if best and best.is_dir() else None
        metrics = fit.metrics if fit else {}
        if error:
            self._describe(error.splitlines()[0], "to go on", metrics, kept)
        else:
            ended = f"finished after {self.reporter.steps:,} steps"
            self._describe(ended, "to repeat it", metrics, kept, repeat_command(self.folder))

    def _describe(
        self,
        state: str,
        purpose: str,
        metrics: Mapping[str, float] | None = None,
        best: str | None = None,
        command: str = "",
    ) -> None:
        """MLflow's description of the run, unless a person has given one; the command is to go on, unless said."""
        if NOTE_TAG not in (self.plan.tracking.tags or {}):
            told = description(state, purpose, command or resume_command(self.folder), metrics, best)
            self.journal.append(TagsRecord({NOTE_TAG: told}))

    def _push(self) -> None:
        self.watcher.working(f"pushing to {self.plan.push.repo}")
        self.heeds_signals = True
        told = push_finished(self.folder, self.plan.push)
        self.heeds_signals = False
        self.watcher.notice(told)

    def _deliver(self, feeder: Feeder) -> Delivery:
        """Wait for MLflow to have everything; Ctrl-C ends the waiting, and the feeder goes on for a while alone."""
        self.watcher.delivering(delivery(self.folder))
        self.heeds_signals = True
        try:
            left = feeder.finish(DELIVERY_PATIENCE, self.watcher.delivering)
        except KeyboardInterrupt:
            feeder.let_go()
            return delivery(self.folder)
        if left.pending and left.error and not self.gave_up:
            self.watcher.notice(f"MLflow has not got all of it: {left.error.splitlines()[0][:LONGEST_REASON]}")
        return left

    def _result(
        self, status: Status, error: str | None, metrics: Mapping[str, float], delivered: Delivery
    ) -> RunResult:
        totals = self.reporter.totals
        return RunResult(
            experiment=self.plan.name,
            backend=self.plan.backend.use,
            run=self.folder.name,
            run_folder=self.folder.path,
            run_id=delivered.run_id,
            tracking_uri=delivered.uri,
            status=status,
            error=error,
            steps=self.reporter.steps,
            seconds=time.perf_counter() - self.began,
            training_seconds=totals.seconds,
            examples_per_second=totals.examples / totals.seconds if totals.seconds else None,
            metrics=metrics,
        )
