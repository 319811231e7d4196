"""What of a checkpoint is on this machine, without a network and without opening a file of weights; light."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from ftrun import hub
from ftrun.contracts import Need
from ftrun.references import local_folder, problem_with

from ftrun_plugins.models.checkpoints import CONFIG, INDEX, WEIGHTS

VOCABULARIES = ("tokenizer.json", "vocab*", "*.model", "*.spm", "*.codes")
"""A tokenizer's words, by name."""
SENTENCEPIECE = ("*.model", "*.spm")


def checkpoint_needs(reference: str, revision: str | None, key: str) -> Sequence[Need]:
    """A checkpoint's configuration and weights, and its tokenizer."""
    folder = _folder(reference, revision)
    if folder is None:
        return [Need(_called("the checkpoint", reference, revision), False, _how(reference, key), key)]
    lacking = _lacking(folder)
    what = _called("the checkpoint", reference, revision)
    if lacking:
        what += f" ({', '.join(lacking)})"
    return [Need(what, not lacking, _how(reference, key), key), *_tokenizer(folder, reference, revision, key)]


def tokenizer_needs(reference: str, revision: str | None, key: str) -> Sequence[Need]:
    """A checkpoint's tokenizer alone."""
    folder = _folder(reference, revision)
    if folder is None:
        return [Need(_called("the tokenizer of", reference, revision), False, _how(reference, key), key)]
    return _tokenizer(folder, reference, revision, key)


def _folder(reference: str, revision: str | None) -> Path | None:
    if problem_with(reference, ""):
        return None
    return local_folder(reference) or hub.cached(reference, "model", revision)


def _how(reference: str, key: str) -> str:
    if problems := problem_with(reference, key):
        return problems[0].hint or problems[0].message
    return hub.HOW_TO_CACHE if local_folder(reference) is None else "copy the whole folder"


def _called(what: str, reference: str, revision: str | None) -> str:
    at = f" at {revision}" if revision and local_folder(reference) is None else ""
    return f"{what} {reference}{at}"


def _lacking(folder: Path) -> Sequence[str]:
    """The files of a model that are not there."""
    wanted = [CONFIG]
    if (folder / INDEX).is_file() and not (folder / WEIGHTS).is_file():
        wanted += _shards(folder / INDEX)
    else:
        wanted.append(WEIGHTS)
    return [name for name in wanted if not (folder / name).is_file()]


def _shards(index: Path) -> Sequence[str]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return sorted({Path(name).name for name in weight_map.values()})
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return [WEIGHTS]  # an index that says nothing is told as the checkpoint is opened


def _tokenizer(folder: Path, reference: str, revision: str | None, key: str) -> Sequence[Need]:
    names = [path.name for path in folder.iterdir() if path.is_file()]
    here = any(fnmatch(name, pattern) for name in names for pattern in VOCABULARIES)
    needs = [Need(_called("the tokenizer of", reference, revision), here, _how(reference, key), key)]
    own = any(fnmatch(name, pattern) for name in names for pattern in SENTENCEPIECE)
    if own and "tokenizer.json" not in names:
        installed = all(importlib.util.find_spec(name) for name in ("sentencepiece", "google.protobuf"))
        get = "pip install 'ftrun[sentencepiece]'"
        needs.append(Need("the packages sentencepiece and protobuf, which read its tokenizer", installed, get, key))
    return needs
