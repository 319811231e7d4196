"""Checkpoints as people have them: what is wrong with one is a sentence before training, and what is sound just works."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint
from makers import NARROW, edit, make_checkpoint, make_tokenizer

TASK = Task("classification", ("text",), "label", ("no", "yes"))
PAIR = Task("classification", ("first", "second"), "label", ("no", "yes"))


def build(folder: Path | str, task: Task = TASK, **settings: Any) -> BuiltModel:
    return from_checkpoint(CheckpointSettings(checkpoint=str(folder), **settings), task)


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


def other_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = folder / "model.safetensors"
    save_file({f"other.{name}": tensor for name, tensor in load_file(weights).items()}, weights)


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
    ],
)
def test_what_is_wrong_with_a_checkpoint_is_a_sentence(
    checkpoint: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(checkpoint)
    with pytest.raises(ExperimentError, match=rf"^model\.checkpoint: [\s\S]*{message}"):
        build(checkpoint)


def test_a_checkpoint_that_says_less_than_its_weights_hold_is_told(checkpoint: Path) -> None:
    from transformers import BertConfig, BertModel

    BertModel(BertConfig(vocab_size=6, **{**NARROW, "num_hidden_layers": 3})).save_pretrained(checkpoint)
    edit(checkpoint / "config.json", num_hidden_layers=1)
    assert any("32 tensors" in notice and "no place" in notice for notice in build(checkpoint).notices)


# ---------------------------------------------------------------- what just works


def test_weights_in_several_files_are_one_model(checkpoint: Path) -> None:
    import torch

    whole = build(checkpoint)
    shards(checkpoint)
    in_parts = build(checkpoint)
    assert len(list(checkpoint.glob("model-*.safetensors"))) > 2
    for name, tensor in whole.model.bert.state_dict().items():
        assert torch.equal(tensor, in_parts.model.bert.state_dict()[name])


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


def test_pickled_weights_are_refused(checkpoint: Path) -> None:
    import torch

    weights = checkpoint / "model.safetensors"
    weights.unlink()
    torch.save({}, checkpoint / "pytorch_model.bin")
    with pytest.raises(ExperimentError, match=r"weights are pickles \(pytorch_model.bin\)[\s\S]*never pickles"):
        build(checkpoint, PAIR)


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="the folder is empty"):
        build(tmp_path, PAIR)
