"""The loss is scaled for its gradients in float16 alone, and a step whose gradients overflow is left out whole."""

from __future__ import annotations

import math
from typing import Any

import ftrun.training.scaling as scaling
import pytest
import torch
from ftrun.settings import TrainingSettings
from ftrun.training import LossScaler, build_optimizer

CPU = torch.device("cpu")
HALF = TrainingSettings(device="cuda", fp16=True)


def one_weight(optim: Any = "sgd") -> tuple[torch.nn.Linear, torch.optim.Optimizer]:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(model.weight)
    return model, build_optimizer(model, TrainingSettings(optim=optim, learning_rate=0.5))


def step(scaler: LossScaler, model: torch.nn.Linear, optimizer: torch.optim.Optimizer, slope: float) -> None:
    optimizer.zero_grad()
    scaler.scale((model.weight * slope).sum()).backward()  # type: ignore[no-untyped-call]
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()


def test_it_begins_and_goes_on_as_torchs_own_does() -> None:
    scaler, torchs = LossScaler(CPU, HALF), torch.amp.GradScaler("cpu")
    assert scaler.state_dict() == torchs.state_dict()
    assert scaler.get_scale() == scaling.FIRST_SCALE == 65536.0


def test_without_fp16_nothing_is_scaled_and_the_optimizer_is_called() -> None:
    scaler = LossScaler(CPU, TrainingSettings(bf16=True))
    model, optimizer = one_weight()
    step(scaler, model, optimizer, 2.0)
    assert model.weight.item() == 0.0 and not scaler.step_was_skipped
    assert scaler.used_scale is None and scaler.state_dict() == {}
    step(scaler, model, optimizer, math.inf)
    assert model.weight.item() == -math.inf


@pytest.mark.parametrize("optim", ["sgd", "adamw_torch", "adamw_torch_fused", "adafactor"])
def test_a_step_that_overflows_calls_no_optimizer_and_the_scale_is_halved(optim: str) -> None:
    scaler = LossScaler(CPU, HALF)
    model, optimizer = one_weight(optim)
    for slope, used, skipped in ((2.0, 65536.0, False), (math.inf, 65536.0, True), (math.nan, 32768.0, True)):
        before = model.weight.item(), str(optimizer.state_dict())
        step(scaler, model, optimizer, slope)
        assert (scaler.used_scale, scaler.step_was_skipped) == (used, skipped)
        assert ((model.weight.item(), str(optimizer.state_dict())) == before) == skipped
    step(scaler, model, optimizer, 2.0)
    assert scaler.used_scale == scaler.get_scale() == 16384.0 and not scaler.step_was_skipped


def test_gradients_are_taken_back_to_what_they_are_without_a_scale() -> None:
    model, optimizer = one_weight()
    scaler = LossScaler(CPU, HALF)
    scaler.scale((model.weight * 3.0).sum()).backward()  # type: ignore[no-untyped-call]
    assert model.weight.grad is not None and model.weight.grad.item() == 3.0 * 65536
    scaler.unscale_(optimizer)
    assert model.weight.grad.item() == 3.0
