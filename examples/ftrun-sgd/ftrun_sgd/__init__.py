"""A backend of ftrun: SGD with momentum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from ftrun import hookimpl
from ftrun.contracts import Backend, BackendSession
from ftrun.errors import Problem
from ftrun.settings import Settings, TrainingSettings
from ftrun.training import CHECKPOINT_FORMAT, FITTING_KEYS, SCHEDULE_KEYS, disagreements
from pydantic import Field

ftrun_contract = "1.1"

HONOURS = FITTING_KEYS | SCHEDULE_KEYS | {"learning_rate", "weight_decay", "max_grad_norm"}


class SgdSettings(Settings):
    """Settings of the backend "sgd"."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="How much of the last step goes on.")
    nesterov: bool = Field(False, description="Look ahead along the momentum.")


def _check(settings: SgdSettings, training: TrainingSettings) -> Sequence[Problem]:
    if settings.nesterov and not settings.momentum:
        return [Problem("it looks ahead along the momentum, and there is none", "nesterov")]
    return []


def _build(settings: SgdSettings, training: TrainingSettings) -> BackendSession:
    from ftrun_sgd.session import SgdSession

    return SgdSession(settings, training)


@hookimpl
def ftrun_backends() -> Sequence[Backend]:
    """Offer the backend."""
    return [
        Backend(
            name="sgd",
            summary="SGD with momentum",
            settings=SgdSettings,
            check=_check,
            check_environment=disagreements,
            honours=HONOURS,
            checkpoint_format=CHECKPOINT_FORMAT,
            build=_build,
        )
    ]
