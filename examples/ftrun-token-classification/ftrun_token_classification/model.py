"""A pretrained transformer with a head that labels every token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Predictions, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.references import local_folder
from transformers import AutoConfig, AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerBase

from ftrun_token_classification import TokenModelSettings

ENCODE_VERSION = 1
NO_LABEL = -100


def build(settings: TokenModelSettings, task: Task) -> BuiltModel:
    """The pretrained weights, with a fresh head for the task's classes where they have none.

    Raises:
        ExperimentError: If the checkpoint cannot be loaded, or is trained for other classes.
    """
    try:
        return _built(settings, settings.checkpoint, task)
    except (OSError, ValueError) as error:
        raise ExperimentError(Problem(f"it cannot be loaded: {error}", "checkpoint")) from error


def load(settings: TokenModelSettings, folder: Path, task: Task) -> BuiltModel:
    """The trained model that was saved into a folder.

    Raises:
        ExperimentError: If it is another's.
    """
    try:
        if not _is_trained(AutoConfig.from_pretrained(folder)):
            raise ExperimentError(f"{folder} holds no model that labels tokens")
        return _built(settings, str(folder), task)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{folder} holds no model of transformers: {error}") from error


def _built(settings: TokenModelSettings, checkpoint: str, task: Task) -> BuiltModel:
    place = local_folder(checkpoint) or checkpoint
    names = task.class_names or ()
    config = AutoConfig.from_pretrained(place)
    if _is_trained(config) and tuple(config.id2label.values()) != names:
        trained_for = ", ".join(config.id2label.values())
        raise ExperimentError(Problem(f"it is trained for other classes: {trained_for}", "checkpoint"))
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    model = AutoModelForTokenClassification.from_pretrained(place, config=config, dtype="float32", use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(place)
    encoder = Encoder(tokenizer, task, settings.max_length)
    facts = [ENCODE_VERSION, tokenizer.backend_tokenizer.to_str(), task.text_columns, task.label_column]
    return BuiltModel(
        model=model,
        tokenizer=tokenizer,
        encode=encoder,
        encode_key=hashlib.sha256(json.dumps([*facts, settings.max_length]).encode()).hexdigest(),
        source=checkpoint,
        max_length=settings.max_length,
        lengths=encoder.lengths,
        decode=encoder.decode,
    )


def _is_trained(config: Any) -> bool:
    return any(name.endswith("ForTokenClassification") for name in config.architectures or ())


@dataclass(frozen=True)
class Encoder:
    """From words to tokens, and from what is said of tokens back to words.

    The first token of a word has the word's label, all others have none.
    """

    tokenizer: PreTrainedTokenizerBase
    task: Task
    max_length: int

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """Encode a batch of rows."""
        encoded = self._tokens(columns)
        tags = columns.get(self.task.label_column)
        if tags is None:
            return dict(encoded)
        for words, labels in zip(self._words(columns), tags, strict=True):
            if len(words) != len(labels):
                raise ExperimentError(f"a row has {len(words)} words and {len(labels)} labels: {' '.join(words)}")
        return {**encoded, "labels": [_aligned(encoded.word_ids(row), tags[row]) for row in range(len(tags))]}

    def lengths(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[int]:
        """The tokens of rows before any is cut."""
        encoded = self.tokenizer(self._words(columns), is_split_into_words=True, verbose=False)
        return [len(tokens) for tokens in encoded["input_ids"]]

    def decode(self, columns: Mapping[str, Sequence[Any]], predictions: Predictions) -> Mapping[str, Sequence[Any]]:
        """The label of every word; none where the row was cut before it."""
        encoded, names = self._tokens(columns), self.task.class_names or ()
        told = []
        for row, words in enumerate(self._words(columns)):
            first = {word: place for place, word in reversed(list(enumerate(encoded.word_ids(row))))}
            said = predictions.values[row]
            told.append([names[said[first[word]]] if word in first else None for word in range(len(words))])
        return {"prediction": told}

    def _tokens(self, columns: Mapping[str, Sequence[Any]]) -> Any:
        return self.tokenizer(
            self._words(columns), is_split_into_words=True, truncation=True, max_length=self.max_length
        )

    def _words(self, columns: Mapping[str, Sequence[Any]]) -> list[list[str]]:
        """The words of each row; a text is cut at its spaces."""
        (name,) = self.task.text_columns
        rows = [cell.split() if isinstance(cell, str) else cell for cell in columns[name]]
        for row in rows:
            if not (isinstance(row, list) and all(isinstance(word, str) for word in row)):
                raise ExperimentError(f'"{name}" must hold a list of words, or a text, and has {row!r}')
        return rows


def _aligned(word_ids: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    before = [None, *word_ids]
    return [
        NO_LABEL if word is None or word == last else tags[word] for word, last in zip(word_ids, before, strict=False)
    ]
