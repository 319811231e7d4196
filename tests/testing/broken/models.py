"""Models, each broken in one point of its suite."""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from ftrun.contracts import BuiltModel, Model
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import Settings
from ftrun.testing import ModelSuite, tiny_model, tiny_task
from ftrun.testing.tiny import load_tiny_model
from pydantic import Field
from torch.nn import functional


@dataclasses.dataclass
class Output:
    loss: Any
    logits: Any


class Words(torch.nn.Module):
    """The mean of a row's words; what is broken is said by name."""

    def __init__(self, labels: int, broken: str = "") -> None:
        super().__init__()
        self.broken = broken
        self.words = torch.nn.Embedding(20, 8)
        self.out = torch.nn.Linear(8, labels)
        self.steps = 0
        if broken == "chance":
            self.extra = torch.nn.Parameter(torch.tensor(float(next(COUNTED))))
        if broken == "frozen":
            self.requires_grad_(False)
            self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, input_ids: Any, attention_mask: Any, labels: Any = None, token_type_ids: Any = None) -> Output:
        mask = attention_mask.unsqueeze(-1)
        if self.broken == "padding":
            mask = torch.ones_like(mask)
        hidden = (self.words(input_ids) * mask).sum(1) / mask.sum(1)
        if self.broken == "empty":
            hidden = hidden / (mask.sum(1) > 2)
        if self.broken == "eval" or self.training:
            hidden = functional.dropout(hidden, 0.2, training=True)
        if self.training and self.broken == "memory":
            self.steps += 1
            hidden = hidden * (1 + self.steps)
        if self.training and self.broken == "curve":
            hidden = hidden * next(COUNTED)
        logits = self.out(hidden)
        if self.broken == "cheat" and labels is not None:
            logits = logits + functional.one_hot(labels, logits.shape[-1])
        if self.broken == "frozen":
            logits = logits + 0 * self.unused
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        if self.broken == "loss" and loss is not None:
            loss = functional.cross_entropy(logits, labels, reduction="none")
        if self.broken == "sum" and loss is not None:
            loss = len(logits) * loss
        if self.broken == "gradient" and loss is not None:
            loss = loss.detach()
        return Output(loss, logits[:, :1] if self.broken == "shape" else logits)

    def save_pretrained(self, folder: Any) -> None:
        torch.save(
            {name: value for name, value in self.state_dict().items() if name != "unused"}, Path(folder) / "w.pt"
        )


COUNTED = itertools.count(1)


@dataclasses.dataclass
class Encode:
    """The tiny model's, broken in some way."""

    real: Any
    broken: str = ""
    calls: int = 0

    def __call__(self, batch: Any) -> Any:
        self.calls += 1
        columns = dict(self.real(batch))
        if self.broken == "memory":
            columns["input_ids"] = [[*row[:-1], 3 + self.calls % 4] for row in columns["input_ids"]]
        if self.broken == "neighbours":
            columns["input_ids"] = [[*row[:-1], 3 + len(columns["labels"]) % 2] for row in columns["input_ids"]]
        if self.broken == "hash":
            texts = [" ".join(texts) for texts in zip(*(batch[name] for name in ("first", "second")), strict=True)]
            columns["input_ids"] = [
                [3 + hash(text) % 16, *row[1:]] for text, row in zip(texts, columns["input_ids"], strict=True)
            ]
        if self.broken == "rows":
            batch["first"][0] = "green"
        if self.broken == "chance":
            torch.rand(1)
        if self.broken == "rows of columns":
            return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
        if self.broken == "labels":
            columns["labels"] = [(label + 1) % 3 for label in columns["labels"]]
        if self.broken == "blank":
            kept = [row for row, text in enumerate(batch["first"]) if text.strip()]
            columns = {name: [cells[row] for row in kept] for name, cells in columns.items()}
        return columns


def build(broken: str = "", change: Callable[[BuiltModel], BuiltModel] = lambda built: built) -> Any:
    def build(settings: Any, splits: Any) -> BuiltModel:
        with torch.random.fork_rng():
            tiny = tiny_model(splits)
        model: Any = Words(splits.task.num_labels, broken)
        return change(dataclasses.replace(tiny, model=model, encode_key="words 1", max_length=None))

    return build


