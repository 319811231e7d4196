"""Small parts to try a component with, made here: tasks, rows, and a model with its tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftrun.contracts import BuiltModel, Splits, Task
from ftrun.errors import ExperimentError, Problem

WORDS = ("red", "green", "blue", "one", "two", "three", "up", "down", "left", "right")
SPECIAL = ("<pad>", "<unk>", "</s>")
LONGEST = 32
"""Tokens of the longest row that the tiny model takes."""


def tiny_task(kind: str = "classification", columns: int = 2, classes: int = 3) -> Task:
    """A task.

    Args:
        kind: "classification", "multi_label" or "regression".
        columns: Columns of text: 1, `text`, or 2, `first` and `second`.
        classes: How many classes there are; regression has none.
    """
    names = None if kind == "regression" else tuple(f"class {place}" for place in range(classes))
    return Task(kind, ("text",) if columns == 1 else ("first", "second"), "label", names)


def tiny_splits(
    kind: str = "classification", columns: int = 2, classes: int = 3, rows: int = 20, evaluation: int = 12
) -> Splits:
    """An opened data set of a few short rows, in `datasets.Dataset`; the same for the same arguments.

    Args:
        kind: As `tiny_task` has it, and so the next two.
        columns: Columns of text.
        classes: How many classes there are.
        rows: Rows of `train`.
        evaluation: Rows of the evaluation split `validation`.
    """
    task = tiny_task(kind, columns, classes)
    train, validation = _rows(task, range(rows)), _rows(task, range(rows, rows + evaluation))
    digest = hashlib.sha256(repr((task, rows, evaluation)).encode()).hexdigest()
    return Splits(task, train, {"validation": validation}, "tiny", "ftrun.testing", digest)


def _rows(task: Task, numbers: range) -> Any:
    from datasets import Dataset

    texts = {name: [_text(number, place) for number in numbers] for place, name in enumerate(task.text_columns)}
    return Dataset.from_dict({**texts, task.label_column: [_label(task, number) for number in numbers]})


def _text(number: int, place: int) -> str:
    """One to seven words; which, tells the label in part."""
    length = 1 + (number * 3 + place) % 7
    return " ".join(WORDS[(number * (word + 1) + place) % len(WORDS)] for word in range(length))


def _label(task: Task, number: int) -> Any:
    if task.kind == "regression":
        return float(number % 5) / 2
    if task.kind == "multi_label":
        return [(number >> place) % 2 for place in range(task.num_labels)]
    return number * 7 // 3 % task.num_labels


def tiny_model(splits: Splits, dropout: float = 0.1, overflows_in: int = 0) -> BuiltModel:
    """A BERT of two narrow layers, its weights drawn from the global generator, and a tokenizer of a few words.

    Args:
        splits: Of a task that `tiny_task` makes, or one like it.
        dropout: Every dropout probability.
        overflows_in: The pass in training, counted from 1, from which on its numbers are not finite; 0 for none.
    """
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer, task = _tokenizer(), splits.task
    values: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "max_position_embeddings": LONGEST,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
        "num_labels": task.num_labels,
        "problem_type": PROBLEMS[task.kind],
        "pad_token_id": 0,
    }
    model = BertForSequenceClassification(BertConfig(**values))
    if overflows_in:
        model.register_forward_hook(_Overflow(overflows_in))
    return _built(model, tokenizer, task)


class _Overflow:
    """A hook of a model: makes what it says infinite from some pass in training on."""

    def __init__(self, first: int) -> None:
        self.left = first

    def __call__(self, model: Any, inputs: Any, output: Any) -> Any:
        self.left -= model.training
        if model.training and self.left <= 0:
            output.logits = output.logits * float("inf")
            output.loss = None if output.loss is None else output.loss * float("inf")
        return output


PROBLEMS = {
    "classification": "single_label_classification",
    "multi_label": "multi_label_classification",
    "regression": "regression",
}


def load_tiny_model(folder: Path, task: Task) -> BuiltModel:
    """The tiny model as a run has left it in a folder.

    Raises:
        ExperimentError: If it is not there.
    """
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    try:
        model = BertForSequenceClassification.from_pretrained(folder)
    except OSError as error:
        raise ExperimentError(Problem(f"{folder} holds no tiny model", "model")) from error
    return _built(model, PreTrainedTokenizerFast.from_pretrained(folder), task)


def _built(model: Any, tokenizer: Any, task: Task) -> BuiltModel:
    key = f"ftrun.testing tiny 1 {task}"
    return BuiltModel(model, tokenizer, TinyEncode(tokenizer, task), key, "ftrun.testing", max_length=LONGEST)


@dataclass(frozen=True)
class TinyEncode:
    """The tiny model's `encode`: an object, which can be sent to other processes."""

    tokenizer: Any
    task: Task

    def __call__(self, batch: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
        """`input_ids` and what goes with them, and `labels` where there are some."""
        texts = [list(batch[name]) for name in self.task.text_columns]
        columns = dict(self.tokenizer(*texts, truncation=True, max_length=LONGEST))
        if self.task.label_column in batch:
            labels = list(batch[self.task.label_column])
            if self.task.kind == "multi_label":
                labels = [[float(value) for value in row] for row in labels]
            columns["labels"] = labels
        return columns


def _tokenizer() -> Any:
    """A tokenizer of whole words, which ends each text with </s>."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *WORDS])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [("</s>", vocabulary["</s>"])]
    backend.post_processor = TemplateProcessing(single="$A </s>", pair="$A </s> $B:1 </s>:1", special_tokens=ends)
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    made: Any = PreTrainedTokenizerFast
    return made(tokenizer_object=backend, model_max_length=LONGEST, **named)
