"""What a backend is held to."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from ftrun.contracts import Backend, Kind
from ftrun.errors import FtrunError, Problem
from ftrun.settings import Settings, TrainingSettings, float16_problem
from ftrun.testing.keys import CHANGES
from ftrun.testing.killing import run_killed
from ftrun.testing.offers import HERE, catalogue_with
from ftrun.testing.plain import plain
from ftrun.testing.running import EXPERIMENT, StoppingAfter, TinyRun, attempt, difference, go_on, is_close, plan_of
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import ComponentSuite, Table, why

STEPS = 6
"""Of the small experiment: 20 rows are three batches of 8, in each of two epochs."""
EVERY_STEP = ("train/loss", "train/learning_rate", "train/grad_norm", "epoch")
SAVING = {"training.save_strategy": "steps", "training.save_steps": 2}
LOOKING = {"training.eval_strategy": "steps", "training.eval_steps": 1}


class BackendSuite(ComponentSuite):
    """What a backend is held to, beside what every component is (see `ftrun.testing.ComponentSuite`).

    What it need not do it is not asked for: what its `honours` leaves out is skipped, and so is what is about
    checkpoints, where it writes none (`checkpoint_format = None`).

    - A run of it comes to its end: every step is reported, with a finite loss, rate and gradient norm; every epoch is
      evaluated; the model and its predictions are saved.
    - It trains: the model after the last step is another one than after the first.
    - Its curve, predictions and saved model are those of `loop`, bit for bit, where `one_curve` promises that: as it
      stands, under accumulation with a short last group, and with clipping, decay and warm-up.
    - Its rates are those of the schedule, step by step, where it honours `learning_rate` and `lr_scheduler_type`.
    - The same seed gives the same curve and the same model, in one process too; another seed another one.
    - Looking never changes the curve: evaluating and saving leave it as it is.
    - The batch is what counts, and not how it is cut: 8 rows at once, 2 x 4 and 1 x 8 give one curve, to rounding.
    - A run that was killed with `kill -9`, in a process of its own, goes on to the points and the model of one that was
      never disturbed.
    - Asked to stop it ends after that step, with a checkpoint, and goes on from there.
    - Patience is obeyed: with `early_stopping_patience = 2` the second evaluation in a row that is no better is the
      last.
    - `load_best_model_at_end` lets the model be that of the best evaluation.
    - Steps are as many as `max_steps` and `num_train_epochs` say; evaluations and checkpoints when the strategies have
      them; no more checkpoints are kept than `save_total_limit` asks for.
    - Each key of `[training]` that it honours has an effect, and each that it does not honour has none.
    - What it predicts of rows, with labels and without, is what its evaluation says of them.
    - In float16, where it trains in that and there is a GPU: a step whose gradients overflow is skipped and ends no
      run, the learning rate stays where it is, and every step says what its loss was scaled by.
    - A loss that is not finite ends the run before a checkpoint or a model is written.
    - It leaves the process as it was: environment, threads, precision, determinism and logging.

    Attributes:
        one_curve: Whether it gives the curve of `loop`, the plain loop that is built in. By default false.
        own_rates: Whether the rates that it reports are meant to be others than those of the schedule. By default
            false.
        not_finite: Values by dotted key under which the loss is finite at first, and not in a step before the last. By
            default the tiny model sees to that, in its fourth pass in training; where `experiment` brings another
            model, `{"training.learning_rate": 1e30}`.
        tolerance: The share by which a curve may differ where a batch is cut otherwise. By default 1e-4.
        training: Keys of `[training]` for every run, such as `{"learning_rate": 0.1}`. By default none.
        experiment: As with every suite; here for a backend that does not train by torch: its own data, model and
            collator.
    """

    kind: ClassVar[Kind] = "backend"
    one_curve: ClassVar[bool] = False
    own_rates: ClassVar[bool] = False
    not_finite: ClassVar[Table | None] = None
    tolerance: ClassVar[float] = 1e-4
    training: ClassVar[Table] = {}

    def test_a_run_comes_to_its_end(self) -> None:
        """With every step and every evaluation on record, the model and its predictions."""
        run = self._undisturbed
        expect(run.result.steps == STEPS, f"{self.who} takes {run.result.steps} steps, and should take {STEPS}")
        for key in EVERY_STEP:
            for step in range(1, STEPS + 1):
                number = run.points.get((key, step), math.nan)
                expect(math.isfinite(number), f"{self.who} reports no finite {key} at step {step}", "See StepReport.")
        evaluated = sorted({step for key, step in run.points if key == "eval/loss"})
        due = [3, 6] if self._honours("eval_strategy") else evaluated
        expect(evaluated == due, f"{self.who} evaluates after the steps {evaluated}, and should after {due}")
        expect(STEPS in evaluated, f"{self.who} has no evaluation of the trained model, with its loss")
        expect(bool(run.model), f"{self.who} saves no model")
        expect(run.model_step is not None, f"{self.who} does not say the step of its model", "FitResult.model_step")

    def test_it_trains(self) -> None:
        """The model after all steps is another one than after the first."""
        self._needs("max_steps")
        one = self._run({"training.max_steps": 1}, "a run of one step")
        hint = "Take each step: gradients of its losses, and optimizer.step() of the parameters that the model has."
        same = one.model == self._undisturbed.model
        expect(not same, f"{self.who} trains nothing: its model is the same after {STEPS} steps as after one", hint)

    def test_its_curve_is_that_of_loop(self) -> None:
        """Bit for bit, and so are its predictions and its model."""
        if not self.one_curve:
            pytest.skip("it promises no such curve; if it does: one_curve = True")
        for what, settings in ONE_CURVE.items():
            ours, theirs = (self._run({**settings, **backend}, f"a run, {what},") for backend in ({}, LOOP))
            told = difference(ours, theirs, (f"on {self.use}", "on loop"))
            hint = (
                "See `help(ftrun.training)`: order of the rows, optimizer, schedule and loss are there for everybody."
            )
            expect(told is None, f"{self.who} does not give loop's curve, {what}: {told}", hint)
            alike = ours.predictions == theirs.predictions and ours.logits == theirs.logits
            expect(alike, f"{self.who} does not give loop's predictions, {what}")

    def test_its_rates_are_those_of_the_schedule(self) -> None:
        """Step by step: of the linear one, and as each key has it that makes another."""
        self._needs("learning_rate", "lr_scheduler_type")
        if self.own_rates:
            pytest.skip("it has rates of its own: own_rates = True")
        for key, settings in RATES.items():
            if key and not self._honours(key):
                continue
            run = self._tried(settings, True) if settings else self._undisturbed
            due = _rates(plan_of({**self._overrides(settings), **self.experiment}, self.catalogue).training, STEPS)
            for step, rate in enumerate(due, 1):
                told, given = run.points.get(("train/learning_rate", step), math.nan), settings or "no setting"
                which = f"a rate of {told:g} at step {step} with {given}"
                message = f"{self.who} reports {which}, and the schedule's is {rate:g}"
                hint = "Call scheduler.step() once a step; StepReport has the rate that the step used."
                expect(math.isclose(told, rate, rel_tol=1e-5, abs_tol=1e-9), message, hint)

    def test_the_same_seed_gives_the_same_curve(self) -> None:
        """The n-th run in a process is as the first; and another seed gives another curve."""
        again = self._run({}, "a second run")
        told = difference(self._undisturbed, again, ("at first", "the second time"))
        hint = "Draw from the generators that `seed` seeds, and keep nothing from one run to the next."
        expect(told is None, f"{self.who} gives another curve the second time: {told}", hint)
        other = self._run({"seed": 2}, "a run with another seed")
        expect(other.curve != self._undisturbed.curve, f"{self.who} gives the same curve with another seed")

    def test_looking_never_changes_the_curve(self) -> None:
        """Evaluating and saving after each step leaves every step as it is."""
        self._needs("eval_strategy", "eval_steps", "save_strategy", "save_steps")
        looking = {**LOOKING, "training.save_strategy": "steps", "training.save_steps": 1}
        often, never = (self._run(how, "a run") for how in (looking, {"training.eval_strategy": "no"}))
        told = _difference_of_steps(often, never, ("where every step is evaluated", "where none is"))
        hint = "Give what evaluates a generator of its own, and put the model back to train()."
        expect(told is None, f"{self.who} trains otherwise when it is looked at: {told}", hint)

    def test_the_batch_counts_and_not_how_it_is_cut(self) -> None:
        """8 rows, 2 x 4 and 1 x 8 make one step, the last one of 4 rows, too."""
        self._needs("gradient_accumulation_steps", "per_device_train_batch_size")
        without_chance = {"model.dropout": 0.0} if "model" not in self.experiment else {}
        whole, *cut = (self._run({**without_chance, **_cut(size)}, f"a run in batches of {size}") for size in (8, 4, 1))
        for size, run in zip((4, 1), cut, strict=True):
            told = _difference_of_steps(whole, run, ("in one batch of 8", f"in batches of {size}"), self.tolerance)
            hint = "The step's loss is the mean over all its labels, not of its batches' means; clip once, at its end."
            expect(told is None, f"{self.who} goes by how a batch is cut: {told}", hint)

    def test_after_kill_9_it_goes_on_to_the_same_model(self) -> None:
        """To the points and the model of a run that was never disturbed."""
        self._needs_checkpoints("save_steps")
        undisturbed = self._saved
        try:
            killed = run_killed(self.new_folder(), {**self._overrides(SAVING), **self.experiment}, 5, type(self))
        except RuntimeError as error:
            fail(f"{self.who} could not be killed after a checkpoint, in a process of its own:\n{error}")
        resumed = self._gone_on(TinyRun(killed, undisturbed.result), "that was killed")
        told = difference(undisturbed, resumed, ("undisturbed", "killed and gone on with"))
        hint = (
            "A checkpoint must hold all that the next step depends on: optimizer, schedule, generators, place in data. "
            "Gradients are in none: optimizer.zero_grad() after each step."
        )
        expect(told is None, f"{self.who} comes to something else after a kill: {told}", hint)

    def test_asked_to_stop_it_stops_with_a_checkpoint(self) -> None:
        """After the step that it is in; and it goes on from there."""
        self._needs_checkpoints()
        if threading.current_thread() is not threading.main_thread():
            pytest.skip("signals come in the main thread alone")
        stopped = self._attempted(
            {**SAVING, "training.save_steps": 50}, "a run that is stopped", watcher=StoppingAfter(4)
        )
        result = stopped.result
        hint = "Ask reporter.stop_requested after each step, write a checkpoint and return."
        expect(result.status == "KILLED", f"{self.who} does not stop when it is asked to: {result.error}", hint)
        expect(result.steps == 4, f"{self.who} was asked to stop in step 4, and stops after step {result.steps}", hint)
        expect(
            list(stopped.checkpoints) == [4],
            f"{self.who} stops after step 4, with checkpoints {stopped.checkpoints}",
            hint,
        )
        resumed = self._gone_on(stopped, "that was stopped")
        told = difference(self._undisturbed, resumed, ("undisturbed", "stopped and gone on with"))
        expect(told is None, f"{self.who} comes to something else once it was stopped: {told}")

    def test_patience_ends_a_run_that_gets_no_better(self) -> None:
        """With a patience of 2, two evaluations in a row that are no better are enough."""
        self._needs("early_stopping_patience", "eval_strategy", "eval_steps")
        patience = {"training.early_stopping_patience": 2, "training.num_train_epochs": 3}
        run = self._run({**self._worse_after_two, **patience}, "a run with early stopping")
        hint = (
            "The best evaluation was after step 2; those after 3 and 4 were no better. FitResult.stopped_early is true."
        )
        expect(run.result.steps == 4, f"{self.who} stops after step {run.result.steps}, and should after step 4", hint)

    def test_the_best_model_is_taken_at_the_end(self) -> None:
        """Not the last one."""
        self._needs("load_best_model_at_end", "eval_strategy", "eval_steps")
        self._needs_checkpoints()
        run = self._run({**self._worse_after_two, "training.load_best_model_at_end": True}, "a run")
        expect(
            run.model_step == 2,
            f"{self.who} says that its model is of step {run.model_step}; the best one is of step 2",
        )
        loss, best = run.result.metrics.get("eval/loss", math.nan), run.points["eval/loss", 2]
        hint = "Put the weights of the best checkpoint back, and predict once more, before the model is saved."
        expect(loss == best, f"{self.who} ends with eval/loss {loss!r}, and that of the best model is {best!r}", hint)
        last = self._undisturbed.model
        expect(run.model != last, f"{self.who} saves the last model, not the best one", hint)

    def test_steps_evaluations_and_checkpoints_are_when_they_are_due(self) -> None:
        """As `max_steps`, the strategies and `save_total_limit` say."""
        if self._honours("max_steps"):
            run = self._run({"training.max_steps": 4, "training.eval_strategy": "no"}, "a run of 4 steps")
            expect(run.result.steps == 4, f"{self.who} takes {run.result.steps} steps with max_steps = 4")
            early = [step for key, step in run.points if key == "eval/loss" and step < 4]
            expect(not early, f'{self.who} evaluates after step {early} with eval_strategy = "no"')
        if self._honours("eval_strategy") and self._honours("eval_steps"):
            run = self._run({**LOOKING, "training.eval_steps": 2}, "a run that is evaluated")
            steps = sorted({step for key, step in run.points if key == "eval/loss"})
            expect(steps == [2, 4, 6], f"{self.who} evaluates after the steps {steps} with eval_steps = 2")
        if self._writes_checkpoints and self._honours("save_steps"):
            steps = list(self._saved.checkpoints)
            expect(steps == [2, 4, 6], f"{self.who} writes checkpoints of the steps {steps} with save_steps = 2")
        if self._writes_checkpoints and self._honours("save_total_limit") and self._honours("save_steps"):
            kept = self._run({**SAVING, "training.save_total_limit": 1}, "a run").folder / "checkpoints"
            names = sorted(path.name for path in kept.iterdir())
            expect(names == ["checkpoint-6"], f"{self.who} keeps {', '.join(names)} with save_total_limit = 1")

    @pytest.mark.parametrize("key", list(CHANGES))
    def test_a_key_has_an_effect_if_and_only_if_it_is_honoured(self, key: str) -> None:
        """Else a setting on the record would mean nothing, or what had an effect would not be on it."""
        change = CHANGES[key]
        if key == "bf16" and "bfloat16" not in self._backend.precisions:
            pytest.skip("it does not train in bfloat16")
        honoured = self._honours(key)
        before = change.before
        first, other = (self._tried(settings, honoured) for settings in (before, {**before, **change.after}))
        alike = _difference_of_steps(first, other, ("", "")) is None and first.points.keys() == other.points.keys()
        if honoured:
            hint = f"Obey it, or leave it out of honours: then a file that sets it is refused. {change.told}"
            expect(not alike, f"{self.who} honours training.{key}, which has no effect", hint)
        else:
            hint = "Add it to honours: else no file may set it, and the record lacks it."
            expect(alike, f"training.{key} has an effect, and {self.who} does not honour it", hint)

    def test_what_it_predicts_is_what_its_evaluation_says(self) -> None:
        """Of rows with labels, and without."""
        with self.workshop(self._overrides({})) as made, answering(f"predict of {self.who}"):
            rows = next(iter(made.job.evaluation.values()))
            labelled = [dict(rows[row]) for row in range(len(rows))]
            bare = [{name: value for name, value in row.items() if name != "labels"} for row in labelled]
            first, again, without = (made.session.predict(made.job, some) for some in (labelled, labelled, bare))
        hint = "Predict in eval() and in the order of the rows, and leave the model as it was."
        expect(plain(first.logits) == plain(again.logits), f"{self.who} predicts something else when asked again", hint)
        alike = plain(first.logits) == plain(without.logits)
        expect(alike, f"{self.who} predicts rows otherwise where they have no labels", hint)
        bare_is_told = without.labels is None and without.loss is None
        expect(
            bare_is_told,
            f"{self.who} gives labels or a loss for rows without labels",
            "See ftrun.contracts.Predictions.",
        )
        given = [row["labels"] for row in labelled]
        expect(plain(first.labels) == given, f"{self.who} gives the labels in another order than the rows", hint)

    def test_a_loss_that_is_not_finite_ends_the_run(self) -> None:
        """Before a checkpoint or a model of it is written."""
        saving = {"training.save_strategy": "steps", "training.save_steps": 1} if self._writes_checkpoints else {}
        run = self._attempted({**self._exploding, **saving}, "a run whose loss is not finite")
        hint = "Call reporter.settle() before anything is saved; `Fitting` does."
        began = run.result.steps > 0
        expect(began, f"{self.who} takes no step of a run whose loss is finite at first: {why(run)}", "See not_finite.")
        ended = run.result.status == "FAILED" and run.result.steps < STEPS
        expect(ended, f"{self.who} goes on though the loss is not finite: {run.result.status}", hint)
        sound = [step for step in run.checkpoints if math.isfinite(run.curve.get(step, math.nan))]
        expect(
            list(run.checkpoints) == sound, f"{self.who} writes a checkpoint of a step whose loss is not finite", hint
        )
        expect(not run.model, f"{self.who} saves a model though the loss is not finite", hint)

    def test_steps_that_overflow_float16_are_skipped(self) -> None:
        """They end no run, and leave the rate where it is; without them, too, the curve is that of `loop`."""
        if "float16" not in self._backend.precisions:
            pytest.skip("it does not train in float16")
        if (device := _device_with_float16()) is None:
            pytest.skip("there is no GPU")
        half = {"training.fp16": True, "training.device": device, "training.full_determinism": True}
        with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
            patch.setattr("ftrun.training.scaling.FIRST_SCALE", 2.0**40)  # too much for any gradient
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)  # is told below
            skipped = self._run(half, "a run in float16 whose gradients overflow").points
        for step in range(1, STEPS + 1):
            scale, hint = (
                skipped.get(("train/loss_scale", step)),
                "Scale by a LossScaler, and hand it to Fitting.steps.",
            )
            expect(scale == 2.0 ** (41 - step), f"{self.who} has the loss of step {step} scaled by {scale}", hint)
            expect(("train/grad_norm", step) not in skipped, f"{self.who} takes step {step}, which overflows", hint)
            hint = "Call scheduler.step() unless scaler.step_was_skipped."
            rates = [skipped["train/learning_rate", at] for at in (1, step)]
            expect(rates[0] == rates[1], f"{self.who} goes on with the schedule at a step that is skipped", hint)
        if self.one_curve:
            ours, theirs = (self._run({**half, **backend}, "a run in float16") for backend in ({}, LOOP))
            told = difference(ours, theirs, (f"on {self.use}", "on loop"))
            expect(told is None, f"{self.who} does not give loop's curve in float16: {told}")

    def test_it_leaves_the_process_as_it_was(self) -> None:
        """Whatever runs in it next is as it would be in a process of its own."""
        with _torch_as_it_begins():  # else what an earlier run has left would be taken for what was there
            before = _process()
            self._run({"training.full_determinism": True} if self._honours("full_determinism") else {}, "a run")
            after = _process()
        for name, value in after.items():
            hint = "Put it back as the session is left: `TorchSession` does."
            expect(value == before[name], f"{self.who} leaves {name} as {value}; it was {before[name]}", hint)

    def try_out(self, settings: Settings) -> None:
        """Builds a session."""
        self._backend.build(settings, TrainingSettings(**{"device": "cpu", **self.training}))

    def _checked(self, settings: Settings) -> Sequence[Problem]:
        training = TrainingSettings(**{"device": "cpu", **self.training})
        return self._backend.check(settings, training) if self._backend.check else ()

    @property
    def _backend(self) -> Backend:
        return self.part.component(Backend)

    def _honours(self, key: str) -> bool:
        return self._backend.honours is None or key in self._backend.honours

    def _needs(self, *keys: str) -> None:
        if missing := [key for key in keys if not self._honours(key)]:
            pytest.skip(f"it does not honour {', '.join(missing)}")

    @property
    def _writes_checkpoints(self) -> bool:
        return self._backend.checkpoint_format is not None and self._honours("save_strategy")

    def _needs_checkpoints(self, *keys: str) -> None:
        if not self._writes_checkpoints:
            pytest.skip("it writes no checkpoints")
        self._needs(*keys)

    def _overrides(self, settings: Table) -> dict[str, Any]:
        """Settings of a run, but for keys that the backend does not honour: of those nothing is asked."""
        backend = {"backend": {"use": self.use, **self.table}}
        training = {**EXPERIMENT["training"], **self.training}
        whole = {**backend, **{f"training.{key}": value for key, value in training.items()}, **settings}
        return {key: value if self._knows(key) else None for key, value in whole.items()}

    def _knows(self, key: str) -> bool:
        return not key.startswith("training.") or self._honours(key.removeprefix("training."))

    def _run(self, settings: Table, what: str) -> TinyRun:
        return self.run(self._overrides(settings), what)

    def _attempted(self, settings: Table, what: str, **how: Any) -> TinyRun:
        return self.attempted(self._overrides(settings), what, **how)

    def _gone_on(self, run: TinyRun, what: str) -> TinyRun:
        try:
            resumed = go_on(run.folder, self.catalogue)
        except FtrunError as error:
            fail(f"a run on {self.who} {what} cannot be gone on with:\n{error}")
        if resumed.result.status != "FINISHED":
            fail(f"a run on {self.who} {what} does not finish when it is gone on with: {why(resumed)}")
        return resumed

    @property
    def _undisturbed(self) -> TinyRun:
        return self.once("undisturbed", lambda: self._run({}, "a run"))

    @property
    def _saved(self) -> TinyRun:
        return self.once("saved", lambda: self._run(SAVING, "a run with checkpoints"))

    @property
    def _worse_after_two(self) -> Table:
        """Settings by which the second evaluation is the best one, and none after it is better."""

        def make() -> int:
            with self.workshop(self._overrides({})) as made:
                return len(next(iter(made.job.evaluation.values())))

        scripted = {"use": "ftrun.testing:scripted", "values": [0.1, 0.9, 0.5, 0.4, 0.3]}
        return {
            **LOOKING,
            "metrics": [{**scripted, "rows": self.once("rows", make)}],
            "training.metric_for_best_model": "scripted",
            "training.per_device_eval_batch_size": 4,  # the batch that a run rehearses with is no evaluation
        }

    @property
    def _exploding(self) -> Table:
        """Settings by which the loss of a step is not finite."""
        if self.not_finite is not None:
            return self.not_finite
        if not self._brings("model"):
            return {"model": {"use": "ftrun.testing:tiny", "overflows_in": 4}}
        self._needs("learning_rate")
        return {"training.learning_rate": 1e30}

    def _tried(self, settings: Table, honoured: bool) -> TinyRun:
        """A run with settings, also of keys that the backend does not honour: the planner does not hear of them."""
        if honoured:
            return self.once(f"tried {settings}", lambda: self._run(settings, "a run"))

        def make() -> TinyRun:
            obeying = dataclasses.replace(self._backend, name="any-key", honours=None)
            catalogue = catalogue_with((*self.offered, obeying))
            table = {"backend": {"use": f"{HERE}:any-key", **self.table}, **settings, **self.experiment}
            try:
                return attempt(self.new_folder(), table, catalogue)
            except FtrunError as error:
                fail(f"a run with {self.who} is refused:\n{error}")

        return self.once(f"tried anyway {settings}", make)


LOOP = {"backend": {"use": "ftrun:loop"}}
ONE_CURVE: Mapping[str, Table] = {
    "as it stands": {},
    "under accumulation with a short last group": {
        "training.per_device_train_batch_size": 3,
        "training.gradient_accumulation_steps": 4,
    },
    "with clipping, decay and warm-up": {
        "training.max_grad_norm": 0.1,
        "training.weight_decay": 0.1,
        "training.warmup_steps": 3,
    },
}
"""What a curve is compared with loop's under."""
OF_THE_RATE = ("learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps")
RATES: Mapping[str, Table] = {"": {}, **{key: {**CHANGES[key].before, **CHANGES[key].after} for key in OF_THE_RATE}}
"""What rates are compared under, each by the key that it is a matter of."""


