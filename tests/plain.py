"""A model that is a plain `torch.nn.Module` with a vocabulary of its own and no tokenizer, its collator, and a job of it.

As a plugin it offers the model `bag` and the collator `bag`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ftrun import hookimpl
from ftrun.contracts import (
    BuiltModel,
    Collator,
    Job,
    Model,
    Splits,
    Task,
)
from ftrun.settings import TrainingSettings
from ftrun.testing import FakeReporter as Told  # noqa: F401 - what a reporter was told
from safetensors.torch import save_file
from torch.nn import functional

WIDTH = 12


@dataclass
class Output:
    loss: Any
    logits: Any


class Bag(torch.nn.Module):
    """The mean of a row's words, or each of them, through two layers."""

    def __init__(self, words: int, num_labels: int, kind: str = "classification") -> None:
        super().__init__()
        self.kind = kind
        self.config = {"words": words}  # its own business
        self.words = torch.nn.Embedding(words + 1, WIDTH, padding_idx=0)
        self.scale = torch.nn.LayerNorm(WIDTH)
        self.out = torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Dropout(0.1), torch.nn.ReLU())
        self.classify = torch.nn.Linear(WIDTH, num_labels)
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, words: torch.Tensor, labels: torch.Tensor | None = None) -> Output:
        if self.training:
            self.seen += len(words)
        hidden = self.words(words)
        if self.kind != "token_classification":
            there = (words > 0).sum(dim=1, keepdim=True).clamp(min=1)
            hidden = hidden.sum(dim=1) / there
        logits = self.classify(self.out(self.scale(hidden)))
        return Output(None if labels is None else self._loss(logits, labels), logits)

    def _loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.kind == "multi_label":
            return functional.binary_cross_entropy_with_logits(logits, labels)
        return functional.cross_entropy(logits.flatten(0, -2), labels.flatten())

    def save_pretrained(self, folder: Any) -> None:
        save_file(self.state_dict(), Path(folder) / "model.safetensors")


def collate(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows of `words`, ids from 1, filled up with 0; `labels` where there are any, those of places filled up with -100."""
    longest = max(len(row["words"]) for row in rows)
    batch = {"words": torch.tensor([filled(row["words"], longest, 0) for row in rows])}
    if "labels" in rows[0]:
        labels = [row["labels"] for row in rows]
        of_places = isinstance(labels[0], list) and not isinstance(labels[0][0], float)
        batch["labels"] = torch.tensor([filled(label, longest, -100) for label in labels] if of_places else labels)
    return batch


def filled(values: Sequence[int], length: int, value: int) -> list[int]:
    return [*values, *[value] * (length - len(values))]


def build_bag(settings: Any, splits: Splits) -> BuiltModel:
    texts = splits.task.text_columns
    words = sorted(
        {word for row in range(len(splits.train)) for name in texts for word in splits.train[row][name].split()}
    )
    ids = {word: number for number, word in enumerate(words, 1)}

    def encode(batch: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        rows = zip(*(batch[name] for name in texts), strict=True)
        known = [[ids[word] for text in row for word in text.split() if word in ids] for row in rows]
        return {"words": known, "labels": batch[splits.task.label_column]}

    return BuiltModel(Bag(len(words), splits.task.num_labels), None, encode, f"bag {words}", "here")


@hookimpl
def ftrun_models() -> list[Model]:
    return [Model(name="bag", summary="A bag of words", build=build_bag, has_tokenizer=False)]


@hookimpl
def ftrun_collators() -> list[Collator]:
    return [Collator(name="bag", summary="Its batches", build=lambda settings, tokenizer: collate)]


@dataclass
class Parts:
    """What a job is made of, for tests that need no file."""

    folder: Path
    kind: str = "classification"
    classes: int = 3
    rows: int = 22
    seed: int = 5
    settings: dict[str, Any] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    def job(self) -> Job:
        torch.manual_seed(self.seed)
        names = tuple("abcdefg"[: self.classes])
        return Job(
            **{
                "model": Bag(9, self.classes, self.kind),
                "tokenizer": None,
                "train": self.encoded(self.rows),
                "evaluation": {"validation": self.encoded(13)},
                "collate": collate,
                "evaluators": [lambda predictions: {"width": predictions.logits.shape[-1]}],
                "training": TrainingSettings(
                    **{"max_steps": 5, "learning_rate": 0.05, "device": "cpu", **self.settings}
                ),
                "task": Task(self.kind, ("text",), class_names=names),
                "seed": 1,
                "data_seed": 2,
                "run_folder": self.folder,
                **self.given,
            }
        )

    def encoded(self, count: int) -> list[dict[str, Any]]:
        """Rows of one to five words."""
        return [
            {"words": [1 + (row * place) % 9 for place in range(1, 2 + row % 5)], **self._labels(row)}
            for row in range(count)
        ]

    def _labels(self, row: int) -> dict[str, Any]:
        if self.kind == "multi_label":
            return {"labels": [float((row >> place) % 2) for place in range(self.classes)]}
        if self.kind == "token_classification":
            return {
                "labels": [-100 if place % 3 == 2 else (row + place) % self.classes for place in range(1 + row % 5)]
            }
        return {"labels": row % self.classes}