def load(settings: Any, folder: Path, task: Any) -> BuiltModel:
    if not (folder / "w.pt").is_file():
        raise ExperimentError(Problem(f"{folder} holds no words", "checkpoint"))
    with torch.random.fork_rng():
        tiny = load_tiny_tokenizer(task)
    model: Any = Words(task.num_labels)
    model.load_state_dict(torch.load(folder / "w.pt", weights_only=True))
    return dataclasses.replace(tiny, model=model)


def load_tiny_tokenizer(task: Any) -> BuiltModel:
    from ftrun.testing import tiny_splits

    return tiny_model(tiny_splits(task.kind))


WORDS: Any = Model(name="words", summary="Words", build=build(), load=load)


def model(broken: str = "", change: Any = lambda built: built, **more: Any) -> Any:
    return dataclasses.replace(WORDS, build=build(broken, change), **more)


def encoding(how: str) -> Any:
    return model(change=lambda built: dataclasses.replace(built, encode=Encode(built.encode, how)))


class Suite(ModelSuite):
    catalogue_module = "ftrun.testing.offers"
    experiment = {"training.learning_rate": 0.1}


class SoundWords(Suite):
    component = WORDS


class SoundTiny(Suite):
    component = Model(name="tiny", summary="Tiny", build=lambda settings, splits: tiny_model(splits),
                      load=lambda settings, folder, task: load_tiny_model(folder, task))  # fmt: skip
    experiment = {}


class SoundRegression(SoundTiny):
    task = tiny_task("regression", columns=1)


BEFORE_TRAINING = [
    *("test_it_builds_what_the_contract_says", "test_a_batch_gives_a_loss_and_numbers"),
    *("test_rows_without_labels_are_predicted", "test_predicting_is_no_matter_of_chance"),
    *("test_padding_does_not_count", "test_texts_as_they_come_are_a_row_each"),
]
"""A model that no run begins with is told so wherever one would."""


class BrokenBuild(Suite):
    component = model(change=lambda built: dataclasses.replace(built, encode_key=None))
    fails = BEFORE_TRAINING
    says = "has a NoneType for its encode_key"


class BrokenKinds(Suite):
    component = model(kinds=frozenset({"regression"}))
    fails = BEFORE_TRAINING
    says = "does not take classification, the task of the suite"


class BrokenTokenizer(Suite):
    component = model(has_tokenizer=False)
    fails = ["test_it_has_the_tokenizer_that_it_promises", *BEFORE_TRAINING[1:]]
    says = "is False, and it comes with one"


class BrokenWeights(Suite):
    component = model("chance")
    fails = "test_the_same_seed_draws_the_same_weights"
    says = "extra of the model"


class BrokenKey(Suite):
    component = model(change=lambda built: dataclasses.replace(built, encode_key=f"{next(COUNTED)}"))
    fails = "test_a_second_build_says_the_same_of_itself"
    says = "encode_key of the model"


class BrokenEncodeMemory(Suite):
    component = encoding("memory")
    fails = "test_encode_is_pure"
    says = "gives something else for the same rows"


class BrokenEncodeNeighbours(Suite):
    component = encoding("neighbours")
    fails = "test_encode_is_pure"
    says = "gives something else for row 1 alone than among others"


class BrokenEncodeRows(Suite):
    component = encoding("rows")
    fails = "test_encode_is_pure"
    says = "alters the rows that it is given"


class BrokenEncodeChance(Suite):
    component = encoding("chance")
    fails = "test_encode_is_pure"
    says = "changes the global generator of torch"


class BrokenLabels(Suite):
    component = encoding("labels")
    fails = ["test_labels_stay_what_they_are", *BEFORE_TRAINING[1:]]
    says = "encodes the label 0 (class 0) of a row of train as 1"


class BrokenColumns(Suite):
    component = encoding("rows of columns")
    fails = [
        "test_encode_is_pure",
        "test_labels_stay_what_they_are",
        "test_another_process_encodes_the_same",
        *BEFORE_TRAINING[1:],
    ]
    says = 'encode of the model "words" of under-test gives a list'


class BrokenBlank(Suite):
    component = encoding("blank")
    fails = "test_texts_as_they_come_are_a_row_each"
    says = ["gives {'input_ids': 0", 'rows for 3 with the text ""']


class BrokenEmpty(Suite):
    component = model("empty")
    fails = "test_texts_as_they_come_are_a_row_each"
    says = "gives numbers that are not finite for the text"


