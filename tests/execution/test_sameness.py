"""What is not pure, no mean, or knows the labels, is told before training; rows in another order are refused."""

from __future__ import annotations

import copy
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import marks
import pytest
import torch
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from helpers import rows_of

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


class Letters(torch.nn.Module):
    """The mean of a text's letters, to classes or to a number."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(128, outputs)

    def forward(self, input_ids: Any, labels: Any = None) -> Any:
        mask = (input_ids > 0).unsqueeze(-1)
        logits = (self.embedding(input_ids) * mask).sum(1) / mask.sum(1)
        return self.said(logits, labels)

    def said(self, logits: Any, labels: Any) -> Any:
        return SimpleNamespace(logits=logits, loss=None if labels is None else self.loss(logits, labels))

    def loss(self, logits: Any, labels: Any) -> Any:
        return torch.nn.functional.cross_entropy(logits, labels)

    def save_pretrained(self, folder: Path) -> None:
        torch.save(self.state_dict(), Path(folder, "letters.pt"))


class OfNumbers(Letters):
    """A regression; it is broken: (rows, 1) and (rows,) make (rows, rows)."""

    def loss(self, logits: Any, labels: Any) -> Any:
        return (logits - labels).square().mean()


class Sound(Letters):
    def loss(self, logits: Any, labels: Any) -> Any:
        return (logits.squeeze(-1) - labels).square().mean()


class Padded(Letters):
    def forward(self, input_ids: Any, labels: Any = None) -> Any:
        return self.said(self.embedding(input_ids).mean(1), labels)


class Shares(Letters):
    def said(self, logits: Any, labels: Any) -> Any:
        return super().said(logits.softmax(-1), labels)


class Peeking(Letters):
    def said(self, logits: Any, labels: Any) -> Any:
        seen = 0 if labels is None else torch.nn.functional.one_hot(labels, logits.shape[-1])
        return super().said(logits + seen, labels)


class Needing(Letters):
    def said(self, logits: Any, labels: Any) -> Any:
        return SimpleNamespace(logits=logits, loss=self.loss(logits, labels))


def letters(model: Any, kind: str = "classification", collate: Any = None) -> Any:
    """Parts of a data set of texts, and a model of their letters."""
    task = Task(kind, ("text",), "label", ("a", "b") if kind == "classification" else None)
    rows = rows_of(
        text=["one", "twenty-two", "three", "four", "five", "six", "seven", "eight"],
        label=[n % 2 if kind == "classification" else n / 2 for n in range(8)],
    )

    def encode(batch: Any) -> Any:
        labels = {"labels": list(batch["label"])} if "label" in batch else {}
        return {"input_ids": [[ord(letter) for letter in text] for text in batch["text"]], **labels}

    def collate_soundly(rows: Any) -> Any:
        ids = [torch.tensor(row["input_ids"]) for row in rows]
        batch = {"input_ids": torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)}
        return batch | ({"labels": torch.tensor([row["labels"] for row in rows])} if "labels" in rows[0] else {})

    return {
        "dataset": lambda s: marks.splits(task, train=rows, evaluation={"validation": rows}),
        "model": lambda s, d: marks.built(model, encode=encode),
        "collator": lambda s, t: collate or collate_soundly,
        "load": lambda s, folder, task: marks.built(read_back(model, folder), encode=encode),
    }


def read_back(model: Any, folder: Path) -> Any:
    again = copy.deepcopy(model)
    again.load_state_dict(torch.load(folder / "letters.pt", weights_only=True))
    return again


OF_TEXTS: dict[str, tuple[Any, str | None]] = {
    "sound": (letters(Letters()), None),
    "a sound regression": (letters(Sound(1), "regression"), None),
    "rows mixed in a loss": (letters(OfNumbers(1), "regression"), f"{MODEL} has a loss of "),
    "padding that counts": (letters(Padded()), f"{MODEL} says something else of rows among longer ones"),
    "probabilities": (letters(Shares()), f"{MODEL} seems to give probabilities for logits"),
    "labels in its numbers": (letters(Peeking()), f"{MODEL} says something else of rows that it is given the labels"),
    "labels needed": (letters(Needing()), f"{MODEL} says nothing of rows without labels: TypeError: "),
}


def test_weights_of_classes_are_no_loss_that_mixes_rows(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = marks.Heard()
    file = marks.FILE.replace("training = {", "training = { class_weights = [1.0, 50.0],")
    outcome = marks.run(letters(Letters()), workdir, monkeypatch, heard, file)
    assert outcome.result.status == "FINISHED", outcome.result.error
    assert not [told for told in heard.notices if "their-package" in told]


@pytest.mark.parametrize("name", OF_TEXTS)
def test_of_texts_more_is_known(name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts, sentence = OF_TEXTS[name]
    heard, seen = marks.Heard(), marks.Heard()
    torch.manual_seed(1)
    outcome = marks.run(parts, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED", outcome.result.error
    marks.look(parts, workdir, monkeypatch, seen)
    for notices in (heard.notices, seen.notices):
        about = [told for told in notices if "their-package" in told]
        assert len(about) == (sentence is not None) and all(told.startswith(sentence or "") for told in about), about


def labels_as(change: Any) -> Any:
    parts = letters(Letters())
    sound = parts["collator"](None, None)
    return {**parts, "collator": lambda s, t: lambda rows: {**sound(rows), "labels": change(sound(rows)["labels"])}}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda labels: labels.float(), "gives the labels [0.0, 1.0, 0.0] for rows of the classes [0, 1, 0]"),
        (lambda labels: labels.unsqueeze(1), "gives the labels [[0], [1], [0]] for rows of the classes"),
        (lambda labels: 1 - labels, "gives the labels [1, 0, 1] for rows of the classes"),
    ],
)
def test_a_collator_that_changes_classes_is_refused(
    change: Any, told: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = marks.run(labels_as(change), workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and f"{COLLATOR} {told}" in str(outcome.problem)
    with pytest.raises(ExperimentError, match="They stay whole numbers of shape"):
        marks.look(labels_as(change), workdir, monkeypatch)


class OfArrays(Letters):
    def said(self, logits: Any, labels: Any) -> Any:
        return super().said(logits, labels).__class__(logits=logits.detach().numpy(), loss=self.loss(logits, labels))


class OfFloats(Letters):
    def loss(self, logits: Any, labels: Any) -> Any:
        return super().loss(logits, labels).item()


@pytest.mark.parametrize(
    ("model", "told"), [(OfArrays(), "gives a ndarray for logits of a batch"), (OfFloats(), "gives a float for loss")]
)
def test_what_is_no_tensor_is_told_as_that(
    model: Any, told: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = marks.run(letters(model), workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and f"{MODEL} {told}" in str(outcome.problem), outcome.result.error
    with pytest.raises(ExperimentError, match=told):
        marks.look(letters(model), workdir, monkeypatch)


class Few(Letters):
    def forward(self, input_ids: Any, labels: Any = None) -> Any:
        return super().forward(input_ids + 64, labels)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (Letters(1), "gives numbers of shape (4, 1) for 4 rows and 2 labels"),
        (Few(), "does not take a batch: raised Index"),
    ],
    ids=["a class without a number", "a token that is not there"],
)
def test_a_number_beyond_what_there_is_is_the_models_fault(
    model: Any, told: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = marks.run(letters(model), workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and outcome.result.steps == 0
    assert f"{MODEL} {told}" in str(outcome.problem), outcome.result.error
    with pytest.raises(ExperimentError) as caught:
        marks.look(letters(model), workdir, monkeypatch)
    assert f"{MODEL} {told}" in str(caught.value)


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


def test_a_text_column_that_encode_does_not_read_is_told(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = marks.splits(replace(marks.TASK, text_columns=("numbers", "hint")))
    rows = data.train.add_column("hint", [str(sum(numbers)) for numbers in marks.NUMBERS])
    data = replace(data, train=rows, evaluation={"validation": rows})
    heard, seen = marks.Heard(), marks.Heard()
    outcome = marks.run({"dataset": lambda s: data}, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED", outcome.result.error
    marks.look({"dataset": lambda s: data}, workdir, monkeypatch, seen)
    told = f"{MODEL} encodes rows alike whatever the column hint says: it is not read"
    for notices in (heard.notices, seen.notices):
        assert [notice for notice in notices if "their-package" in notice] == [told]


def test_an_encode_that_is_not_pure_is_told(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(batch: Any) -> Any:
        return {**marks.encode(batch), "input_ids": [[random.randint(0, 9) for _ in row] for row in batch["numbers"]]}

    heard = marks.Heard()
    outcome = marks.run({"model": lambda s, d: marks.built(encode=encode)}, workdir, monkeypatch, heard)
    assert outcome.result.status == "FINISHED", outcome.result.error
    (told, *_) = [told for told in heard.notices if "encode must be pure" in told]
    assert 'the model "parity" of their-package 3 encodes rows of train otherwise' in told


def turned(batch: Any) -> Any:
    return {name: tensor if name == "labels" else tensor.flip(0) for name, tensor in batch.items()}


class Turning(Letters):
    def forward(self, input_ids: Any, labels: Any = None) -> Any:
        return super().forward(input_ids.flip(0), labels)


@pytest.mark.parametrize("who", ["collator", "model"])
def test_inputs_in_another_order_than_their_labels_are_refused(
    who: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = letters(Turning() if who == "model" else Letters())
    if who == "collator":
        sound = parts["collator"]
        parts["collator"] = lambda settings, tokenizer: lambda rows: turned(sound(settings, tokenizer)(rows))
    told = "has the rows of a batch in another order than their labels"
    outcome = marks.run(parts, workdir, monkeypatch)
    assert outcome.result.steps == 0 and told in str(outcome.problem), outcome.result.error
    with pytest.raises(ExperimentError, match=told):
        marks.look(parts, workdir, monkeypatch)
