"""The model: made for a task, and made again of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ftrun_bag_of_words import BagSettings
from ftrun_bag_of_words.vocabulary import FILE, Vocabulary

WEIGHTS = "bag_of_words.safetensors"
ENCODE_VERSION = 1


@dataclass
class Output:
    """What the model says of a batch."""

    loss: torch.Tensor | None
    logits: torch.Tensor


class BagOfWords(torch.nn.Module):
    """The mean of a text's words, and a layer for the classes.

    Args:
        words: How many words are known.
        width: Numbers that stand for a word.
        classes: How many classes there are.
    """

    def __init__(self, words: int, width: int, classes: int) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(words + 1, width, padding_idx=0)
        self.classifier = torch.nn.Linear(width, classes)

    def forward(self, words: torch.Tensor, labels: torch.Tensor | None = None) -> Output:
        """Tell the classes of texts, given as numbers of their words."""
        there = (words > 0).sum(dim=1, keepdim=True).clamp(min=1)
        logits = self.classifier(self.embedding(words).sum(dim=1) / there)
        loss = None if labels is None else torch.nn.functional.cross_entropy(logits, labels)
        return Output(loss, logits)

    def save_pretrained(self, save_directory: str | PathLike[str], /) -> None:
        """Write the weights into a folder."""
        save_file(self.state_dict(), Path(save_directory) / WEIGHTS)


@dataclass(frozen=True)
class Encoder:
    """From texts to the numbers of their words; an object, which can be sent to other processes."""

    vocabulary: Vocabulary
    task: Task

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """Encode a batch of rows."""
        texts = zip(*(columns[name] for name in self.task.text_columns), strict=True)
        encoded: dict[str, Sequence[Any]] = {"words": [self.vocabulary.numbers(" ".join(row)) for row in texts]}
        if self.task.label_column in columns:
            encoded["labels"] = columns[self.task.label_column]
        return encoded


def build(settings: BagSettings, splits: Splits) -> BuiltModel:
    """A model with fresh weights, and the vocabulary of the rows to train on."""
    texts = (text for name in splits.task.text_columns for text in splits.train[name])
    vocabulary = Vocabulary.fitted(texts, settings.min_count)
    return _built(settings, vocabulary, splits.task, "fresh weights")


def load(settings: BagSettings, folder: Path, task: Task) -> BuiltModel:
    """The model that was saved into a folder.

    Raises:
        ExperimentError: If there is none.
    """
    for name in (FILE, WEIGHTS):
        if not (folder / name).is_file():
            raise ExperimentError(f"{folder} holds no model bag-of-words: it has no {name}")
    built = _built(settings, Vocabulary.read(folder), task, str(folder))
    try:
        built.model.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError) as error:
        raise ExperimentError(f"{folder / WEIGHTS} holds other weights than these settings make: {error}") from error
    return built


def _built(settings: BagSettings, vocabulary: Vocabulary, task: Task, source: str) -> BuiltModel:
    words = json.dumps([ENCODE_VERSION, task.text_columns, vocabulary.words])
    return BuiltModel(
        model=BagOfWords(len(vocabulary.words), settings.width, task.num_labels),
        tokenizer=vocabulary,
        encode=Encoder(vocabulary, task),
        encode_key=hashlib.sha256(words.encode()).hexdigest(),
        source=source,
        notices=[f"{len(vocabulary.words)} words are known"],
    )