def _rates(training: TrainingSettings, steps: int) -> Sequence[float]:
    """The rate of each step, as the schedule has it."""
    import torch

    from ftrun.training import build_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=training.learning_rate)
    scheduler = build_scheduler(optimizer, training, steps)
    rates = []
    for _ in range(steps):
        rates.append(float(scheduler.get_last_lr()[0]))
        optimizer.step()
        scheduler.step()
    return rates


def _cut(size: int) -> Table:
    return {"training.per_device_train_batch_size": size, "training.gradient_accumulation_steps": 8 // size}


def _difference_of_steps(one: TinyRun, other: TinyRun, names: tuple[str, str], tolerance: float = 0.0) -> str | None:
    """As `difference`, of what every step reports alone."""
    first, second = (
        {key: number for key, number in run.points.items() if key[0] in EVERY_STEP} for run in (one, other)
    )
    for key, step in sorted({**first, **second}, key=lambda point: (point[1], point[0])):
        here, there = first.get((key, step)), second.get((key, step))
        if here is None or there is None or not is_close(here, there, tolerance):
            return f"{key} at step {step} is {here!r} {names[0]}, and {there!r} {names[1]}"
    return None


def _device_with_float16() -> str | None:
    """What there is here to train in float16 on."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return None if float16_problem("cpu") else "cpu"


@contextlib.contextmanager
def _torch_as_it_begins() -> Iterator[None]:
    """Torch's global settings as those of a new process; put back at the end."""
    import torch

    found = (
        torch.get_default_dtype(),
        torch.get_float32_matmul_precision(),
        torch.are_deterministic_algorithms_enabled(),
    )
    _set_torch(torch.float32, "highest", False)
    try:
        yield
    finally:
        _set_torch(*found)


def _set_torch(dtype: Any, precision: str, deterministic: bool) -> None:
    import torch

    torch.set_default_dtype(dtype)
    torch.set_float32_matmul_precision(precision)
    torch.use_deterministic_algorithms(deterministic)


def _process() -> dict[str, Any]:
    """What of a process a training may change, and nobody sees."""
    import torch

    return {
        "the environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "the number of torch's threads": torch.get_num_threads(),
        "torch's default type": torch.get_default_dtype(),
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "torch's precision of float32 products": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "gradients": torch.is_grad_enabled(),
        "the handlers of the root logger": list(logging.getLogger().handlers),
        "the level of the root logger": logging.getLogger().level,
        "the handler of SIGTERM": signal.getsignal(signal.SIGTERM),
        "the handler of SIGINT": signal.getsignal(signal.SIGINT),
    }
