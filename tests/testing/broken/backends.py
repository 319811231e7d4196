"""Backends, each broken in one point of its suite: the plain loop, with a step or a report that is not as it should be."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from ftrun.contracts import Backend, FitResult, Predictions
from ftrun.errors import Problem
from ftrun.settings import Settings, TrainingSettings
from ftrun.testing import BackendSuite
from ftrun.training import CHECKPOINT_FORMAT

COUNTED = itertools.count(1)


def build(broken: str = "") -> Any:
    def build(settings: Any, training: TrainingSettings) -> Any:
        import torch
        from ftrun.training import Fitting, LossScaler, TorchSession, build_optimizer, build_scheduler, largest_norm

        class Session(TorchSession):
            def __exit__(self, *error: Any) -> None:
                super().__exit__(*error)
                if broken == "process":
                    torch.set_float32_matmul_precision("high")

            def predict(self, job: Any, rows: Any) -> Predictions:
                if broken == "predict":
                    rows = [rows[row] for row in range(len(rows))][::-1]
                return super().predict(job, rows)

            def fit(self, job: Any, reporter: Any) -> FitResult:
                changed = {
                    "patience": {"early_stopping_patience": None},
                    "best": {"load_best_model_at_end": False},
                    "due": {"eval_steps": 3},
                    "keys": {"max_grad_norm": 1.0},
                    "unsaved": {"save_strategy": "no"},
                    "unsettled": {"save_strategy": "no"},
                }.get(broken, {})
                job = dataclasses.replace(job, training=job.training.model_copy(update=changed))
                if broken == "deaf":
                    reporter = Deaf(reporter)
                if broken == "unsettled":
                    reporter = Unsettled(reporter)
                fitting: Any = Fitting(job, reporter)
                model = job.model.to(self.device)
                optimizer = build_optimizer(model, job.training)
                scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)
                if broken == "resume" and job.resume_from:
                    fitting.restore_random_states = lambda: None
                if broken == "seed":
                    torch.manual_seed(next(COUNTED))
                if broken == "looking":
                    evaluate = fitting.evaluate
                    fitting.evaluate = lambda: (torch.rand(1), evaluate())[1]
                scaler = LossScaler(self.device, job.training)
                for step in fitting.steps(optimizer, scheduler, self.forward(model), scaler=scaler):
                    for batch in step:
                        loss = step.loss(batch)
                        scaler.scale(loss * len(step.batches) if broken == "cut" else loss).backward()
                    scaler.unscale_(optimizer)
                    step.grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), largest_norm(job.training))
                    if broken == "curve":
                        step.grad_norm = step.grad_norm * 2
                    if broken == "idle":
                        optimizer.zero_grad()
                    scaler.step(optimizer)
                    scaler.update()
                    if not scaler.step_was_skipped or broken == "overflow":
                        scheduler.step()
                        if broken == "rates":
                            scheduler.step()
                    optimizer.zero_grad()
                result = fitting.finish()
                return dataclasses.replace(result, model_step=None) if broken == "result" else result

        return Session(training)

    return build


class Passing:
    """A reporter that passes on what it is told."""

    def __init__(self, reporter: Any) -> None:
        self.reporter = reporter

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reporter, name)


class Deaf(Passing):
    stop_requested = False


class Unsettled(Passing):
    stop_requested = False

    def settle(self) -> None:
        pass


LOOP: Any = Backend(name="own", summary="A loop", build=build(), checkpoint_format=CHECKPOINT_FORMAT)


def refuse_large(settings: Any, training: TrainingSettings) -> list[Problem]:
    return [Problem("it is too large", "training.learning_rate")] if training.learning_rate > 1 else []


def broken(how: str, **more: Any) -> Any:
    return dataclasses.replace(LOOP, build=build(how), **more)


class Suite(BackendSuite):
    catalogue_module = "ftrun.testing.offers"


class Float16Suite(Suite):
    """On a CPU, which is let through."""

    @pytest.fixture(autouse=True)
    def float16_here(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ftrun.settings.WITH_FLOAT16", frozenset({"cpu"}))


class SoundLoop(Float16Suite):
    component = broken("", precisions=frozenset({"float32", "float16"}))
    one_curve = True


class BrokenOverflow(Float16Suite):
    component = broken("overflow", precisions=frozenset({"float32", "float16"}))
    fails = "test_steps_that_overflow_float16_are_skipped"
    says = "goes on with the schedule at a step that is skipped"


class BrokenResult(Suite):
    component = broken("result")
    fails = "test_a_run_comes_to_its_end"
    says = "does not say the step of its model"


class BrokenTraining(Suite):
    component = broken("idle")
    fails = "test_it_trains"
    says = "trains nothing: its model is the same after 6 steps as after one"


class BrokenCurve(Suite):
    component = broken("curve")
    one_curve = True
    fails = "test_its_curve_is_that_of_loop"
    says = ["does not give loop's curve, as it stands: train/grad_norm at step 1", "on loop"]


class BrokenRates(Suite):
    component = broken("rates")
    fails = "test_its_rates_are_those_of_the_schedule"
    says = [
        "reports a rate of 0.00666667 at step 2 with no setting, and the schedule's is 0.00833333",
        "Call scheduler.step() once a step",
    ]


class SoundOwnRates(Suite):
    """Its rates are meant to be others, and it refuses those that a loss would explode by."""

    component = broken("rates", check=refuse_large)
    own_rates = True


class BrokenSeed(Suite):
    component = broken("seed")
    fails = "test_the_same_seed_gives_the_same_curve"
    says = "gives another curve the second time: train/"


class BrokenLooking(Suite):
    component = broken("looking")
    fails = "test_looking_never_changes_the_curve"
    says = "trains otherwise when it is looked at: train/"


class BrokenCut(Suite):
    component = broken("cut")
    fails = "test_the_batch_counts_and_not_how_it_is_cut"
    says = "goes by how a batch is cut"


class BrokenResume(Suite):
    component = broken("resume")
    fails = ["test_after_kill_9_it_goes_on_to_the_same_model", "test_asked_to_stop_it_stops_with_a_checkpoint"]
    says = "comes to something else after a kill: train/"


class BrokenKill(Suite):
    component = broken("unsaved")
    fails = [
        "test_after_kill_9_it_goes_on_to_the_same_model",
        "test_steps_evaluations_and_checkpoints_are_when_they_are_due",
    ]
    says = ["could not be killed after a checkpoint", "the run FINISHED after 6 steps, with no checkpoint"]


class BrokenStop(Suite):
    component = broken("deaf")
    fails = "test_asked_to_stop_it_stops_with_a_checkpoint"
    says = "does not stop when it is asked to"


class BrokenPatience(Suite):
    component = broken("patience")
    fails = "test_patience_ends_a_run_that_gets_no_better"
    says = "stops after step 9, and should after step 4"


class BrokenBest(Suite):
    component = broken("best")
    fails = "test_the_best_model_is_taken_at_the_end"
    says = "its model is of step 6; the best one is of step 2"


class BrokenStrategy(Suite):
    component = broken("due")
    fails = "test_steps_evaluations_and_checkpoints_are_when_they_are_due"
    says = "evaluates after the steps [3, 6] with eval_steps = 2"


class BrokenHonours(Suite):
    component = broken("keys")
    fails = "test_a_key_has_an_effect_if_and_only_if_it_is_honoured"
    says = ["honours training.max_grad_norm, which has no effect"]


class BrokenSecret(Suite):
    component = dataclasses.replace(LOOP, honours=frozenset(TrainingSettings.model_fields) - {"label_smoothing_factor"})
    fails = "test_a_key_has_an_effect_if_and_only_if_it_is_honoured"
    says = "training.label_smoothing_factor has an effect, and the backend"


class BrokenPrediction(Suite):
    component = broken("predict")
    fails = "test_what_it_predicts_is_what_its_evaluation_says"
    says = "gives the labels in another order than the rows"


class BrokenFiniteness(Suite):
    component = broken("unsettled")
    fails = "test_a_loss_that_is_not_finite_ends_the_run"
    says = "goes on though the loss is not finite"


class BrokenProcess(Suite):
    component = broken("process")
    fails = "test_it_leaves_the_process_as_it_was"
    says = "leaves torch's precision of float32 products as high; it was highest"


class Fast(Settings):
    fast: bool = False


class BrokenDescription(Suite):
    component = dataclasses.replace(LOOP, settings=Fast)
    fails = "test_its_settings_are_documented"
    says = "no description of fast"
