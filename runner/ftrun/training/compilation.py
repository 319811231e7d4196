"""`torch.compile`, in place: whoever calls the model calls what was compiled, and its weights keep their names."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import torch

from ftrun.contracts import TrainableModel
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings

KEY = "training.torch_compile"


def compile_model(model: TrainableModel, training: TrainingSettings) -> None:
    """Have a model compiled by its first call, where `torch_compile` asks for that.

    It is compiled for lengths of any kind from the first on. Torch would compile for the first length alone, and for
    any once a second one comes: a run that is resumed, and so begins with another batch, would take another way there.
    """
    module: Any = model
    if training.torch_compile and module._compiled_call_impl is None:
        backend = training.torch_compile_backend or "inductor"
        module.compile(backend=backend, mode=training.torch_compile_mode, dynamic=True)


def check_compiler(training: TrainingSettings, device: torch.device) -> None:
    """What is known of a compiler before anything is compiled.

    Raises:
        ExperimentError: If "inductor" is asked for, and lacks what it needs on the device.
    """
    if not training.torch_compile or training.torch_compile_backend not in (None, "inductor"):
        return
    hint = 'Install one, write torch_compile_backend = "aot_eager", which needs none, or leave torch_compile out.'
    if device.type == "cpu" and not _has_cpp_compiler():
        message = '"inductor" needs a C++ compiler on a CPU, and there is none that works'
        raise ExperimentError(Problem(message, KEY, hint))
    if device.type == "cuda" and not importlib.util.find_spec("triton"):
        message = '"inductor" needs the package triton on a GPU, and it is not installed'
        raise ExperimentError(Problem(message, KEY, hint.replace("one", "it", 1)))


def _has_cpp_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        return bool(get_cpp_compiler())
    except Exception:  # torch's own class for it is private, and others come from the search
        return False


@contextlib.contextmanager
def fresh_compiler() -> Iterator[None]:
    """Nothing that was compiled before counts, nor what is compiled here afterwards.

    What is compiled goes backward without autocast, as uncompiled models do. Torch would compile that under the
    autocast that surrounds the call, and so give other gradients where a backend has it around the model than within.
    """
    import torch._functorch.config as functorch

    torch._dynamo.reset()
    try:
        with functorch.patch({"backward_pass_autocast": "off"}):
            yield
    finally:
        torch._dynamo.reset()
