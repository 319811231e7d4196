"""What stands between two steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ftrun
import pytest
import torch
from ftrun.contracts import BestBy, FitResult
from ftrun.errors import ExperimentError
from ftrun.training import Fitting, LossScaler, build_optimizer, build_scheduler
from plain import Parts, Told


def test_too_few_rows_for_a_batch_are_told(tiny: Path) -> None:
    few = {"training.dataloader_drop_last": True, "dataset.max_train_samples": 5}
    result = ftrun.run(tiny, overrides=few, progress=False)
    assert result.status == "FAILED" and result.error
    assert "training.dataloader_drop_last: the 5 rows to train on make no whole batch" in result.error


def taken(parts: Parts, told: Told, leaves_in: int | None = None) -> FitResult:
    """A fit by the plainest of loops, which is left in a step."""
    job = parts.job()
    torch.manual_seed(1)
    fitting = Fitting(job, told)
    optimizer = build_optimizer(job.model, job.training)
    scheduler = build_scheduler(optimizer, job.training, fitting.horizon.total_steps)
    for step in fitting.steps(optimizer, scheduler, lambda batch: job.model(**batch)):
        for batch in step:
            step.loss(batch).backward()
        step.grad_norm = torch.ones(()) * step.number if step.number % 2 else float(step.number)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if step.number == leaves_in:
            break
    return fitting.finish()


@pytest.mark.parametrize("scaled", [None, False, True])
def test_in_float16_a_loss_that_is_not_scaled_and_float16_weights_are_refused(
    tmp_path: Path, scaled: bool | None
) -> None:
    """By `scaled`: no scaler; one that is off; one that is on, and weights that it cannot take back."""
    job = Parts(tmp_path, settings={"device": "cuda", "fp16": True}).job()
    if scaled:
        job.model.half()
    optimizer = build_optimizer(job.model, job.training)
    scheduler = build_scheduler(optimizer, job.training, 3)
    asked = job.training.model_copy(update={"fp16": bool(scaled)})
    scaler = None if scaled is None else LossScaler(torch.device("cpu"), asked)
    told = "the model's weights are float16 themselves" if scaled else "trains in float16 and has no LossScaler"
    with pytest.raises(ExperimentError, match=told):
        Fitting(job, Told(tmp_path)).begin(optimizer, scheduler, lambda batch: job.model(**batch), scaler)


def test_a_step_without_the_scalers_is_told_in_float16(tmp_path: Path) -> None:
    job = Parts(tmp_path, settings={"device": "cuda", "fp16": True, "dataloader_pin_memory": False}).job()
    optimizer = build_optimizer(job.model, job.training)
    scaler = LossScaler(torch.device("cpu"), job.training)
    scheduler = build_scheduler(optimizer, job.training, 3)
    steps = Fitting(job, Told(tmp_path)).steps(optimizer, scheduler, lambda batch: job.model(**batch), scaler=scaler)
    step = next(steps)
    for batch in step:
        step.loss(batch).backward()  # type: ignore[no-untyped-call]
    step.grad_norm = torch.ones(())
    with pytest.raises(ExperimentError, match=r"the backend ended step 1 without scaler\.step"):
        next(steps)


def checkpoints(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoints/*"))


def test_every_step_is_reported_with_what_it_used(tmp_path: Path) -> None:
    told = Told(tmp_path)
    fit = taken(Parts(tmp_path, settings={"gradient_accumulation_steps": 2, "max_steps": 4}), told)
    assert told.began == (4, 1)
    assert [report.step for report in told.steps] == [1, 2, 3, 4]
    assert [report.examples for report in told.steps] == [16, 6, 16, 6]
    assert [report.epoch for report in told.steps] == [16 / 22, 1.0, 1 + 16 / 22, 2.0]
    assert [report.learning_rate for report in told.steps] == pytest.approx([0.05, 0.0375, 0.025, 0.0125])
    assert [float(report.grad_norm) for report in told.steps] == [1, 2, 3, 4]
    assert (fit.steps, fit.epoch, fit.completed, fit.model_step) == (4, 2.0, True, 4)
    assert fit.model_folder == tmp_path / "model" and (tmp_path / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("stop_after", [None, 1])
@pytest.mark.parametrize("leaves_in", [1, 5])
def test_a_loop_that_is_left_in_a_step_is_told(tmp_path: Path, leaves_in: int, stop_after: int | None) -> None:
    """Also where somebody asked to stop: the weights are those of a step that is not on record."""
    told = Told(tmp_path)
    told.stop_after = stop_after
    if stop_after and leaves_in > stop_after:
        assert not taken(Parts(tmp_path), told, leaves_in).completed  # it had ended by itself
        return
    with pytest.raises(
        ExperimentError, match=f"backend: the backend left the loop over its steps in step {leaves_in} of 5"
    ):
        taken(Parts(tmp_path), told, leaves_in)
    assert checkpoints(tmp_path) == []


def test_a_loop_of_its_own_that_ends_too_early_is_told(tmp_path: Path) -> None:
    fitting = Fitting(Parts(tmp_path).job(), Told(tmp_path))
    with pytest.raises(ExperimentError, match="left the loop over its steps after step 0 of 5"):
        fitting.finish()


def test_evaluations_and_checkpoints_come_when_they_are_due(tmp_path: Path) -> None:
    told = Told(tmp_path)
    due = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 3}
    fit = taken(Parts(tmp_path, settings={**due, "max_steps": 7}), told)
    assert [report.step for report in told.evaluations] == [2, 4, 6, 7]
    assert checkpoints(tmp_path) == [3, 6, 7]
    assert fit.metrics == told.evaluations[-1].metrics and set(fit.metrics) == {"eval/loss", "eval/width"}
    assert told.looked[:2] == [("validation", 8, 13), ("validation", 13, 13)]


def test_an_evaluation_before_the_first_step_is_none_of_the_best_and_is_not_made_again(tmp_path: Path) -> None:
    told, again = Told(tmp_path / "first"), Told(tmp_path / "again")
    first = {"eval_on_start": True, "max_steps": 3, "save_strategy": "steps", "save_steps": 1}
    best = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True}
    faults = iter([0.0, 3.0, 1.0, 2.0, 1.0])
    given: dict[str, Any] = {
        "best_by": BestBy("eval/fault", False),
        "evaluators": [lambda _: {"fault": next(faults)}],
    }
    fit = taken(Parts(told.folder, settings={**first, **best}, given=given), told)
    assert [report.step for report in told.evaluations] == [0, 1, 2, 3]
    assert told.evaluations[0].epoch == 0 and fit.model_step == 2
    taken(Parts(again.folder, settings=first, given={"resume_from": told.checkpoint_folder(1)}), again)
    assert [report.step for report in again.evaluations] == [3]


def test_an_evaluation_that_waits_is_no_candidate_and_takes_no_patience(tmp_path: Path) -> None:
    told = Told(tmp_path)
    late = {"eval_strategy": "steps", "eval_steps": 1, "eval_delay": 3, "save_strategy": "best"}
    faults = iter([2.0, 3.0, 1.5, 4.0, 4.0, 1.5])
    parts = Parts(
        tmp_path,
        settings={**late, "early_stopping_patience": 2, "load_best_model_at_end": True, "max_steps": 9},
        given={"best_by": BestBy("eval/fault", False), "evaluators": [lambda _: {"fault": next(faults)}]},
    )
    fit = taken(parts, told)
    assert [report.step for report in told.evaluations] == [3, 4, 5, 6, 7]
    assert (fit.steps, fit.model_step, fit.stopped_early, checkpoints(tmp_path)) == (7, 5, True, [3, 5])


def test_a_delay_counts_epochs_or_steps_and_the_last_step_is_evaluated(tmp_path: Path) -> None:
    every: list[tuple[dict[str, Any], list[int]]] = [
        ({"eval_strategy": "epoch", "eval_delay": 2}, [6, 9, 11]),
        ({"eval_strategy": "epoch", "eval_delay": 2.5}, [9, 11]),
        ({"eval_strategy": "steps", "eval_steps": 4, "eval_delay": 5}, [8, 11]),
        ({"eval_strategy": "steps", "eval_steps": 4, "eval_delay": 11}, [11]),
    ]
    for settings, steps in every:
        told = Told(tmp_path)
        taken(Parts(tmp_path, settings={**settings, "max_steps": 11, "save_strategy": "no"}), told)
        assert [report.step for report in told.evaluations] == steps


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"eval_strategy": "epoch", "eval_delay": 500, "max_steps": 7}, "500 is more than the training's 7 steps, or 2.3"),
        ({"eval_strategy": "steps", "eval_delay": 501, "max_steps": -1}, "501 is more than the training's 9 steps, or 3 "),
    ],
)  # fmt: skip
def test_a_delay_that_no_evaluation_follows_is_told(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError, match=rf"training\.eval_delay: .*{told}"):
        Fitting(Parts(tmp_path, settings=settings).job(), Told(tmp_path))


def test_the_cache_of_a_device_is_emptied_every_so_many_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[int] = []
    told = Told(tmp_path)
    device = SimpleNamespace(empty_cache=lambda: emptied.append(len(told.steps)))
    monkeypatch.setattr(torch, "get_device_module", lambda device_of_the_loss: device)
    emptying = {"device": "auto", "torch_empty_cache_steps": 2, "dataloader_pin_memory": False}
    taken(Parts(tmp_path, settings={**emptying, "max_steps": 5}), told)
    assert emptied == [1, 3]  # before the step is told
    taken(Parts(tmp_path, settings={"max_steps": 2}), told)
    assert len(emptied) == 2


def test_what_a_metric_or_an_observer_draws_changes_nothing_of_the_training(tmp_path: Path) -> None:
    class Drawing(Told):
        def evaluated(self, report: Any) -> None:
            torch.rand(1)
            super().evaluated(report)

    job = Parts(tmp_path, settings={"eval_strategy": "steps", "eval_steps": 1}).job()
    job = replace(job, evaluators=[lambda predictions: {"chance": float(torch.rand(1))}])
    fitting = Fitting(job, Drawing(tmp_path))
    optimizer = build_optimizer(job.model, job.training)
    fitting.begin(optimizer, build_scheduler(optimizer, job.training, 3), lambda batch: job.model(**batch))
    before = torch.get_rng_state()
    assert "eval/chance" in fitting.evaluate()
    assert torch.equal(torch.get_rng_state(), before)


def test_the_best_is_kept_and_taken_and_patience_ends_it(tmp_path: Path) -> None:
    told = Told(tmp_path)
    best = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "best", "load_best_model_at_end": True}
    worse = iter([3.0, 1.0, 2.0, 2.0, 2.0])
    parts = Parts(
        tmp_path,
        settings={**best, "early_stopping_patience": 2, "max_steps": 9},
        given={"best_by": BestBy("eval/fault", False), "evaluators": [lambda _: {"fault": next(worse)}]},
    )
    fit = taken(parts, told)
    assert (fit.steps, fit.model_step, fit.stopped_early, checkpoints(tmp_path)) == (4, 2, True, [1, 2])


def test_it_stops_on_request_with_a_checkpoint_and_goes_on_from_there(tmp_path: Path) -> None:
    whole, stopped, resumed = [Told(tmp_path / name) for name in ("whole", "stopped", "resumed")]
    settings: dict[str, Any] = {"max_steps": 6, "save_strategy": "no"}
    undisturbed = taken(Parts(whole.folder, settings=settings), whole)
    stopped.stop_after = 4
    fit = taken(Parts(stopped.folder, settings=settings), stopped)
    assert not fit.completed and fit.steps == 4 and fit.model_folder is None
    assert checkpoints(stopped.folder) == [4]
    given = {"resume_from": stopped.checkpoint_folder(4)}
    fit = taken(Parts(resumed.folder, seed=77, settings=settings, given=given), resumed)
    assert resumed.began == (6, 5)
    assert stopped.losses + resumed.losses == whole.losses
    assert fit.metrics == undisturbed.metrics
    weights = [(told.folder / "model" / "model.safetensors").read_bytes() for told in (whole, resumed)]
    assert weights[0] == weights[1]


def test_nothing_is_left_to_do_where_the_last_step_was_taken(tmp_path: Path) -> None:
    first, again = Told(tmp_path / "first"), Told(tmp_path / "again")
    parts = Parts(first.folder, settings={"max_steps": 3, "save_strategy": "steps", "save_steps": 3})
    undisturbed = taken(parts, first)
    given = {"resume_from": first.checkpoint_folder(3)}
    fit = taken(Parts(again.folder, seed=77, settings=parts.settings, given=given), again)
    assert again.steps == [] and again.began == (3, 4)
    assert fit.completed and fit.metrics == undisturbed.metrics


def test_rows_that_make_no_batch_are_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="the 5 rows to train on make no whole batch"):
        Fitting(Parts(tmp_path, rows=5, settings={"dataloader_drop_last": True}).job(), Told(tmp_path))
