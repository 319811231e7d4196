"""Every model passes the suite that anybody's does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ftrun.testing import ModelSuite, tiny_task
from helpers import TOKENIZER, make_bert

NARROW = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


class TestFromConfiguration(ModelSuite):
    component = "sequence-classification-from-config"
    settings = {"model_type": "bert", "tokenizer": TOKENIZER, "config": NARROW}
    more_settings = [{**settings, "max_length": 16, "dropout": 0.0}]
    bad_settings = [{"model_type": "brt"}, {"config": {"hiden_size": 3}}, {"dropout": 1.0}, {"tokenizer": None}]


@pytest.mark.slow
class TestFromCheckpoint(ModelSuite):
    component = "sequence-classification"
    bad_settings = [{"checkpoint": "package:no_such_package/model"}, {"max_length": 0}, {"checkpoint": None}]

    def make_settings(self, folder: Path) -> dict[str, Any]:
        make_bert(folder / "bert")
        return {"checkpoint": str(folder / "bert")}


@pytest.mark.slow
class TestOfNumbers(TestFromCheckpoint):
    task = tiny_task("regression", columns=1)
    bad_settings = ()
