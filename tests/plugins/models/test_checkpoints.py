"""Checkpoints as people have them: what is wrong with one is a sentence before training, and what is sound just works."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError
from ftrun_plugins.collators.padding import dynamic
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint

TASK = Task("classification", ("text",), "label", ("no", "yes"))
PAIR = Task("classification", ("first", "second"), "label", ("no", "yes"))
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


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def checkpoint(sound: Path, tmp_path: Path) -> Path:
    """A sound checkpoint, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "bert"))


def build(folder: Path | str, task: Task = TASK, **settings: Any) -> BuiltModel:
    return from_checkpoint(CheckpointSettings(checkpoint=str(folder), **settings), task)


def edit(file: Path, **values: Any) -> None:
    """Set keys of a JSON file, or with None take them out."""
    read = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: value for key, value in read.items() if value is not None}))


def shards(folder: Path) -> None:
    """The weights in several files."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="4KB")


# ---------------------------------------------------------------- what is told


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def cut_in_header(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:40])


def lose_a_shard(folder: Path) -> None:
    shards(folder)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def cut_a_shard(folder: Path) -> None:
    shards(folder)
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-8])


def swap_shards(folder: Path) -> None:
    shards(folder)
    first, second = sorted(folder.glob("model-*.safetensors"))[:2]
    shutil.copy(first, second)


def spoil_index(folder: Path) -> None:
    shards(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../etc/passwd"}}')


def pickle_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({}))


def only_config(folder: Path) -> None:
    for file in folder.iterdir():
        if file.name != "config.json":
            file.unlink()


def empty(folder: Path) -> None:
    only_config(folder)
    (folder / "config.json").unlink()


def adapter(folder: Path) -> None:
    empty(folder)
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "google-bert/bert-base-uncased"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")


def run_folder(folder: Path) -> None:
    model = folder.parent / "aside"
    folder.rename(model)
    folder.mkdir()
    model.rename(folder / "model")
    (folder / "journal.jsonl").write_text("")


def config(text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "config.json").write_text(text)

    return spoil


def configured(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "config.json", **values)


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


def other_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    save_file({f"other.{name}": tensor for name, tensor in load_file(weights).items()}, weights)


def sentencepiece(name: str, kind: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": f"{kind}Tokenizer"}))
        (folder / name).write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, r"model\.safetensors \([\d,]+ bytes\) is damaged or cut short: [\s\S]*again"),
        (cut_in_header, r"model\.safetensors \(40 bytes\) is damaged"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), r"model\.safetensors \(0 bytes\) is damaged"),
        (lambda folder: (folder / "model.safetensors").write_text("<html>"), r"model\.safetensors .* is damaged"),
        (lose_a_shard, r"1 of its \d+ files of weights are not there: model-00002-of-\d+\.safetensors"),
        (cut_a_shard, r"model-00002-of-\d+\.safetensors .* is damaged"),
        (swap_shards, r"names \d+ tensors that its files do not hold, such as \S+"),
        (spoil_index, r"does not say which file holds which tensor"),
        (pickle_weights, r"weights are pickles \(pytorch_model\.bin\)[\s\S]*save_pretrained"),
        (only_config, r"no tokenizer|no vocabulary"),
        (empty, r"the folder is empty"),
        (adapter, r"PEFT adapter of google-bert/bert-base-uncased[\s\S]*merge_and_unload"),
        (run_folder, r"has no config\.json[\s\S]*Did you mean .*/model\?"),
        (config("{"), r"config\.json is no JSON"),
        (config(""), r"config\.json is no JSON"),
        (config("[]"), r"config\.json is no JSON object"),
        (config('{"hidden_size": 16}'), r"config\.json names no model_type"),
        (configured(model_type="bertt"), r'knows no model_type "bertt"'),
        (configured(model_type=["bert"]), r"config\.json names no model_type"),
        (configured(model_type="own", auto_map={"AutoConfig": "own.Own"}), r"code of its own[\s\S]*runs no code"),
        (configured(model_type="vit"), r'type "vit", which transformers gives no head'),
        (configured(model_type="marian"), r'type "marian", which transformers gives no head'),
        (configured(hidden_size="wide"), r"makes no configuration of bert"),
        (configured(num_attention_heads=3), r"cannot be loaded: .*multiple of"),
        (configured(hidden_size=32), r"is 16 in its weights, and 32 by its config\.json"),
        (
            configured(num_hidden_layers=2),
            r"weights lack 16 of the model's \d+ tensors, such as bert\.encoder\.layer\.1",
        ),
        (other_weights, r"weights lack \d+ of the model's"),
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
def test_what_is_wrong_with_a_checkpoint_is_a_sentence(
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


def test_a_checkpoint_that_says_less_than_its_weights_hold_is_told(checkpoint: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=6, **{**NARROW, "num_hidden_layers": 3})).save_pretrained(checkpoint)
    edit(checkpoint / "config.json", num_hidden_layers=1)
    assert any("32 tensors" in notice and "no place" in notice for notice in build(checkpoint).notices)


# ---------------------------------------------------------------- what just works

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


def test_weights_in_several_files_are_one_model(checkpoint: Path) -> None:
    import torch

    whole = build(checkpoint)
    shards(checkpoint)
    in_parts = build(checkpoint)
    assert len(list(checkpoint.glob("model-*.safetensors"))) > 2
    for name, tensor in whole.model.bert.state_dict().items():
        assert torch.equal(tensor, in_parts.model.bert.state_dict()[name])


def test_encode_pickles_for_processes_that_share_the_work(checkpoint: Path) -> None:
    built = build(checkpoint, PAIR)
    batch = {"first": ["a b"], "second": ["c"], "label": [1]}
    assert pickle.loads(pickle.dumps(built.encode))(batch) == built.encode(batch)


def test_the_digest_is_of_what_decides_the_numbers(checkpoint: Path) -> None:
    before = build(checkpoint).digest
    (checkpoint / "README.md").write_text("something else")
    (checkpoint / "trainer_state.json").write_text("{}")
    assert before and len(before) == 64 and build(checkpoint).digest == before
    make_tokenizer(model_max_length=30).save_pretrained(checkpoint)
    other_tokenizer = build(checkpoint).digest
    edit(checkpoint / "config.json", hidden_dropout_prob=0.3)
    other_config = build(checkpoint).digest
    make_checkpoint(checkpoint)
    assert len({before, other_tokenizer, other_config, build(checkpoint).digest}) == 4
