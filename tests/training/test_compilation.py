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


class Attending(torch.nn.Module):
    """Attention with dropout, which multiplies float32 and bfloat16 on its way back; autocast within, or none."""

    def __init__(self, autocast: bool) -> None:
        super().__init__()
        self.autocast = autocast
        self.inner = torch.nn.Linear(8, 8)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast or torch.is_autocast_enabled("cpu")):
            rows = self.inner(rows)
            return torch.nn.functional.scaled_dot_product_attention(rows, rows, rows, dropout_p=0.5)


@pytest.mark.slow
def test_autocast_around_a_compiled_model_gives_the_gradients_of_autocast_within() -> None:
    import torch._functorch.config as functorch

    gradients = []
    for within in (False, True):
        with fresh_compiler():
            torch.manual_seed(0)
            model = Attending(within)
            compiled: Any = torch.compile(model, backend="aot_eager")
            with torch.autocast("cpu", torch.bfloat16, enabled=not within):
                said = compiled(torch.randn(3, 2, 40, 8))
            said.float().pow(2).sum().backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert functorch.backward_pass_autocast == "same_as_forward"
