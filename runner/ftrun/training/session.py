"""A PyTorch backend at work, and the process left as it was found."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import torch
import transformers
from accelerate.state import AcceleratorState, GradientState, PartialState

from ftrun.contracts import EncodedRows, FitResult, Job, ModelOutput, Predictions, Reporter, TrainableModel
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import TrainingSettings, float16_problem
from ftrun.training.batches import Batch, to_device
from ftrun.training.compilation import check_compiler, compile_model, fresh_compiler
from ftrun.training.environment import disagreements, kept_from_libraries, recorded_variables
from ftrun.training.evaluation import predict
from ftrun.training.noise import EmbeddingNoise
from ftrun.training.recomputation import recompute_activations
from ftrun.training.sampling import check_order
from ftrun.training.state import generators_kept
from ftrun.training.step import Forward
from ftrun.training.workers import child_signal_restored

TALKATIVE = ("transformers", "datasets", "huggingface_hub", "accelerate", "evaluate")
"""Libraries that print on the terminal by handlers of their own."""


class TorchSession(ABC):
    """A backend's session but for `fit`: device, precision, seeding, predicting, and the state of the process.

    Args:
        training: Of the settings `device`, `bf16`, `fp16`, `tf32`, `torch_compile`, `torch_empty_cache_steps` and
            `full_determinism`.

    Raises:
        ExperimentError: If the device is not there or cannot what is asked of it, or the environment asks for another
            than the best one, where the file leaves it open.

    Attributes:
        device: Where to train.
    """

    def __init__(self, training: TrainingSettings) -> None:
        self.training = training
        self.device = torch.device(_best_device() if training.device == "auto" else training.device)
        if not _is_there(self.device):
            message = f'there is no "{self.device}" on this machine, or this torch is made without it'
            raise ExperimentError(Problem(message, "training.device", '"auto" takes the best one there is.'))
        if training.fp16 and (problem := float16_problem(self.device.type)):
            raise ExperimentError(problem)
        check_compiler(training, self.device)
        if training.tf32 and self.device.type != "cuda":
            message = f'there is no TF32 on a "{self.device}": it is the tensor cores\' of a GPU'
            raise ExperimentError(Problem(message, "training.tf32", "Leave it out."))
        if training.torch_empty_cache_steps and self.device.type == "cpu":
            message = "there is no memory of a GPU to give back on a CPU"
            raise ExperimentError(Problem(message, "training.torch_empty_cache_steps", "Leave it out."))
        found = training.model_copy(update={"device": self.device.type})
        if problems := disagreements(found, os.environ):
            raise ExperimentError(*problems)
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        determinism = _full_determinism() if self.training.full_determinism else contextlib.nullcontext()
        for restored in (
            generators_kept(),
            kept_from_libraries(),
            _accelerate_state(),
            _quiet_libraries(),
            child_signal_restored(),
            determinism,
            fresh_compiler() if self.training.torch_compile else contextlib.nullcontext(),
            _tf32(self.training.tf32),
        ):
            self._restore.enter_context(restored)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore.close()

    def environment(self) -> Mapping[str, str]:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device)
        variables = recorded_variables(os.environ)
        return {
            "device": name,
            "threads": str(torch.get_num_threads()),
            "precision": self.training.precision,
            **({"variables": variables} if variables else {}),
        }

    def seed(self, seed: int) -> None:
        transformers.set_seed(seed)

    @abstractmethod
    def fit(self, job: Job, reporter: Reporter) -> FitResult:
        """Train, as `ftrun.contracts.BackendSession` says."""

    def predict(self, job: Job, rows: EncodedRows) -> Predictions:
        """What the model says of rows, as an evaluation of them would have it, to the last bit on a CPU."""
        compile_model(job.model, job.training)
        return predict(job, rows, self.forward(job.model.to(self.device)))

    def check_model(self, model: TrainableModel, row: Mapping[str, Any]) -> None:
        """As `ftrun.contracts.ChecksModels` says; of `gradient_checkpointing`, `neftune_noise_alpha` and
        `train_sampling_strategy`.
        """
        check_order(self.training, row)
        recompute_activations(model, self.training)
        EmbeddingNoise(model, self.training).remove()

    def forward(self, model: TrainableModel) -> Forward:
        """Puts a batch on the device and through a model that is there, in the precision of the settings."""
        half = torch.float16 if self.training.fp16 else torch.bfloat16

        def forward(batch: Batch) -> ModelOutput:
            with torch.autocast(self.device.type, half, enabled=self.training.precision != "float32"):
                return model(**to_device(batch, self.device))

        return forward


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _is_there(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_available()
    return device.type != "mps" or torch.backends.mps.is_available()


@contextlib.contextmanager
def _accelerate_state() -> Iterator[None]:
    """A clean slate: Accelerate's state is process-wide, and an Accelerator made after a bf16 run is silently bf16."""
    singletons = (PartialState, AcceleratorState, GradientState)
    before = [copy.copy(singleton._shared_state) for singleton in singletons]
    for singleton in singletons:
        singleton._shared_state.clear()
    try:
        yield
    finally:
        for singleton, state in zip(singletons, before, strict=True):
            singleton._shared_state.clear()
            singleton._shared_state.update(state)


@contextlib.contextmanager
def _tf32(wanted: bool | None) -> Iterator[None]:
    """Whether a GPU multiplies float32 as TF32, which is a setting of the process; None leaves it as torch has it."""
    if wanted is None:
        yield
        return
    backends: Any = torch.backends  # whose types do not know these yet
    places = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
    before = [place.fp32_precision for place in places]
    for place in places:
        place.fp32_precision = "tf32" if wanted else "ieee"
    try:
        yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


@contextlib.contextmanager
def _full_determinism() -> Iterator[None]:
    """Deterministic algorithms alone, as torch's notes on reproducibility say; what has none is an error.

    The run puts the environment back at its end.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ.setdefault("FLASH_ATTENTION_DETERMINISTIC", "1")
    cudnn = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn_before = cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        cudnn.deterministic, cudnn.benchmark = cudnn_before


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What libraries log goes up to the root logger, and so to the run's log; their own bars are off."""
    import datasets
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )
    from transformers.utils import logging as transformers_logging

    loggers = [logging.getLogger(name) for name in TALKATIVE]
    before = [(logger, logger.handlers, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [], True
    bars = [
        (datasets.disable_progress_bars, datasets.enable_progress_bars, not datasets.are_progress_bars_disabled()),
        (disable_progress_bars, enable_progress_bars, not are_progress_bars_disabled()),
        (
            transformers_logging.disable_progress_bar,
            transformers_logging.enable_progress_bar,
            transformers_logging.is_progress_bar_enabled(),
        ),
    ]
    for disable, _, shown in bars:
        if shown:
            disable()
    try:
        yield
    finally:
        for logger, handlers, propagate in before:
            logger.handlers, logger.propagate = handlers, propagate
        for _, enable, shown in bars:
            if shown:
                enable()
