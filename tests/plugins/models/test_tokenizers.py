"""Tokenizers as checkpoints have them: what is wrong with one is a sentence, and how long a text may be is known."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError
from ftrun_plugins.collators.padding import dynamic
from ftrun_plugins.models import CheckpointSettings, ConfigurationSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint, from_config
from ftrun_plugins.models.tokenizers import Encoder, said, tokenizer_digest
from helpers import TOKENIZER
from hypothesis import given
from hypothesis import strategies as st
from makers import NARROW, SPECIAL, edit, make_checkpoint, make_tokenizer

TASK = Task("classification", ("text",), "label", ("no", "yes"))


TOKENIZER_OF_THREE = make_tokenizer()


PAIR = Task("classification", ("first", "second"), "label", ("no", "yes"))


def build(folder: Path | str, task: Task = TASK, **settings: Any) -> BuiltModel:
    return from_checkpoint(CheckpointSettings(checkpoint=str(folder), **settings), task)


def only_config(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != "config.json":
            file.unlink()


def tokenizer(text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").write_text(text)

    return spoil


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


def no_vocabulary(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def no_merges(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "RobertaTokenizer"}')
    (folder / "vocab.json").write_text(json.dumps({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5}))


def default_vocabulary(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')


def tokenizer_of_its_own(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    own = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    edit(folder / "tokenizer_config.json", **own)
    (folder / "own.py").write_text("raise SystemExit('run')")


def sentencepiece(name: str, kind: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{kind}Tokenizer"}))
        (folder / name).write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (only_config, r"no tokenizer|no vocabulary"),
        (tokenizer("{"), r"tokenizer\.json is no JSON"),
        (tokenizer("{}"), r"no tokenizer that can be read"),
        (tokenizer("[]"), r"tokenizer\.json is no JSON object"),
        (no_tokenizer, r"no tokenizer|no vocabulary"),
        (no_vocabulary, r"no tokenizer|no vocabulary"),
        (no_merges, r"merges"),
        (default_vocabulary, r"neither tokenizer\.json nor vocab\.txt"),
        (tokenizer_of_its_own, r"runs no code that comes with a checkpoint"),
        *[
            (sentencepiece(name, kind), r"SentencePiece[\s\S]*pip install 'ftrun\[sentencepiece\]'")
            for name, kind in (
                *(("spm.model", "DebertaV2"), ("spiece.model", "T5"), ("spiece.model", "XLNet")),
                *(("spiece.model", "Albert"), ("sentencepiece.bpe.model", "XLMRoberta"), ("tokenizer.model", "Llama")),
            )
        ],
    ],
)
def test_a_tokenizer_that_cannot_be_read_is_a_sentence(
    checkpoint: Path, spoil: Callable[[Path], None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "sentencepiece")
    spoil(checkpoint)
    with pytest.raises(ExperimentError, match=rf"^model\.checkpoint: [\s\S]*{message}"):
        build(checkpoint)


def without(patch: pytest.MonkeyPatch, package: str) -> None:
    """As where a package is not installed."""
    import importlib.util

    find = importlib.util.find_spec
    patch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))


@pytest.mark.parametrize(
    ("settings", "task", "message"),
    [
        ({"max_length": 513}, TASK, r"model\.max_length: the model has 512 positions, and not 513"),
        ({"max_length": 1}, TASK, r"model\.max_length: 1 of the 1 tokens are special ones"),
        ({"max_length": 3}, PAIR, r"model\.max_length: 2 of the 3 tokens are special ones"),
        ({"pad_token": "<none>"}, TASK, r'model\.pad_token: the tokenizer knows no token "<none>"'),
    ],
)
def test_a_length_or_token_that_the_model_has_not_is_told(
    checkpoint: Path, settings: dict[str, Any], task: Task, message: str
) -> None:
    with pytest.raises(ExperimentError, match=message):
        build(checkpoint, task, **settings)


def test_a_tokenizer_that_pads_with_what_it_does_not_know_is_told(checkpoint: Path) -> None:
    edit(checkpoint / "tokenizer_config.json", pad_token=None)
    with pytest.raises(ExperimentError, match=r"no padding token[\s\S]*pad_token = .</s>."):
        build(checkpoint)


def test_a_padding_token_beyond_the_models_vocabulary_is_told(checkpoint: Path) -> None:
    made = make_tokenizer(pad_token=None)
    made.add_special_tokens({"pad_token": "[PAD]"})
    made.save_pretrained(checkpoint)
    with pytest.raises(ExperimentError, match=r'pads with "\[PAD\]", number 6, and the model knows the tokens 0 to 5'):
        build(checkpoint)


def test_tokens_beyond_the_models_vocabulary_are_told_where_a_text_holds_one(checkpoint: Path) -> None:
    made = make_tokenizer()
    made.add_tokens(["zebra"])
    made.save_pretrained(checkpoint)
    built = build(checkpoint)
    assert built.encode({"text": ["a b"], "label": [0]})["input_ids"] == [[3, 4, 2]]
    with pytest.raises(ExperimentError, match=r'holds the token "zebra", number 6, and the model knows 0 to 5'):
        built.encode({"text": ["a", "b zebra"], "label": [0, 1]})


ENCODER_DECODER = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "eos_token_id": 2}


HEADS = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}


T5 = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 32, "eos_token_id": 2}


FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "bert": (40, NARROW),
    "roberta": (37, {**NARROW, "pad_token_id": 2}),
    "xlm-roberta": (38, {**NARROW, "pad_token_id": 1}),
    "camembert": (38, {**NARROW, "pad_token_id": 1}),
    "longformer": (38, {**NARROW, "pad_token_id": 1, "attention_window": [4]}),
    "mpnet": (38, {**NARROW, "pad_token_id": 1}),
    "nystromformer": (40, {**NARROW, "segment_means_seq_len": 40, "num_landmarks": 40}),
    "deberta-v2": (40, NARROW),
    "distilbert": (40, {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}),
    "xlnet": (512, {"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32}),
    "t5": (512, {**T5, "decoder_start_token_id": 0}),
    "bart": (40, {**ENCODER_DECODER, **HEADS, "decoder_start_token_id": 0}),
    "gpt2": (40, {"n_embd": 16, "n_layer": 1, "n_head": 2}),
    "opt": (
        40,
        {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 32, "word_embed_proj_dim": 16},
    ),
}
"""By kind the longest input where the configuration says 40 positions and the tokenizer has no limit; and a narrow one."""


@pytest.mark.parametrize("kind", FAMILIES)
def test_text_is_as_long_as_the_model_takes_without_being_told(kind: str, tmp_path: Path) -> None:
    """Positions begin at pad_token_id + 1 in RoBERTa's family, XLNet's limit is -1, T5 has none."""
    import torch

    longest, config = FAMILIES[kind]
    limit = {} if longest == 512 else {"max_position_embeddings": 40}
    built = build(
        make_checkpoint(tmp_path / kind, kind, **config, **limit), pad_token=SPECIAL[config.get("pad_token_id", 0)]
    )
    assert built.max_length == longest
    assert longest < 512 or "has a limit: text is cut after 512 tokens" in built.notices[-1]
    encoded = built.encode({"text": ["a " * 600, "b c"], "label": [0, 1]})
    rows = [{name: column[row] for name, column in encoded.items()} for row in range(2)]
    batch = dynamic(built.tokenizer, None)(rows)
    assert batch["input_ids"].shape == (2, longest) and batch["attention_mask"].sum() == longest + 3
    with torch.no_grad():
        assert built.model(**batch).logits.shape == (2, 2)


def test_padding_is_masked_though_the_tokenizer_gives_no_mask(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "bert")
    make_tokenizer(model_input_names=["input_ids"]).save_pretrained(folder)
    built = build(folder)
    encoded = built.encode({"text": ["a", "a b c"], "label": [0, 1]})
    rows = [{name: column[row] for name, column in encoded.items()} for row in range(2)]
    assert dynamic(built.tokenizer, None)(rows)["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_a_model_gets_none_of_the_tokenizers_inputs_that_it_does_not_take(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "distilbert", "distilbert", dim=16, n_layers=1, n_heads=2, hidden_dim=32)
    make_tokenizer(model_input_names=["input_ids", "token_type_ids", "attention_mask"]).save_pretrained(folder)
    encoded = build(folder).encode({"text": ["a"], "label": [0]})
    assert set(encoded) == {"input_ids", "attention_mask", "labels"}


def test_encode_pickles_for_processes_that_share_the_work(checkpoint: Path) -> None:
    built = build(checkpoint, PAIR)
    batch = {"first": ["a b"], "second": ["c"], "label": [1]}
    assert pickle.loads(pickle.dumps(built.encode))(batch) == built.encode(batch)


SMALL: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def small(**settings: Any) -> ConfigurationSettings:
    return ConfigurationSettings(**{"model_type": "bert", "tokenizer": TOKENIZER, "config": SMALL, **settings})


SENTENCES = Task("classification", ("sentence1", "sentence2"), "label", ("no", "yes"))


@pytest.fixture
def with_head(tmp_path: Path) -> Path:
    """A checkpoint with a head for two classes."""
    built = from_config(small(), SENTENCES)
    built.model.save_pretrained(tmp_path / "checkpoint")
    built.tokenizer.save_pretrained(tmp_path / "checkpoint")
    return tmp_path / "checkpoint"


def test_a_tokenizer_without_padding_is_told_and_can_be_given_one(with_head: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(with_head)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(with_head)
    with pytest.raises(ExperimentError, match=r"has no padding token[\s\S]*pad_token ="):
        from_checkpoint(CheckpointSettings(checkpoint=str(with_head)), SENTENCES)
    built = from_checkpoint(CheckpointSettings(checkpoint=str(with_head), pad_token="[SEP]"), SENTENCES)
    assert built.tokenizer.pad_token == "[SEP]" and built.model.config.pad_token_id == built.tokenizer.sep_token_id


def test_encoding_truncates_and_names_the_labels() -> None:
    built = from_config(small(max_length=8), SENTENCES)
    encoded = built.encode({"sentence1": ["one two three four five six"], "sentence2": ["seven eight"], "label": [1]})
    assert len(encoded["input_ids"][0]) == 8 and encoded["labels"] == [1]
    assert built.encode_key == from_config(small(max_length=8), SENTENCES).encode_key
    assert built.encode_key != from_config(small(max_length=9), SENTENCES).encode_key


def test_the_encode_key_does_not_change_with_use() -> None:
    built = from_config(small(), SENTENCES)
    built.encode({"sentence1": ["a b c"], "sentence2": ["j k"], "label": [0]})
    assert from_config(small(), SENTENCES).encode_key == built.encode_key


def test_encoding_leaves_no_mark_on_the_tokenizer_that_is_saved(tmp_path: Path) -> None:
    built = from_config(small(max_length=8), SENTENCES)
    built.tokenizer.save_pretrained(tmp_path / "before")
    built.encode({"sentence1": ["a b c d e f g h i"], "sentence2": ["j k"], "label": [0]})
    built.tokenizer.save_pretrained(tmp_path / "after")
    assert (tmp_path / "before" / "tokenizer.json").read_bytes() == (tmp_path / "after" / "tokenizer.json").read_bytes()


def test_a_row_that_gives_no_token_is_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    encode = Encoder(tokenizer, Task("classification", ("text",), "label", ("x", "y")), 8)
    assert encode({"text": ["one two", "three"], "label": [0, 1]})["input_ids"] == [[1, 1], [1]]
    with pytest.raises(ExperimentError, match='some rows give no token: "text" is empty there'):
        encode({"text": ["one two", ""], "label": [0, 1]})


@pytest.mark.parametrize(
    ("says", "told"),
    [("", "ValueError"), (" \n ", "ValueError"), ("a\n  b", "a b"), ("负", "负"), ("word " * 200, None)],
)
def test_what_a_library_says_is_told_in_a_line_of_bearable_length(says: str, told: str | None) -> None:
    line = said(ValueError(says))
    assert line == told if told else len(line) <= 300 and line.endswith(" ...")


@pytest.mark.parametrize(("columns", "told"), [((), "none"), (("a", "b", "c"), "3: a, b, c")])
def test_more_columns_of_text_than_a_pair_are_refused(columns: tuple[str, ...], told: str) -> None:
    """A tokenizer takes a third for what is to be written, and would leave it out of the input without a word."""
    encode = Encoder(make_tokenizer(), Task("classification", columns, "label", ("x", "y")), 8)
    batch = {**{name: ["a"] for name in columns}, "label": [0]}
    for call in (encode, encode.lengths):
        with pytest.raises(ExperimentError, match=f"or two as a pair, and the data set names {told}"):
            call(batch)


def test_an_encoder_copies_the_tokenizer_it_is_given() -> None:
    own = make_tokenizer()
    Encoder(own, TASK, 2)({"text": ["a b c a b c"], "label": [0]})
    assert own("a b c a b c")["input_ids"] == [3, 4, 5, 3, 4, 5, 2]


def test_labels_are_the_models_classes_and_numbers_stay_numbers() -> None:
    batch = {"text": ["a", "b"], "label": [0, 1]}
    assert Encoder(make_tokenizer(), TASK, 8, {0: 1, 1: 0})(batch)["labels"] == [1, 0]
    regression = Task("regression", ("text",), "label")
    labels = Encoder(make_tokenizer(), regression, 8)({"text": ["a", "b"], "label": [1, -2.5]})["labels"]
    assert labels == [1.0, -2.5] and all(isinstance(label, float) for label in labels)


def test_of_any_number_of_classes_each_is_where_the_model_has_it() -> None:
    many = Task("multi_label", ("text",), "label", ("x", "y", "z"))
    batch = {"text": ["a", "b"], "label": [[1, 0, 0], [0, 1, 1]]}
    assert Encoder(make_tokenizer(), many, 8)(batch)["labels"] == [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]
    assert Encoder(make_tokenizer(), many, 8, {0: 2, 1: 0, 2: 1})(batch)["labels"] == [[0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]


@given(st.lists(st.text("ab c", max_size=12), min_size=1, max_size=6), st.integers(1, 6), st.integers(1, 6))
def test_rows_are_encoded_alike_however_they_are_cut_into_batches(texts: list[str], cut: int, length: int) -> None:
    encode = Encoder(TOKENIZER_OF_THREE, TASK, length)

    def encoded(*batches: list[str]) -> list[Any]:
        return [
            ids for batch in batches if batch for ids in encode({"text": batch, "label": [0] * len(batch)})["input_ids"]
        ]

    assert encoded(texts) == encoded(texts[:cut], texts[cut:])
    assert all(len(ids) <= length for ids in encoded(texts))
    assert list(encode.lengths({"text": texts})) == [len(text.split()) + 1 for text in texts]


def test_the_digest_is_of_what_a_tokenizer_does_and_not_of_what_it_has_done() -> None:
    used = make_tokenizer()
    used(["a", "b c", "some word of its own"])
    assert tokenizer_digest(used) == tokenizer_digest(make_tokenizer())
    assert tokenizer_digest(make_tokenizer(pad_token="</s>")) != tokenizer_digest(make_tokenizer())
