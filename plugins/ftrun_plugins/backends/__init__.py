"""Backends: Trainer, a plain PyTorch loop and Accelerate, over one set of shared ingredients."""

from __future__ import annotations

from collections.abc import Sequence

from ftrun import hookimpl
from ftrun.contracts import Backend, BackendSession, needs_nothing
from ftrun.settings import Settings, TrainingSettings
from ftrun.training import CHECKPOINT_FORMAT, disagreements

PRECISIONS = frozenset({"float32", "bfloat16", "float16"})
DEVICES = frozenset({"cpu", "cuda", "mps"})


def _build_trainer(settings: Settings, training: TrainingSettings) -> BackendSession:
    from ftrun_plugins.backends.trainer import TrainerSession

    return TrainerSession(training)


def _build_loop(settings: Settings, training: TrainingSettings) -> BackendSession:
    from ftrun_plugins.backends.loop import LoopSession

    return LoopSession(training)


def _build_accelerate(settings: Settings, training: TrainingSettings) -> BackendSession:
    from ftrun_plugins.backends.accelerate import AccelerateSession

    return AccelerateSession(training)


@hookimpl
def ftrun_backends() -> Sequence[Backend]:
    return [
        Backend(
            name="trainer",
            summary="transformers' Trainer drives the loop, with its callbacks",
            precisions=PRECISIONS,
            devices=DEVICES,
            check_environment=disagreements,
            checkpoint_format=CHECKPOINT_FORMAT,
            needs=needs_nothing,
            build=_build_trainer,
        ),
        Backend(
            name="loop",
            summary="A plain PyTorch loop, to read and to copy",
            precisions=PRECISIONS,
            devices=DEVICES,
            check_environment=disagreements,
            checkpoint_format=CHECKPOINT_FORMAT,
            needs=needs_nothing,
            build=_build_loop,
        ),
        Backend(
            name="accelerate",
            summary="The same loop under Accelerate",
            precisions=PRECISIONS,
            devices=DEVICES,
            check_environment=disagreements,
            checkpoint_format=CHECKPOINT_FORMAT,
            needs=needs_nothing,
            build=_build_accelerate,
        ),
    ]
