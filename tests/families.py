"""Families of transformers, each with a tokenizer of its own kind, made here of the embedded sample's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from makers import NARROW

POSITIONS = 40
"""What every configuration says of positions, where it says anything."""
WORDPIECE = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
ALBERT = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]
XLNET = ["<unk>", "<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eop>", "<eod>"]


@dataclass(frozen=True)
class Family:
    """What a family's small model is made of.

    Attributes:
        tokenizer: transformers' class; algorithm: how its vocabulary is learnt; special: the tokens that begin it.
        longest: The longest input that the family takes of a configuration with `POSITIONS`.
        config: Values of its configuration; settings: keys of `[model]` that it needs.
        told: What a person is told, or None.
    """

    tokenizer: str
    algorithm: str
    special: list[str]
    longest: int = POSITIONS
    config: dict[str, Any] = field(default_factory=lambda: NARROW)
    settings: dict[str, Any] = field(default_factory=dict)
    takes: frozenset[str] = frozenset({"input_ids", "attention_mask"})


KINDS_OF_TEXT = frozenset({"input_ids", "attention_mask", "token_type_ids"})
T5 = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 32, "decoder_start_token_id": 0}
FAMILIES = {
    "bert": Family("BertTokenizer", "wordpiece", WORDPIECE, takes=KINDS_OF_TEXT),
    "distilbert": Family(
        "BertTokenizer", "wordpiece", WORDPIECE, config={"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 32}
    ),
    "roberta": Family("RobertaTokenizer", "bpe", ROBERTA, POSITIONS - 2),
    "xlm-roberta": Family("XLMRobertaTokenizer", "unigram", ROBERTA, POSITIONS - 2),
    "electra": Family("BertTokenizer", "wordpiece", WORDPIECE, takes=KINDS_OF_TEXT),
    "albert": Family("AlbertTokenizer", "unigram", ALBERT, config={**NARROW, "embedding_size": 8}, takes=KINDS_OF_TEXT),
    "deberta-v2": Family(
        "DebertaV2Tokenizer",
        "unigram",
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"],
        config={**NARROW, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
        takes=KINDS_OF_TEXT,
    ),
    "modernbert": Family("PreTrainedTokenizerFast", "modern", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]),
    "xlnet": Family(
        "XLNetTokenizer",
        "unigram",
        XLNET,
        512,
        config={"d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 32},
        takes=KINDS_OF_TEXT,
    ),
    "mpnet": Family("MPNetTokenizer", "wordpiece", ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"], POSITIONS - 2),
    "t5": Family("T5Tokenizer", "unigram", ["<pad>", "</s>", "<unk>"], 512, config=T5),
    "gpt2": Family(
        "GPT2Tokenizer",
        "bpe",
        ["<|endoftext|>"],
        config={"n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 0, "eos_token_id": 0},
        settings={"pad_token": "<|endoftext|>"},
    ),
}


def make_family(folder: Path, kind: str) -> Path:
    """A narrow model of a family without a head, its weights drawn from a fixed seed, and its own tokenizer."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModel

    family = FAMILIES[kind]
    tokenizer = _tokenizer(family)
    config = CONFIG_MAPPING[kind](vocab_size=len(tokenizer), **family.config)
    if isinstance(getattr(config, "max_position_embeddings", None), int) and kind != "xlnet":
        config.max_position_embeddings = POSITIONS
    for name in ("pad", "bos", "eos", "cls", "sep"):
        number = getattr(tokenizer, f"{name}_token_id")
        if hasattr(config, f"{name}_token_id") and number is not None:
            setattr(config, f"{name}_token_id", number)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def texts() -> Iterator[str]:
    """The embedded sample's."""
    from ftrun_plugins.datasets import sample_folder

    for line in (sample_folder() / "train.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield from (row["sentence1"], row["sentence2"])


def _tokenizer(family: Family) -> Any:
    import transformers

    made: Any = getattr(transformers, family.tokenizer)
    learnt = _learnt(family)
    if family.algorithm == "modern":
        names = dict(
            zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), family.special, strict=True)
        )
        return made(tokenizer_object=learnt, **names)
    model = json.loads(learnt.to_str())["model"]
    if family.algorithm == "bpe":
        return made(vocab=model["vocab"], merges=[tuple(pair) for pair in model["merges"]])
    if family.algorithm == "unigram":
        return made(vocab=[(token, score) for token, score in model["vocab"]])
    return made(vocab=model["vocab"])


def _learnt(family: Family) -> Any:
    """A vocabulary of the sample's words, as the family's tokenizers learn theirs."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing

    common = {"vocab_size": 400, "special_tokens": family.special, "show_progress": False}
    if family.algorithm == "wordpiece":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer: Any = trainers.WordPieceTrainer(**common)
    elif family.algorithm == "unigram":
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer = trainers.UnigramTrainer(unk_token="[UNK]" if "[UNK]" in family.special else "<unk>", **common)
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **common)
    tokenizer.train_from_iterator(texts(), trainer)
    if family.algorithm == "modern":
        begin, end = ((token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]"))
        pattern = {"single": "[CLS] $A [SEP]", "pair": "[CLS] $A [SEP] $B [SEP]"}
        tokenizer.post_processor = TemplateProcessing(**pattern, special_tokens=[begin, end])
    return tokenizer
