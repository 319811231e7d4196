"""What is not pure, or no mean, is told before training; rows in another order are refused."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import marks
import pytest
import torch

COLLATOR = 'the collator "lists" of their-package 3'
MODEL = 'the model "parity" of their-package 3'


class Summed(marks.Marks):
    def loss(self, logits: Any, labels: Any) -> Any:
        return super().loss(logits, labels) * len(labels)


class Restless(marks.Marks):
    def forward(self, *args: Any, **batch: Any) -> Any:
        output = super().forward(*args, **batch)
        return SimpleNamespace(logits=output.logits + torch.rand(()), loss=output.loss)


class RestlessLoss(marks.Marks):
    def loss(self, logits: Any, labels: Any) -> Any:
        return super().loss(logits, labels) * (1 + random.random())


def drawing(rows: Any) -> Any:
    torch.rand(3)
    return marks.collate(rows)


def masking(rows: Any) -> Any:
    batch = marks.collate(rows)
    return {**batch, "input_ids": torch.randint(0, 10, batch["input_ids"].shape)}


TOLD: dict[str, tuple[dict[str, Any], str]] = {
    "a sum": ({"model": lambda s, d: marks.built(Summed())}, f"{MODEL} has a loss of "),
    "numbers by chance": ({"model": lambda s, d: marks.built(Restless())}, f"{MODEL} says something else of the same"),
    "a loss by chance": ({"model": lambda s, d: marks.built(RestlessLoss())}, f"{MODEL} says something else of the "),
    "a draw": ({"collator": lambda s, t: drawing}, f"{COLLATOR} draws from a global generator"),
    "a batch by chance": ({"collator": lambda s, t: masking}, f"{COLLATOR} makes another batch of the same rows"),
}


@pytest.mark.parametrize("name", TOLD)
def test_it_is_told_and_stops_nothing(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, sentence = TOLD[name]
    heard, seen = marks.Heard(), marks.Heard()
    outcome = marks.run(parts, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED", outcome.result.error
    assert [told for told in heard.notices if told.startswith(sentence)], heard.notices
    marks.look(parts, workdir, monkeypatch, seen)
    assert [told for told in seen.notices if told.startswith(sentence)], seen.notices
    about = [told for told in [*heard.notices, *seen.notices] if "their-package" in told]
    assert {told.partition(" of their")[0] for told in about} == {sentence.partition(" of their")[0]}, about


def test_sound_parts_are_told_nothing_of(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = marks.Heard()
    outcome = marks.run({}, workdir, monkeypatch, heard)
    marks.look({}, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED" and not [told for told in heard.notices if "their-package" in told]


@pytest.mark.parametrize(
    "order", [lambda rows: rows[::-1], lambda rows: sorted(rows, key=repr)], ids=["back", "sorted"]
)
def test_rows_in_another_order_are_refused(order: Any, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = marks.run({"collator": lambda s, t: lambda rows: marks.collate(order(rows))}, workdir, monkeypatch)
    assert outcome.result.steps == 0 and outcome.problem
    assert f"{COLLATOR} gives the rows of a batch in another order" in str(outcome.problem)


def test_labels_may_be_filled_up_before_a_row(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def before(rows: Any) -> Any:
        turned = marks.collate([{name: cells[::-1] for name, cells in row.items()} for row in rows])
        return {name: tensor.flip(1) for name, tensor in turned.items()}

    outcome = marks.run({"collator": lambda s, t: before}, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED", outcome.result.error


def test_an_encode_that_is_not_pure_is_told(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(batch: Any) -> Any:
        return {**marks.encode(batch), "input_ids": [[random.randint(0, 9) for _ in row] for row in batch["numbers"]]}

    heard = marks.Heard()
    outcome = marks.run({"model": lambda s, d: marks.built(encode=encode)}, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED", outcome.result.error
    (told, *_) = [told for told in heard.notices if "encode must be pure" in told]
    assert 'the model "parity" of their-package 3 encodes rows of train otherwise' in told
