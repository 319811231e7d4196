"""fp16: a scaled loss on one curve for every backend, steps that overflow left out, and a refusal where a device lacks it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
import torch
from ftrun.errors import ExperimentError
from helpers import BACKENDS, died_after, journal_of, plan_of, points_of, run, slow, weights_of

HALF: Mapping[str, Any] = {"training.fp16": True}
SAVING = {"training.save_strategy": "steps", "training.save_steps": 1}
SETTINGS: dict[str, dict[str, Any]] = {
    "AdamW, fused, and a warm-up": {"training.warmup_steps": 3},
    "accumulation with a short last group, unfused": {
        "training.optim": "adamw_torch",
        "training.gradient_accumulation_steps": 4,
        "training.per_device_train_batch_size": 3,
        "training.num_train_epochs": 4,
    },
    "SGD with momentum, no clipping": {
        "training.optim": "sgd",
        "training.optim_args": {"momentum": 0.9},
        "training.max_grad_norm": 0.0,
    },
    "the best model, activations computed again": {
        "training.gradient_checkpointing": True,
        "training.eval_strategy": "steps",
        "training.eval_steps": 2,
        "training.load_best_model_at_end": True,
        "training.metric_for_best_model": "loss",
        "training.lr_scheduler_type": "cosine",
    },
}
SOON = ("AdamW, fused, and a warm-up",)


@pytest.mark.parametrize("settings", [name if name in SOON else slow(name) for name in SETTINGS])
def test_all_backends_give_one_curve_with_steps_that_overflow(tiny: Path, overflowing: None, settings: str) -> None:
    asked = {**HALF, **SETTINGS[settings]}
    first, *others = [run(tiny, {**asked, "backend.use": backend}) for backend in BACKENDS]
    points = points_of(first.run_folder)
    skipped = skipped_steps(points, first.steps)
    assert 0 < len(skipped) < first.steps
    for other in others:
        assert points_of(other.run_folder) == points
        assert weights_of(other.run_folder) == weights_of(first.run_folder)
        assert other.metrics == first.metrics


def skipped_steps(points: Mapping[tuple[str, int], float], steps: int) -> list[int]:
    return [step for step in range(1, steps + 1) if ("train/grad_norm", step) not in points]


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_a_skipped_step_leaves_rate_and_weights_and_halves_the_scale(
    tiny: Path, overflowing: None, backend: str
) -> None:
    result = run(tiny, {**HALF, **SAVING, "backend.use": backend})
    points = points_of(result.run_folder)
    skipped = skipped_steps(points, result.steps)
    assert skipped[:2] == [1, 2]
    files = [checkpoint(result, step) / "model.safetensors" for step in range(1, result.steps + 1)]
    for step in range(1, result.steps):
        rate, scale = [
            points[f"train/{key}", step] - points[f"train/{key}", step + 1] for key in ("learning_rate", "loss_scale")
        ]
        assert (rate == 0, scale == points["train/loss_scale", step] / 2) == (step in skipped, step in skipped)
        assert (files[step].read_bytes() == files[step - 1].read_bytes()) == (step + 1 in skipped)
    taken = result.steps - len(skipped)
    last = points["train/learning_rate", result.steps]
    assert last == pytest.approx(1e-3 * (1 - (taken - 1) / result.steps))  # TINY's schedule is linear, without warm-up


def checkpoint(result: ftrun.RunResult, step: int) -> Path:
    return result.run_folder / "checkpoints" / f"checkpoint-{step}"


def test_the_norm_is_that_of_the_gradients(tiny: Path, float16_here: None) -> None:
    still = {"training.learning_rate": 0.0, "training.max_steps": 4, "model.dropout": 0.0}
    half, full = [points_of(run(tiny, {**still, **asked}).run_folder) for asked in (HALF, {})]
    assert {key for key, _ in half} - {key for key, _ in full} == {"train/loss_scale"}
    for key in full:
        assert half[key] == pytest.approx(full[key], rel=0.02, abs=1e-3)  # where next to nothing is left of a norm
    assert half["train/grad_norm", 1] != full["train/grad_norm", 1]  # so that it was float16 indeed


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_gradients_are_clipped_by_that_norm(tiny: Path, float16_here: None, backend: str) -> None:
    from safetensors.numpy import load

    one = {"training.max_steps": 1, "training.optim": "sgd", "training.learning_rate": 1.0, "backend.use": backend}
    begun, half, full = [
        load(weights_of(run(tiny, {**one, "training.max_grad_norm": 0.05, **asked}).run_folder))
        for asked in ({"training.learning_rate": 0.0}, HALF, {})
    ]
    for weights in (half, full):  # a step by a gradient whose norm was clipped to 0.05
        moved = math.sqrt(sum(float(((weights[name] - begun[name]) ** 2).sum()) for name in begun))
        assert moved == pytest.approx(0.05, rel=0.01)


@pytest.mark.parametrize(
    ("backend", "goes_on"), [slow(("loop", "trainer")), slow(("trainer", "accelerate")), slow(("accelerate", "loop"))]
)
def test_a_run_that_died_goes_on_to_the_same_end(
    tiny: Path, overflowing: None, monkeypatch: pytest.MonkeyPatch, backend: str, goes_on: str
) -> None:
    import ftrun.training.scaling as scaling

    whole = run(tiny, {**HALF, **SAVING, "training.save_steps": 2, "backend.use": backend})
    state = torch.load(checkpoint(whole, 6) / "scaler.pt", weights_only=True)
    assert state["scale"] < scaling.FIRST_SCALE and state["growth_interval"] == 2000
    monkeypatch.setattr(scaling, "FIRST_SCALE", 2.0**40)  # so that a scale that is not read back shows
    for step in (2, 8):
        folder = died_after(whole.run_folder, step, f"died-after-{step}")
        resumed = ftrun.resume(folder, backend=goes_on, progress=False)
        assert resumed.status == "FINISHED", (folder / "log.txt").read_text()
        assert points_of(folder) == points_of(whole.run_folder) and weights_of(folder) == weights_of(whole.run_folder)
        assert not [record for record in journal_of(folder) if record["type"] == "differing"]


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_what_the_scale_grows_by_is_in_a_checkpoint_too(
    tiny: Path, float16_here: None, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    import ftrun.training.scaling as scaling

    made = scaling.LossScaler.__init__

    def growing(scaler: scaling.LossScaler, *arguments: Any) -> None:
        made(scaler, *arguments)
        scaler.set_growth_interval(4)

    monkeypatch.setattr(scaling.LossScaler, "__init__", growing)
    monkeypatch.setattr(scaling, "FIRST_SCALE", 8.0)
    whole = run(tiny, {**HALF, **SAVING, "training.save_steps": 6, "backend.use": backend})
    scales = [points_of(whole.run_folder)["train/loss_scale", step] for step in range(1, whole.steps + 1)]
    assert scales == [8.0] * 4 + [16.0] * 4 + [32.0] * 4
    folder = died_after(whole.run_folder, 6, "died")
    assert ftrun.resume(folder, progress=False).status == "FINISHED"
    assert points_of(folder) == points_of(whole.run_folder) and weights_of(folder) == weights_of(whole.run_folder)


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
@pytest.mark.parametrize("began", [slow(False), True])
def test_a_run_goes_on_in_another_precision_where_a_person_allows_it(
    tiny: Path, float16_here: None, backend: str, began: bool
) -> None:
    whole = run(tiny, {**SAVING, "training.fp16": began, "backend.use": backend, "training.max_steps": 4})
    assert (checkpoint(whole, 2) / "scaler.pt").exists() == began
    folder = died_after(whole.run_folder, 2, "died")
    with pytest.raises(ExperimentError, match=r"training\.fp16"):
        ftrun.resume(folder, overrides={"training.fp16": not began}, progress=False)
    resumed = ftrun.resume(folder, overrides={"training.fp16": not began}, allow_changes=True, progress=False)
    assert resumed.status == "FINISHED", resumed.error
    assert ("train/loss_scale", 4) in points_of(folder) or began


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_a_cpu_is_refused_before_any_work_with_what_to_write_instead(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    told = 'training.fp16: float16 is trained in on CUDA alone, and the device is "cpu"'
    hint = 'Write bf16 = true for bfloat16, or device = "cuda" on a machine that has it.'
    with pytest.raises(ExperimentError) as refused:
        ftrun.run(tiny, overrides={**HALF, "backend.use": backend}, progress=False)
    assert str(refused.value).splitlines()[0].startswith(told) and hint in str(refused.value)
    assert not list(tiny.parent.glob("runs/*"))
    monkeypatch.setattr("ftrun.training.session._best_device", lambda: "cpu")
    found = ftrun.run(tiny, overrides={**HALF, "backend.use": backend, "training.device": "auto"}, progress=False)
    assert found.status == "FAILED" and found.error and told in found.error and hint in found.error
    assert {record["type"] for record in journal_of(found.run_folder)} == {"end", "tags"}  # no data, no model
    with pytest.raises(ExperimentError, match='on CUDA alone, and the device is "mps"'):
        plan_of(tiny, {**HALF, "backend.use": backend, "training.device": "mps"})
    assert plan_of(tiny, {**HALF, "backend.use": backend, "training.device": "cuda"}).training.precision == "float16"


def test_two_precisions_at_once_are_refused(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match="fp16 and bf16 are two precisions: at most one of them can be true"):
        plan_of(tiny, {**HALF, "training.bf16": True, "training.device": "cuda"})


@pytest.mark.parametrize("backend", ["loop", slow("trainer"), slow("accelerate")])
def test_a_loss_that_is_not_finite_still_ends_the_run(tiny: Path, float16_here: None, backend: str) -> None:
    exploding = {**HALF, **SAVING, "training.learning_rate": 1e30, "backend.use": backend}
    result = ftrun.run(tiny, overrides=exploding, progress=False)
    assert result.status == "FAILED" and result.error and "the loss is nan at step 2" in result.error
    assert [path.name for path in (result.run_folder / "checkpoints").iterdir()] == ["checkpoint-1"]


def test_gradients_that_overflow_at_any_scale_end_the_run(
    tiny: Path, float16_here: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftrun.training import Step

    loss_of = Step.loss_of
    monkeypatch.setattr(Step, "loss_of", lambda *given: loss_of(*given) * 1.0 + _without_slope(loss_of(*given)))
    result = ftrun.run(tiny, overrides={**HALF, "training.max_steps": 60}, progress=False)
    assert result.status == "FAILED" and result.steps == 32
    assert (
        result.error and "the gradients overflow at step 32, though the loss is scaled by 3e-05 alone" in result.error
    )
    assert "or bf16 = true in place of fp16" in result.error


class _Infinite(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss: torch.Tensor) -> torch.Tensor:
        return loss * 0

    @staticmethod
    def backward(ctx: Any, *slopes: torch.Tensor) -> torch.Tensor:
        return slopes[0] * math.inf


def _without_slope(loss: torch.Tensor) -> torch.Tensor:
    """Nothing, with an infinite gradient."""
    told: torch.Tensor = _Infinite.apply(loss)  # type: ignore[no-untyped-call]
    return told


def test_what_was_skipped_is_said_at_the_end(
    tiny: Path, overflowing: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ftrun.training.scaling as scaling

    result = ftrun.run(tiny, overrides={**HALF, "training.max_steps": 5})
    count = len(skipped_steps(points_of(result.run_folder), 5))
    assert f"{count} of 5 steps were skipped, as their gradients overflowed float16" in capsys.readouterr().out
    monkeypatch.setattr(scaling, "FIRST_SCALE", 2.0**60)
    ftrun.run(tiny, overrides={**HALF, "training.max_steps": 3})
    assert (
        "all 3 steps were skipped, as their gradients overflow float16: the model has learnt nothing"
        in capsys.readouterr().out
    )


def test_the_record_says_the_precision(tiny: Path, float16_here: None) -> None:
    record = journal_of(run(tiny, {**HALF, "training.max_steps": 1}).run_folder)[0]
    assert record["params"]["training.fp16"] == "true" and record["tags"]["ftrun.precision"] == "float16"


ROWS = "sentence1,sentence2\nhe went home,he went to his house\nit rains,the sun shines\n"


@pytest.mark.parametrize("device", ["cpu", slow(None)])
def test_a_run_predicts_on_a_cpu_too_and_says_how(
    tiny: Path,
    float16_here: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    device: str | None,
) -> None:
    from ftrun import settings

    if device is None and torch.cuda.is_available():
        pytest.skip("there is a GPU, and it is the best device then")
    Path("rows.csv").write_text(ROWS)
    trained = run(tiny, {**HALF, "training.max_steps": 2, "training.device": "auto" if device is None else "cpu"})
    half, said = predicted(trained, device, capsys)
    assert "float32" not in said
    monkeypatch.setattr(settings, "WITH_FLOAT16", frozenset({"cuda"}))
    full, said = predicted(trained, device, capsys)
    assert "it was trained in float16, which is not to be had here: it predicts in float32" in said
    assert half != full and half == pytest.approx(full, abs=1e-3)
    numbers = ftrun.evaluate(trained.run_folder.name, "validation", device=device, progress=False)
    assert numbers["loss"] == pytest.approx(trained.metrics["eval/loss"], abs=1e-3)


def predicted(
    result: ftrun.RunResult, device: str | None, capsys: pytest.CaptureFixture[str]
) -> tuple[list[float], str]:
    capsys.readouterr()
    told = ftrun.predict(result.run_folder.name, "rows.csv", device=device)
    assert told.probabilities
    return [row["equivalent"] for row in told.probabilities], capsys.readouterr().out


@pytest.mark.parametrize("settings", [{}, *[slow(value) for value in SETTINGS.values()]])
def test_on_a_gpu_all_backends_give_one_curve(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    import ftrun.training.scaling as scaling

    if not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    monkeypatch.setattr(scaling, "FIRST_SCALE", 2.0**22)
    on_gpu = {"training.device": "cuda", "training.full_determinism": True}
    first, *others = [run(tiny, {**HALF, **on_gpu, **settings, "backend.use": backend}) for backend in BACKENDS]
    points = points_of(first.run_folder)
    assert 0 < len(skipped_steps(points, first.steps)) < first.steps
    for other in others:
        assert points_of(other.run_folder) == points and weights_of(other.run_folder) == weights_of(first.run_folder)