class CutSettings(Settings):
    length: int = Field(5, ge=1, description="Words of a row.")


def build_cut(settings: Any, splits: Any) -> BuiltModel:
    built = WORDS.build(settings, splits)
    return dataclasses.replace(built, encode=Cut(built.encode, settings.length))


@dataclasses.dataclass
class Cut:
    """Encodes the first words alone."""

    real: Any
    length: int

    def __call__(self, batch: Any) -> Any:
        columns = dict(self.real(batch))
        return {
            name: cells if name == "labels" else [row[: self.length] for row in cells]
            for name, cells in columns.items()
        }


class BrokenSettingsKey(Suite):
    component = dataclasses.replace(WORDS, settings=CutSettings, build=build_cut)
    fails = "test_encode_key_tells_encodings_apart"
    says = ["gives something else with length = 6, by the same encode_key", "Put into it all"]


def build_fitted(settings: Any, splits: Any) -> BuiltModel:
    built = WORDS.build(settings, splits)
    return dataclasses.replace(built, encode=Cut(built.encode, 1 + len(splits.train) // 5))


class BrokenFittedKey(Suite):
    component = dataclasses.replace(WORDS, build=build_fitted)
    fails = "test_encode_key_tells_encodings_apart"
    says = "gives something else with other rows to fit it to, by the same encode_key"


class BrokenHash(Suite):
    component = encoding("hash")
    fails = "test_another_process_encodes_the_same"
    says = "gives something else in another process"


class BrokenPickling(Suite):
    component = model(change=lambda built: dataclasses.replace(built, encode=lambda batch: built.encode(batch)))
    fails = "test_encode_can_be_sent_to_processes"
    says = "cannot be sent to other processes"


class BrokenLoss(Suite):
    component = model("loss")
    fails = [
        "test_a_batch_gives_a_loss_and_numbers",
        "test_padding_does_not_count",
        "test_predicting_is_no_matter_of_chance",
        "test_rows_without_labels_are_predicted",
        "test_texts_as_they_come_are_a_row_each",
    ]
    says = "must be one finite number"


class BrokenMean(Suite):
    component = model("sum")
    fails = "test_a_batch_gives_a_loss_and_numbers"
    says = ["rows, and ", "for each alone", "mean over the labels"]


class BrokenGradient(Suite):
    component = model("gradient")
    fails = "test_a_batch_gives_a_loss_and_numbers"
    says = "no gradient goes back from the loss"


class BrokenShape(Suite):
    component = model("shape")
    fails = "test_a_batch_gives_a_loss_and_numbers"
    says = "gives logits of shape (3, 1) for 3 rows and 3 labels"


class BrokenCheat(Suite):
    component = model("cheat")
    fails = "test_rows_without_labels_are_predicted"
    says = "predicts rows otherwise where they have labels"


class BrokenEval(Suite):
    component = model("eval")
    fails = [
        "test_predicting_is_no_matter_of_chance",
        "test_rows_without_labels_are_predicted",
        "test_padding_does_not_count",
    ]
    says = "Obey eval()"


class BrokenPadding(Suite):
    component = model("padding")
    fails = "test_padding_does_not_count"
    says = "among longer ones"


class BrokenCurve(Suite):
    component = model("curve")
    fails = "test_it_trains_on_every_backend_with_one_curve"
    says = ["gives another curve: train/", "on loop, and"]


class BrokenFrozen(Suite):
    component = model("frozen")
    fails = "test_it_trains_on_every_backend_with_one_curve"
    says = "training leaves the model"


class BrokenResume(Suite):
    component = model("memory")
    fails = "test_a_run_that_died_goes_on_with_it"
    says = ["once it has died and gone on", "state_dict()"]


def load_fresh(settings: Any, folder: Path, task: Any) -> BuiltModel:
    built = load(settings, folder, task)
    fresh: Any = copy.deepcopy(built.model)
    torch.nn.init.zeros_(fresh.out.weight)
    return dataclasses.replace(built, model=fresh)


class BrokenLoad(Suite):
    component = model(load=load_fresh)
    fails = "test_what_it_saved_predicts_the_same"
    says = "that was loaded predicts something else"


class BrokenRefusal(Suite):
    component = model(load=lambda settings, folder, task: load_tiny_tokenizer(task))
    fails = "test_a_folder_of_something_else_is_refused"
    says = "takes a folder that holds no model"
