"""A task of one's own in torch: which numbers of a row are its largest, a class for every place. Each part can be
broken in a test.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import their_parts
import torch
from ftrun.contracts import BuiltModel, Predictions, Splits, Task
from ftrun.execution.inspection import inspect
from ftrun.execution.outcome import Outcome
from ftrun.execution.watcher import Watcher
from helpers import rows_of

KIND = "marks"
KINDS = frozenset({KIND, "classification", "regression"})
TASK = Task(KIND, ("numbers",), "marks", ("other", "largest"))
WITHOUT_CLASSES = replace(TASK, class_names=None)
NO_LABEL = -100
FILE = """
name = "marks"
dataset = { use = "numbers" }
model = { use = "parity" }
collator = { use = "lists" }
backend = { use = "loop" }
metrics = [{ use = "hits" }]
tracking = { enabled = false, pictures = false }
training = { max_steps = 2, save_strategy = "no", device = "cpu", per_device_eval_batch_size = 4 }
"""
NUMBERS = [[3, 1, 2], [0, 5], [4, 4, 9, 1], [7], [2, 8, 1], [6, 0], [1, 2, 3, 4], [9, 3]]


class Heard(Watcher):
    """Keeps what people are told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)


def marks_of(numbers: Sequence[int]) -> list[int]:
    return [int(number == max(numbers)) for number in numbers]


def splits(task: Task = TASK, label: Callable[[Sequence[int]], Any] = marks_of, **changed: Any) -> Splits:
    rows = rows_of(numbers=NUMBERS, marks=[label(numbers) for numbers in NUMBERS])
    sound = Splits(task=task, train=rows, evaluation={"validation": rows}, name="marks", source="here", digest="1")
    return replace(sound, **changed)


class Marks(torch.nn.Module):
    """Gives `outputs` numbers for every place."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, outputs)

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None) -> Any:
        logits = self.embedding(input_ids)
        return SimpleNamespace(logits=logits, loss=None if labels is None else self.loss(logits, labels))

    def loss(self, logits: Any, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())

    def save_pretrained(self, folder: Path) -> None:
        torch.save(self.state_dict(), Path(folder, "marks.pt"))


class Ends(Marks):
    """Has labels of another form: the first and the last place of something."""

    def loss(self, logits: Any, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), labels.flatten())


def encode(batch: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"input_ids": list(batch["numbers"]), **({"labels": list(batch["marks"])} if "marks" in batch else {})}


def built(model: Any = None, **changed: Any) -> BuiltModel:
    return replace(BuiltModel(Marks() if model is None else model, None, encode, "marks-1", "drawn"), **changed)


def collate(rows: Any) -> Mapping[str, Any]:
    def filled(name: str, value: int) -> Any:
        cells = [torch.tensor(row[name]) for row in rows]
        return torch.nn.utils.rnn.pad_sequence(cells, batch_first=True, padding_value=value)

    ids = filled("input_ids", 0)
    mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (ids.shape[1] - len(r["input_ids"])) for r in rows])
    labels = {"labels": filled("labels", NO_LABEL)} if "labels" in rows[0] else {}
    return {"input_ids": ids, "attention_mask": mask, **labels}


def hits(predictions: Predictions) -> Mapping[str, float]:
    return {"hits": float(predictions.logits.sum())}


SOUND: their_parts.Parts = {
    "dataset": lambda settings: splits(),
    "model": lambda settings, splits: built(),
    "collator": lambda settings, tokenizer: collate,
    "metric": lambda settings, task: hits,
}


def run(
    parts: their_parts.Parts,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    watcher: Watcher | None = None,
    file: str = FILE,
) -> Outcome:
    """An experiment made of these parts, on the built-in loop."""
    return their_parts.run({**SOUND, **parts}, folder, monkeypatch, watcher, file, KINDS)


def look(
    parts: their_parts.Parts,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    watcher: Watcher | None = None,
    file: str = FILE,
) -> Any:
    """What `ftrun check --deep` finds of such an experiment."""
    plan, _ = their_parts.planned({**SOUND, **parts}, folder, monkeypatch, file, KINDS)
    return inspect(plan, watcher or Watcher())
