"""What the Hub says no to, each in its own sentence; and the cache, when it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError, FtrunError, RunError
from ftrun_plugins.datasets.repositories import open_repository
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint
from helpers import OwnHub
from hub_stand_in import GATED, INVALID_TOKEN, TOO_MANY_REQUESTS, UNAUTHORIZED, UNAVAILABLE, Refusal

BERT = "google-bert/bert-base-uncased"
TASK = Task("classification", ("text",), "label", ("no", "yes"))
FORBIDDEN = Refusal(403, "", "Forbidden")


@pytest.fixture
def here(own_hub: OwnHub, monkeypatch: pytest.MonkeyPatch) -> OwnHub:
    """The Hub, for this process, that nobody waits for."""
    own_hub.use_here(monkeypatch)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return own_hub


def build(**settings: Any) -> BuiltModel:
    return from_checkpoint(CheckpointSettings(checkpoint=BERT, **settings), TASK)


OPENED: dict[str, Callable[[], Any]] = {
    "model": build,
    "dataset": lambda: open_repository("nyu-mll/glue", "mrpc", None),
}


@pytest.mark.parametrize("kind", OPENED)
@pytest.mark.parametrize("where", ["", "/resolve/"], ids=["everything", "files"])
@pytest.mark.parametrize(
    ("refusal", "token", "error", "message"),
    [
        (
            UNAUTHORIZED,
            None,
            ExperimentError,
            r"the Hub has no {kind}[\s\S]*for a private one, log in with `hf auth login`",
        ),
        (UNAUTHORIZED, "hf_old", RunError, r"the Hub does not take your token \(it answered 401 .* {kind}"),
        (INVALID_TOKEN, "hf_old", RunError, r"the Hub does not take your token \(it answered 401[\s\S]*HF_TOKEN"),
        (GATED, None, ExperimentError, r"the {kind} \S+ is gated[\s\S]*Ask for access"),
        (FORBIDDEN, "hf_mine", ExperimentError, r"the Hub does not give you the {kind} .* 403[\s\S]*permission"),
        (TOO_MANY_REQUESTS, None, RunError, r"the Hub at \S+ was asked too often \(it answered 429\): wait 55 seconds"),
        (replace(TOO_MANY_REQUESTS, headers={}), None, RunError, r"asked too often \(it answered 429\): wait a while"),
        (UNAVAILABLE, None, RunError, r"the Hub at \S+ is down \(it answered 503\)"),
        (Refusal(418), None, RunError, r"gave no answer that can be read \(it answered 418\)"),
    ],
)
def test_every_refusal_has_a_sentence_of_its_own(
    here: OwnHub,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    where: str,
    refusal: Refusal,
    token: str | None,
    error: type[FtrunError],
    message: str,
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    here.refuses = lambda path: refusal if where in path else None
    with pytest.raises(error, match=message.replace("{kind}", kind)) as told:
        OPENED[kind]()
    place = {"model": "model.checkpoint", "dataset": "dataset.path"}[kind]
    assert told.value.problems[0].place == place
    assert "out of reach" not in str(told.value) and "hf_" not in str(told.value).replace("hf_token", "")


@pytest.mark.parametrize("kind", OPENED)
@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (TOO_MANY_REQUESTS, "was asked too often (it answered 429): wait 55 seconds: "),
        (UNAVAILABLE, "is down (it answered 503): "),
        (None, "is out of reach ("),
    ],
    ids=["429", "503", "away"],
)
def test_what_is_cached_is_taken_and_said_to_be(here: OwnHub, kind: str, refusal: Refusal | None, words: str) -> None:
    online = OPENED[kind]()
    if refusal:
        here.refuses = lambda path: refusal
    else:
        here.stop()
    again = OPENED[kind]()
    (notice,) = [notice for notice in again.notices if notice not in online.notices]
    assert words in notice and f'taken from the cache, which has "main" at {again.digest}' in notice
    assert again.digest == online.digest and len(again.digest) == 40


def test_a_pinned_commit_is_taken_from_the_cache_without_a_word(here: OwnHub) -> None:
    online = build()
    pinned = build(revision=online.digest)
    here.stop()
    assert build(revision=online.digest).notices == pinned.notices == online.notices


def test_what_is_set_to_be_offline_is_told_as_such(here: OwnHub, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    build()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    here.asked.clear()
    assert any(notice.startswith("HF_HUB_OFFLINE is set: the model") for notice in build().notices)
    assert here.asked == []


def test_the_source_of_a_model_is_its_commit(here: OwnHub) -> None:
    built = build()
    assert built.source == f"https://huggingface.co/{BERT}@{built.digest}"


def test_a_models_weights_of_other_formats_are_not_fetched(here: OwnHub, repositories: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(repositories / "bert", folder)
    for name in (
        "pytorch_model.bin",
        "tf_model.h5",
        "onnx/model.onnx",
        "model.fp16.safetensors",
        "onnx/tokenizer.json",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f"something else, {name}")
    here.add("model", BERT, folder)
    build()
    files = {
        line.rpartition("/resolve/")[2].partition("/")[2]
        for line in here.asked
        if "GET" in line and "/resolve/" in line
    }
    assert files == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt"} | {
        "special_tokens_map.json"
    }


def test_pickles_on_the_hub_are_refused_before_anything_is_asked_to_convert_them(
    here: OwnHub, repositories: Path, tmp_path: Path
) -> None:
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(repositories / "bert", folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    here.add("model", BERT, folder)
    with pytest.raises(ExperimentError, match=r"weights are pickles \(pytorch_model\.bin\)"):
        build()
    assert not [line for line in here.asked if "pytorch_model.bin" in line or "discussions" in line]


def test_a_download_that_breaks_off_is_told_and_goes_on_later(here: OwnHub) -> None:
    here.refuses = lambda path: UNAVAILABLE if "model.safetensors" in path else None
    with pytest.raises(
        RunError, match=r"could not be fetched: the Hub at \S+ is down[\s\S]*what has been fetched is kept"
    ):
        build()
    here.refuses = lambda path: None
    here.asked.clear()
    build()
    assert [line for line in here.asked if "GET" in line and "model.safetensors" in line]
    assert not [line for line in here.asked if "GET" in line and "vocab.txt" in line]
