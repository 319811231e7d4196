"""What the backend obeys, and what it refuses."""

from __future__ import annotations

import pytest
from ftrun.settings import TrainingSettings
from ftrun_sgd import SgdSettings, ftrun_backends
from pydantic import ValidationError


def test_adams_keys_are_not_obeyed() -> None:
    (backend,) = ftrun_backends()
    assert backend.honours and "learning_rate" in backend.honours and "adam_beta1" not in backend.honours


def test_to_look_ahead_wants_momentum() -> None:
    (backend,) = ftrun_backends()
    assert backend.check and not backend.check(SgdSettings(nesterov=True), TrainingSettings())
    assert backend.check(SgdSettings(nesterov=True, momentum=0.0), TrainingSettings())
    with pytest.raises(ValidationError):
        SgdSettings(momentum=1.0)
