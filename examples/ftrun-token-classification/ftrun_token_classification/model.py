"""A pretrained transformer with a head that labels every token."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Task
from ftrun.errors import ExperimentError, Problem
from ftrun.references import local_folder
from transformers import AutoModelForTokenClassification, AutoTokenizer, PreTrainedTokenizerBase

from ftrun_token_classification import TokenModelSettings

ENCODE_VERSION = 1
NO_LABEL = -100


def build(settings: TokenModelSettings, task: Task) -> BuiltModel:
    """The pretrained weights, with a fresh head for the task's classes.

    Raises:
        ExperimentError: If the checkpoint cannot be loaded.
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
        built = _built(settings, str(folder), task)
    except (OSError, ValueError) as error:
        raise ExperimentError(f"{folder} holds no model of transformers: {error}") from error
    model: Any = built.model
    if tuple(model.config.id2label.values()) != task.class_names:
        raise ExperimentError(f"{folder} has other classes than {task.class_names}")
    return built


def _built(settings: TokenModelSettings, checkpoint: str, task: Task) -> BuiltModel:
    names = task.class_names or ()
    place = local_folder(checkpoint) or checkpoint
    tokenizer = AutoTokenizer.from_pretrained(place)
    model = AutoModelForTokenClassification.from_pretrained(
        place,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        use_safetensors=True,
    )
    files = tokenizer.backend_tokenizer.to_str()
    key = json.dumps([ENCODE_VERSION, files, task.text_columns, task.label_column, settings.max_length])
    return BuiltModel(
        model=model,
        tokenizer=tokenizer,
        encode=Encoder(tokenizer, task, settings.max_length),
        encode_key=hashlib.sha256(key.encode()).hexdigest(),
        source=checkpoint,
        max_length=settings.max_length,
    )


@dataclass(frozen=True)
class Encoder:
    """From words to tokens. The first token of a word has the word's label, all others have none."""

    tokenizer: PreTrainedTokenizerBase
    task: Task
    max_length: int

    def __call__(self, columns: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """Encode a batch of rows."""
        (words,) = self.task.text_columns
        encoded = self.tokenizer(
            list(columns[words]), is_split_into_words=True, truncation=True, max_length=self.max_length
        )
        tags = columns.get(self.task.label_column)
        if tags is None:
            return dict(encoded)
        return {**encoded, "labels": [_aligned(encoded.word_ids(row), tags[row]) for row in range(len(tags))]}


def _aligned(word_ids: Sequence[int | None], tags: Sequence[int]) -> list[int]:
    before = [None, *word_ids]
    return [
        NO_LABEL if word is None or word == last else tags[word] for word, last in zip(word_ids, before, strict=False)
    ]
