"""Models that tests make: narrow ones of any kind, and one that tells words apart without fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NARROW: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
SPECIAL = ("<pad>", "<unk>", "</s>")
VOCABULARY = {token: index for index, token in enumerate([*SPECIAL, "a", "b", "c"])}


def make_tokenizer(**options: Any) -> Any:
    """A tokenizer of three words, each row ended by </s>, without a limit."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    pattern = {"single": "$A </s>", "pair": "$A </s> $B </s>"}
    backend.post_processor = TemplateProcessing(**pattern, special_tokens=[("</s>", VOCABULARY["</s>"])])
    tokens = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=backend, **{**tokens, **options})


def make_checkpoint(folder: Path, kind: str = "bert", head: bool = False, **config: Any) -> Path:
    """A narrow model of a kind, with a head or without, and its tokenizer."""
    from transformers import CONFIG_MAPPING, AutoModel, AutoModelForSequenceClassification

    values = {"vocab_size": len(VOCABULARY), "pad_token_id": 0, **(config or NARROW)}
    made: Any = AutoModelForSequenceClassification if head else AutoModel
    made.from_config(CONFIG_MAPPING[kind](**values)).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def edit(file: Path, **values: Any) -> None:
    """Set keys of a JSON file, or with None take them out."""
    read = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in read.items() if value is not None}))


WORDS = ["good", "bad", "soso"]


def named(*names: str) -> dict[str, Any]:
    """A configuration's classes, in the order of the outputs."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)}}


def make_word_teller(folder: Path, words: Sequence[str], **config: Any) -> Path:
    """A tiny BERT that tells these words apart without fail: output i is that of word i."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")
    size = len(vocabulary)
    shape = {"hidden_size": size, "num_attention_heads": 1, "intermediate_size": 4, "num_hidden_layers": 0}
    model = BertForSequenceClassification(BertConfig(**shape, vocab_size=size, **{"num_labels": len(words), **config}))
    with torch.no_grad():
        embeddings = model.bert.embeddings
        embeddings.word_embeddings.weight.copy_(torch.eye(size))
        embeddings.position_embeddings.weight.zero_()
        embeddings.token_type_embeddings.weight.zero_()
        model.bert.pooler.dense.weight.copy_(torch.eye(size))
        model.bert.pooler.dense.bias.zero_()
        model.classifier.weight.copy_(torch.eye(size)[[vocabulary[word] for word in words]] * 10)
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
