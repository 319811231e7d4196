"""A compiled model is trained, saved and resumed as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings, validate
from ftrun.training import compilation
from ftrun.training.compilation import check_compiler, compile_model, fresh_compiler
from plain import Bag, Output

CPU = torch.device("cpu")


def test_it_is_compiled_in_place_and_its_weights_keep_their_names(tmp_path: Path) -> None:
    model, names = Bag(9, 3), list(Bag(9, 3).state_dict())
    compile_model(model, TrainingSettings())
    assert model._compiled_call_impl is None
    compile_model(model, TrainingSettings(torch_compile=True, torch_compile_backend="eager"))
    compiled = model._compiled_call_impl
    compile_model(model, TrainingSettings(torch_compile=True, torch_compile_backend="eager"))
    assert compiled is not None and model._compiled_call_impl is compiled
    output = model.eval()(words=torch.tensor([[1, 2]]))
    assert isinstance(output, Output) and list(model.state_dict()) == names


def test_a_compiler_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilation, "_has_cpp_compiler", lambda: False)
    for settings in ({}, {"torch_compile": True, "torch_compile_backend": "aot_eager"}):
        check_compiler(TrainingSettings(**settings), CPU)
    with pytest.raises(ExperimentError, match=r'training\.torch_compile: "inductor" needs a C\+\+ compiler on a CPU'):
        check_compiler(TrainingSettings(torch_compile=True), CPU)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"torch_compile_backend": "eager"}, "torch_compile_backend needs torch_compile = true"),
        ({"torch_compile_mode": "max-autotune"}, "torch_compile_mode needs torch_compile = true"),
        (
            {"torch_compile": True, "torch_compile_backend": "eager", "torch_compile_mode": "default"},
            'torch_compile_mode is inductor\'s, and not for "eager"',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(wrong: dict[str, Any], told: str) -> None:
    _, (problem,) = validate(TrainingSettings, wrong, "training")
    assert problem.message == told


def test_what_is_compiled_goes_backward_as_what_is_not_and_torch_is_left_as_it_was() -> None:
    """Whether a backend has autocast around the model or within, the gradients are those without it."""
    import torch._functorch.config as functorch

    grads = {}
    for compiled in (False, True):
        with fresh_compiler():
            torch.manual_seed(0)
            model: Any = torch.nn.Sequential(torch.nn.LayerNorm(8), torch.nn.Linear(8, 8), torch.nn.GELU())
            run = torch.compile(model, backend="aot_eager") if compiled else model
            with torch.autocast("cpu", torch.bfloat16):
                out = run(torch.linspace(0, 1, 32).reshape(4, 8))
            out.float().pow(2).sum().backward()
            grads[compiled] = [parameter.grad for parameter in model.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(grads[True], grads[False], strict=True))
    assert functorch.backward_pass_autocast == "same_as_forward"
