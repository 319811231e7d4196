"""Models: references, heads that fit the task, and sentences for those that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint, from_config
from helpers import TOKENIZER

PAIR = Task("classification", ("sentence1", "sentence2"), "label", ("no", "yes"))
THREE = Task("classification", ("text",), "label", ("a", "b", "c"))
SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def small(**settings: Any) -> ConfigurationSettings:
    return ConfigurationSettings(**{"model_type": "bert", "tokenizer": TOKENIZER, "config": SMALL, **settings})


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint with a head for two classes."""
    built = from_config(small(), PAIR)
    built.model.save_pretrained(tmp_path / "checkpoint")
    built.tokenizer.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_pretrained_weights_come_with_a_fresh_head_that_is_told_of() -> None:
    built = from_checkpoint(CheckpointSettings(checkpoint=TOKENIZER), THREE)
    assert built.model.num_labels == 3
    assert built.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert built.notices == ["freshly drawn, to be learnt: classifier (3 outputs)"]


def test_a_checkpoint_with_its_own_head_is_taken_whole(checkpoint: Path) -> None:
    assert from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), PAIR).notices == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "no-such-thing"}, "no-such-thing"),
        ({"model_type": "sam", "config": {}}, r"model_type: transformers gives .sam. no head to classify texts"),
        ({"model_type": "brt"}, "Did you mean bert"),
        ({"config": {**SMALL, "hidden_size": "wide"}}, "no configuration of bert: .*hidden_size.* expected int"),
        ({"config": {**SMALL, "num_attention_heads": 3}}, r"model.config: .* multiple of the number of attention"),
        ({"config": {**SMALL, "dtype": "bfloat16"}}, r"model\.config\.dtype: this is decided by \[training\] bf16"),
        (
            {"config": {**SMALL, "torch_dtype": "float16"}},
            r"model\.config\.torch_dtype: this is decided by \[training\]",
        ),
        ({"config": {**SMALL, "return_dict": False}}, r"model\.config\.return_dict: this is decided by ftrun"),
        ({"config": {**SMALL, "num_labels": 3}}, r"model\.config\.num_labels: this is decided by the data set"),
        ({"config": {**SMALL, "pad_token_id": 3}}, r"model\.config\.pad_token_id: .* the tokenizer"),
        ({"config": {**SMALL, "max_position_embeddings": 8}, "max_length": 9}, "8 positions, and not 9"),
        ({"config": {"hiden_size": 3}}, "BertConfig has no hiden_size"),
    ],
)
def test_a_configuration_that_makes_no_model_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ExperimentError, match=message):
        from_config(small(**settings), PAIR)


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "modernbert"])
def test_one_setting_sets_every_dropout_of_the_model(kind: str) -> None:
    import torch

    values = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32} if kind == "distilbert" else SMALL
    model = from_config(small(model_type=kind, config=values, dropout=0.0), PAIR).model
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.0}
