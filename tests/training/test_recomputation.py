"""Activations computed again: asked of those models that can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings, validate
from ftrun.training import Fitting
from ftrun.training.recomputation import recompute_activations
from plain import Bag, Parts, Told

SMALL = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 9}


def recomputed(**settings: Any) -> list[bool]:
    """Whether each layer of a small BERT is."""
    from transformers import AutoConfig, AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", **SMALL))
    recompute_activations(model, TrainingSettings(**settings))
    return [layer.gradient_checkpointing for layer in model.base_model.encoder.layer]


def test_layers_are_computed_again_where_it_is_asked_for() -> None:
    assert recomputed() == recomputed(gradient_checkpointing=False) == [False] * 4
    assert recomputed(gradient_checkpointing=True) == [True] * 4
    every_second = {"every_n_layers": 2, "use_reentrant": False}
    told = recomputed(gradient_checkpointing=True, gradient_checkpointing_kwargs=every_second)
    assert told == [True, False, True, False]


def test_a_model_that_cannot_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="gradient_checkpointing: Bag has no activation_checkpointing_enable"):
        Fitting(Parts(tmp_path, settings={"gradient_checkpointing": True}).job(), Told(tmp_path))

    class Unable(Bag):
        def activation_checkpointing_enable(self, *_: Any, **__: Any) -> None:
            raise ValueError("it does not support it")

    with pytest.raises(ExperimentError, match="Unable cannot: it does not support it"):
        recompute_activations(Unable(9, 3), TrainingSettings(gradient_checkpointing=True))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"gradient_checkpointing_kwargs": {"every_n_layers": 2}}, "needs gradient_checkpointing = true"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"every_n_layers": 0}}, "no every_n_layers = 0"),
        ({"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": True}}, "no use_reentrant = true"),
    ],
)  # fmt: skip
def test_what_it_cannot_be_told_is_refused(wrong: dict[str, Any], told: str) -> None:
    _, (problem,) = validate(TrainingSettings, wrong, "training")
    assert told in problem.message
