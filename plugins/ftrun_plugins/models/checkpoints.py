"""A checkpoint's files: where they are, whether they are whole, what they hold and what tells them apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from ftrun import hub
from ftrun.errors import ExperimentError, Problem
from ftrun.references import PACKAGE, local_folder
from safetensors import SafetensorError, safe_open

from ftrun_plugins.models import ADAPTER

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
"""Names of transformers: one file of weights, or the list of several."""
TOKENIZER_FILES = (
    *("tokenizer*.json", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json"),
    *("*.model", "*.spm", "*.codes", "*.tokenizer", "*.jinja"),
)
"""What transformers' tokenizers read, by name."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
MOST_NAMES_SHOWN = 8


@dataclass(frozen=True)
class Checkpoint:
    """A folder of transformers' files.

    Attributes:
        folder: Where they are on this disk; those of the weights once `weights` was asked for.
        source: For people and for the record, with the commit where there is one.
        place: The key in the file that names it.
        found: The repository on the Hub that they come from, if they do.
        notices: Sentences that a person should read.
    """

    folder: Path
    source: str
    place: str
    found: hub.Found | None = None
    notices: Sequence[str] = ()

    @cached_property
    def weights(self) -> Mapping[str, Path]:
        """The safetensors file of every tensor by its name; fetched if need be, and every file whole.

        Raises:
            ExperimentError: If there are none, or they are damaged.
            RunError: If they cannot be fetched.
        """
        names = self._weight_files()
        self._fetch(names)
        tensors = {tensor: self.folder / name for name in names for tensor in self._tensors(name)}
        if INDEX in self._names() and WEIGHTS not in names:
            lost = sorted(set(self._weight_map()) - set(tensors))
            if lost:
                raise self.error(f"{INDEX} names {len(lost):,} tensors that its files do not hold, such as {lost[0]}")
        return tensors

    def digest(self, with_weights: bool = True) -> str:
        """The commit, or a SHA-256 over the configuration, the tokenizer's files and the weights."""
        if self.found:
            return self.folder.name
        files = {self.folder / name for name in self._names() if _belongs_to_tokenizer(name)}
        if with_weights:
            files |= {self.folder / CONFIG, *self.weights.values()}
        digest = hashlib.sha256()
        for file in sorted(files):
            with file.open("rb") as stream:
                digest.update(file.name.encode() + hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    def read_json(self, name: str) -> dict[str, Any]:
        """A JSON file of the checkpoint.

        Raises:
            ExperimentError: If it is no JSON object.
        """
        try:
            read = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise self.error(f"its {name} is no JSON: {error}") from error
        if not isinstance(read, dict):
            raise self.error(f"its {name} is no JSON object")
        return read

    def holds(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._names()

    def error(self, message: str, hint: str | None = None) -> ExperimentError:
        """What is wrong with the checkpoint."""
        return ExperimentError(Problem(f"{self.source}: {message}", self.place, hint))

    def check_is_model(self) -> None:
        """Whether the files are those of a model.

        Raises:
            ExperimentError: If not.
        """
        names = self._names()
        if not names:
            raise self.error("the folder is empty", self._nearby())
        if ADAPTER in names:
            base = self.read_json(ADAPTER).get("base_model_name_or_path")
            hint = "Load it with peft on its base model, `merge_and_unload()`, and save that."
            raise self.error(f"it holds a PEFT adapter of {base}, and ftrun wants a whole model", hint)
        if CONFIG not in names:
            raise self.error(
                f"it has no {CONFIG}, so it is no model of transformers; it has {_some(names)}", self._nearby()
            )

    def _nearby(self) -> str | None:
        """A folder inside that is a checkpoint: people name a run, or the output_dir of Trainer."""
        if self.found:
            return None
        inside = sorted(path.parent for path in self.folder.glob(f"*/{CONFIG}"))
        inside += sorted(path.parent for path in self.folder.glob(f"checkpoints/*/{CONFIG}"))
        return f"Did you mean {inside[0]}?" if inside else None

    def _names(self) -> Sequence[str]:
        if self.found and self.found.files:
            return [name for name in self.found.files if "/" not in name]
        return sorted(path.name for path in self.folder.iterdir() if path.is_file())

    def _weight_files(self) -> Sequence[str]:
        names = self._names()
        if WEIGHTS in names:
            return [WEIGHTS]
        if INDEX in names:
            return sorted(set(self._weight_map().values()))
        if self.found and self.found.cached_only:
            raise hub.unreachable(self.found)
        pickles = [name for name in names if any(fnmatch(name, pattern) for pattern in PICKLES)]
        if pickles:
            hint = (
                "Reading pickles runs code. Where you trust the file, save the model anew: transformers' "
                "`from_pretrained(...)` and then `save_pretrained(...)` write safetensors."
            )
            message = f"its weights are pickles ({_some(pickles)}), and ftrun reads safetensors only, never pickles"
            raise self.error(message, hint)
        raise self.error(f"it has no weights, neither {WEIGHTS} nor {INDEX}; it has {_some(names)}")

    def _weight_map(self) -> Mapping[str, str]:
        weight_map = self.read_json(INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not all(_is_file_name(name) for name in weight_map.values()):
            raise self.error(f"its {INDEX} does not say which file holds which tensor")
        return weight_map

    def _fetch(self, names: Sequence[str]) -> None:
        if self.found and not self.found.cached_only:
            hub.fetch(self.found, names, self.folder.name)
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing and self.found and self.found.cached_only:
            raise hub.unreachable(self.found)
        if missing:
            raise self.error(f"{len(missing)} of its {len(names)} files of weights are not there: {_some(missing)}")

    def _tensors(self, name: str) -> Sequence[str]:
        try:
            with safe_open(self.folder / name, framework="pt") as file:
                return list(file.keys())
        except (SafetensorError, OSError) as error:
            size = (self.folder / name).stat().st_size
            message = f"its {name} ({size:,} bytes) is damaged or cut short: {error}"
            raise self.error(message, "Fetch or copy it again.") from error


def open_checkpoint(reference: str, revision: str | None, place: str) -> Checkpoint:
    """The checkpoint that a reference names, with all its files but the weights.

    Raises:
        ExperimentError: If there is no such thing.
        RunError: If it is on the Hub, and neither the Hub nor the cache gives it.
    """
    if here := local_folder(reference):
        return Checkpoint(here, reference if reference.startswith(PACKAGE) else str(here), place)
    found = hub.find(reference, "model", revision, place)
    folder = hub.fetch(found, [name for name in found.files if "/" not in name and _is_small(name)])
    if found.cached_only and not (folder / CONFIG).is_file():
        raise hub.unreachable(found)
    source = f"https://huggingface.co/{reference}@{folder.name}"
    return Checkpoint(folder, source, place, found, hub.cache_notices(found, folder))


def _is_small(name: str) -> bool:
    return name in (CONFIG, ADAPTER, INDEX) or _belongs_to_tokenizer(name)


def _belongs_to_tokenizer(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in TOKENIZER_FILES)


def _is_file_name(name: object) -> bool:
    return isinstance(name, str) and Path(name).name == name


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_NAMES_SHOWN])
    return f"{shown} and {len(names) - MOST_NAMES_SHOWN} more" if len(names) > MOST_NAMES_SHOWN else shown
