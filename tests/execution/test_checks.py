"""What passes between an experiment's parts is held to the contract: who breaks it is named, before training if it can
be known then, and no run of it is FINISHED.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from ftrun.contracts import (
    Backend,
    Dataset,
    EvaluationReport,
    FitResult,
    Job,
    Model,
    Predictions,
    Reporter,
    StepReport,
    Task,
)
from ftrun.errors import ExperimentError, Problem
from ftrun.execution.checks import check_splits, check_task, training_named
from ftrun.planning.catalogue import Offer
from ftrun.planning.parts import Part
from ftrun.settings import Settings
from helpers import journal_of, rows_of
from their_parts import (
    TASK,
    Parity,
    Parts,
    Session,
    built,
    encode,
    evaluated,
    of_splits,
    predicted,
    rows,
    run,
    session,
    splits,
    trained,
)

PART = Part(
    "numbers", Offer(Dataset(name="numbers", summary="", build=lambda settings: splits()), "someone", "1.0"), Settings()
)


def steps(*numbers: int) -> Callable[[Job, Reporter], FitResult]:
    def train(job: Job, reporter: Reporter) -> FitResult:
        reporter.training_started(3)
        for number in numbers:
            reporter.stepped(StepReport(number, number / 3, 0.5, 0.1, 1.0, 1))
        return evaluated(job, reporter)

    return train


def reporting(call: Callable[[Reporter], Any]) -> Callable[[Job, Reporter], FitResult]:
    def train(job: Job, reporter: Reporter) -> FitResult:
        result = trained(job, reporter)
        call(reporter)
        return result

    return train


def ending(**changed: Any) -> Callable[[Job, Reporter], FitResult]:
    return lambda job, reporter: (steps(1, 2, 3)(job, reporter), replace(evaluated(job, reporter), **changed))[1]


def not_finite(job: Job, reporter: Reporter) -> FitResult:
    """Settles nothing."""
    reporter.training_started(3)
    for step in (1, 2, 3):
        reporter.stepped(StepReport(step, step / 3, float("nan"), 0.1, 1.0, 1))
    job.model.save_pretrained(job.run_folder / "model")
    predictions = {split: predicted(job, rows) for split, rows in job.evaluation.items()}
    return FitResult(3, 1.0, True, {"eval/hits": 1.0}, predictions, job.run_folder / "model", 3)


def of_fitting(job: Job, reporter: Reporter) -> FitResult:
    raise ExperimentError(Problem("the backend ended step 1 without step.grad_norm", "backend"))


def checkpoints(*contents: str) -> Callable[[Job, Reporter], FitResult]:
    def train(job: Job, reporter: Reporter) -> FitResult:
        reporter.training_started(3)
        reporter.stepped(StepReport(1, 1 / 3, 0.5, 0.1, 1.0, 1))
        for text in contents:
            with reporter.checkpoint(1) as folder:
                if text:
                    (folder / "weights.txt").write_text(text)
        return steps(2, 3)(job, reporter)

    return train


def texts(*cells: Any) -> Any:
    return rows_of(text=list(cells), label=[0] * len(cells))


THEIR = "of their-package 3"
BEFORE_TRAINING: dict[str, tuple[Parts, str]] = {
    "no splits": ({"dataset": lambda s: [1, 2]}, f'the data set "numbers" {THEIR} opened a list'),
    "no task": ({"dataset": lambda s: splits(task="classification")}, "has a str for its task"),
    "classes in a text": ({"dataset": lambda s: splits(task=replace(TASK, class_names="ab"))}, "must have a tuple"),
    "a number for a digest": (
        {"dataset": lambda s: splits(digest=17)},
        f'dataset: the data set "numbers" {THEIR} has 17 for the digest, and must have a text',
    ),
    "rows for evaluation": (
        {"dataset": lambda s: splits(evaluation=rows())},
        f'dataset: the data set "numbers" {THEIR} has a Dataset for evaluation, and must have a mapping',
    ),
    "a class twice": ({"dataset": lambda s: splits(task=replace(TASK, class_names=("a", "a")))}, "must be there once"),
    "no classes": ({"dataset": lambda s: splits(task=replace(TASK, class_names=None))}, "names no classes"),
    "another kind by task": (
        {"task": lambda s: replace(TASK, kind="regression", class_names=None)},
        "says by `task` that the kind would be regression, and opens classification",
    ),
    "other columns by task": (
        {"task": lambda s: replace(TASK, text_columns=("words", "more"), class_names=None)},
        "says by `task` that the text columns would be words, more, and opens text",
    ),
    "another label by task": (
        {"task": lambda s: replace(TASK, label_column="parity")},
        "says by `task` that the label column would be parity, and opens label",
    ),
    "other classes by task": (
        {"task": lambda s: replace(TASK, class_names=("odd", "even"))},
        "says by `task` that the classes would be odd, even, and opens even, odd",
    ),
    "no text": (
        {"dataset": lambda s: splits(train=texts("1", None))},
        f'the data set "numbers" {THEIR} has None in column text in row 2 of train',
    ),
    "a number for a text": (
        {"dataset": lambda s: splits(evaluation={"validation": texts(7, 8)})},
        "has 7 in column text in row 1 of validation for evaluation, and must have text",
    ),
    "no collate function": (
        {"collator": lambda s, t: None},
        f'collator: the collator "lists" {THEIR} built a NoneType, and must build a function',
    ),
    "no evaluator": (
        {"metric": lambda s, t: {"hits": 1}},
        f'metrics[0]: the metric "hits" {THEIR} built a dict, and must build a function',
    ),
    "rows in a list": ({"dataset": lambda s: splits(train=[{"text": "1"}])}, "gives a list for train"),
    "rows in a dict": ({"dataset": lambda s: splits(train={"text": ["1"]})}, "gives a dict for train"),
    "rows that pass by": ({"dataset": lambda s: splits(train=iter([1]))}, "gives a list_iterator for train"),
    "no rows": ({"dataset": lambda s: splits(train=None)}, "gives a NoneType for train"),
    "splits for a split": ({"dataset": lambda s: splits(train=of_splits())}, "gives a DatasetDict for train"),
    "no row": (
        {"dataset": lambda s: splits(train=rows(count=0))},
        f'the data set "numbers" {THEIR} has no row in train',
    ),
    "a column missing": (
        {"dataset": lambda s: splits(task=replace(TASK, label_column="class"))},
        "has no column class in train",
    ),
    "labels from 1": (
        {"dataset": lambda s: splits(train=rows(lambda n: n % 2 + 1))},
        "has the label 2 in row 2 of train",
    ),
    "a label below 0": ({"dataset": lambda s: splits(train=rows(lambda n: -1))}, "has the label -1 in row 1"),
    "labels out of range in evaluation": (
        {"dataset": lambda s: splits(evaluation={"other": rows(lambda n: n)})},
        "has the label 2 in row 3 of other for evaluation",
    ),
    "labels in words": ({"dataset": lambda s: splits(train=rows(str))}, "has the label '0' in row 1"),
    "truth values": ({"dataset": lambda s: splits(train=rows(lambda n: n > 5))}, "has the label False in row 1"),
    "no number": (
        {"dataset": lambda s: splits(task=Task("regression", ("text",)), train=rows(lambda n: float("nan")))},
        "it must be a finite number",
    ),
    "one label of several": (
        {"dataset": lambda s: splits(task=replace(TASK, kind="multi_label"), train=rows(lambda n: [1]))},
        "it must be a list of 2 numbers",
    ),
    "no built model": ({"model": lambda s, d: Parity()}, f'the model "parity" {THEIR} built a Parity'),
    "a model that cannot be called": ({"model": lambda s, d: built(model=3)}, "has a int for its model"),
    "a model that cannot be kept": ({"model": lambda s, d: built(model=len)}, "has a model without save_pretrained"),
    "a tokenizer that cannot be kept": (
        {"model": lambda s, d: built(tokenizer=3)},
        "a tokenizer without save_pretrained",
    ),
    "a key that is no text": ({"model": lambda s, d: built(encode_key=None)}, "has a NoneType for its encode_key"),
    "one notice": ({"model": lambda s, d: built(notices="fresh")}, "must have a list of them"),
    "no columns": (
        {"model": lambda s, d: built(encode=lambda batch: 3)},
        f'the model "parity" {THEIR} gives a int by encode for rows of train',
    ),
    "a shorter column": (
        {"model": lambda s, d: built(encode=lambda batch: {**encode(batch), "number": [1.0]})},
        f'model: the model "parity" {THEIR} gives 1 rows of number by encode for 10 rows of train, and must give one',
    ),
    "a column that is no list": (
        {"model": lambda s, d: built(encode=lambda batch: {**encode(batch), "number": iter([1.0])})},
        f'the model "parity" {THEIR} gives a list_iterator by encode for number, and must give a list',
    ),
    "classes that are not the task's": (
        {"model": lambda s, d: built(class_names=("odd", "uneven"))},
        f'the model "parity" {THEIR} gives the classes odd, uneven',
    ),
    "no batch at all": (
        {"collator": lambda s, t: lambda rows: rows[0]["no such column"]},
        f"the collator \"lists\" {THEIR} makes no batch of rows with number, labels: KeyError: 'no such column'",
    ),
    "a batch that is a list": (
        {"collator": lambda s, t: list},
        f'the collator "lists" {THEIR} makes a list of a batch',
    ),
    "a batch without labels": (
        {"collator": lambda s, t: lambda rows: {"number": [1.0]}},
        "leaves labels out of a batch",
    ),
    "a label too few": (
        {"collator": lambda s, t: lambda rows: {"number": [1.0], "labels": [1]}},
        "gives 1 labels for 8 rows",
    ),
    "a session that is a class": (
        {"backend": lambda s, t: Session},
        f'backend: the backend "abacus" {THEIR} built the class Session, and must build a session\n  Call it',
    ),
    "no session": (
        {"backend": lambda s, t: None},
        f'backend: the backend "abacus" {THEIR} built a NoneType without __enter__ and __exit__, environment, seed, ',
    ),
    "a session that cannot predict": (session(predict=None), "built a Other without predict, and must build a session"),
    "a session that is entered as nothing": (
        session(__enter__=lambda *_: None),
        f'the backend "abacus" {THEIR} gives, as its session is entered, a NoneType without ',
    ),
    "an environment without its precision": (
        session(told={"device": "abacus", "threads": "1"}),
        f'the backend "abacus" {THEIR} does not say its precision',
    ),
    "an environment in numbers": (session(told={"threads": 2}), "must say texts by name"),
    "predictions in a list": (session(say=lambda job, rows: [1]), "predicts a list"),
    "logits of another shape": (
        session(say=lambda job, rows: Predictions(numpy.zeros((len(rows), 3)), numpy.zeros(len(rows)), 0.5)),
        "numbers of shape (8, 3) for 8 rows and 2 labels",
    ),
    "no loss": (
        session(say=lambda job, rows: Predictions(numpy.zeros((len(rows), 2)), numpy.zeros(len(rows)), None)),
        "gives no loss for rows with labels",
    ),
    "a metric that is a number": ({"metric": lambda s, t: lambda p: 0.5}, f'the metric "hits" {THEIR}'),
    "a metric that is a text": ({"metric": lambda s, t: lambda p: {"hits": "many"}}, f'the metric "hits" {THEIR}'),
    "other names than promised": (
        {"metric": lambda s, t: lambda p: {"misses": 1.0}},
        f'metrics[0]: the metric "hits" {THEIR} promised "hits", and gave "misses"',
    ),
}
WHILE_TRAINING: dict[str, tuple[Parts, str]] = {
    "a step that jumps": (session(train=steps(1, 3)), f'the backend "abacus" {THEIR} reports step 3 after step 1'),
    "a step twice": (session(train=steps(1, 1)), "reports step 1 after step 1: it must be 2"),
    "steps from 0": (session(train=steps(0, 1)), "reports step 0 after step 0"),
    "no training_started": (
        session(train=lambda job, reporter: reporter.stepped(StepReport(1, 1.0, 0.5, 0.1, 1.0, 1))),
        "has not called training_started",
    ),
    "training_started twice": (session(train=reporting(lambda r: r.training_started(3))), "twice"),
    "training that begins elsewhere": (
        session(train=lambda job, reporter: reporter.training_started(3, 2)),
        "begins at step 2",
    ),
    "an evaluation's key without its prefix": (
        session(train=reporting(lambda r: r.evaluated(EvaluationReport(3, 1.0, {"hits": 1.0})))),
        'reports "hits" of an evaluation',
    ),
    "an evaluation of another step": (
        session(train=reporting(lambda r: r.evaluated(EvaluationReport(7, 1.0, {"eval/hits": 1.0})))),
        "reports an evaluation of step 7 after step 3",
    ),
    "a loss that is not finite and settled by nobody": (session(train=not_finite), "the loss is nan at step 1"),
    "an empty checkpoint": (session(train=checkpoints("")), "wrote nothing into the checkpoint of step 1"),
    "what ftrun.training says of it": (
        session(train=of_fitting),
        f'backend: the backend "abacus" {THEIR} ended step 1 without step.grad_norm',
    ),
    "a checkpoint twice": (session(train=checkpoints("a", "b")), "writes the checkpoint of step 1 twice"),
    "nothing": (session(train=lambda job, reporter: trained(job, reporter) and None), "came to a NoneType by fit"),
    "other steps than reported": (session(train=ending(steps=9)), "says that it took 9 steps, and reported 3"),
    "no model": (session(train=ending(model_folder=None)), "has completed without a model"),
    "a model elsewhere": (session(train=ending(model_folder=Path("/"))), "has completed without a model"),
    "no predictions": (session(train=ending(predictions={})), "has completed without predictions of validation"),
    "no metrics": (session(train=ending(metrics={})), "has completed without metrics"),
    "an end that nobody asked for": (session(train=ending(completed=False)), "and nobody asked it to"),
}


def test_sound_parts_run(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run({}, workdir, monkeypatch)
    assert outcome.result.status == "FINISHED" and outcome.result.metrics == {"eval/hits": 10.0}


@pytest.mark.parametrize("name", BEFORE_TRAINING)
def test_what_breaks_the_contract_is_told_before_training(
    name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, sentence = BEFORE_TRAINING[name]
    outcome = run(parts, workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and outcome.problem, outcome.result.error
    assert sentence in str(outcome.problem)
    assert not [record for record in journal_of(outcome.result.run_folder) if record["type"] == "metrics"]


@pytest.mark.parametrize("name", WHILE_TRAINING)
def test_what_breaks_the_contract_while_training_ends_it_with_a_sentence(
    name: str, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts, sentence = WHILE_TRAINING[name]
    outcome = run(parts, workdir, monkeypatch)
    assert outcome.result.status == "FAILED" and outcome.problem, outcome.result.error
    assert sentence in str(outcome.problem)


@pytest.mark.parametrize("train", [[1, 2], {"train": rows()}, iter([1]), None], ids=lambda rows: type(rows).__name__)
def test_what_is_no_rows_is_refused_by_a_sentence(train: Any) -> None:
    with pytest.raises(
        ExperimentError, match=f"gives a {type(train).__name__} for train .*what a data set's rows must be"
    ):
        check_splits(PART, splits(train=train))


def test_splits_for_a_split_are_refused_by_a_sentence() -> None:
    from datasets import DatasetDict

    with pytest.raises(ExperimentError, match=r"(?s)gives a DatasetDict for train.*no select"):
        check_splits(PART, splits(train=DatasetDict({"train": rows()})))


@pytest.mark.parametrize(
    "told", [None, replace(TASK, class_names=None), replace(TASK, text_columns=(), label_column="other"), TASK]
)
def test_a_task_may_leave_open_what_only_the_data_tells(told: Task | None) -> None:
    check_task(PART, told, TASK)


def test_what_is_no_text_is_fine_for_a_kind_of_ones_own() -> None:
    own = Task("words", ("text",), "label")
    check_splits(PART, splits(task=own, train=texts(["a"], None), evaluation={}))


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("model.loss", 'model: the model "numbers" of ftrun 1.0 gives a loss without a gradient'),
        ("backend", 'backend: the backend "steps" of ftrun 1.0 gives a loss without a gradient'),
        ("training", "training: the backend gives a loss without a gradient"),
    ],
)
def test_what_training_tells_of_a_loss_or_the_backend_has_the_name_of_whose_it_is(place: str, told: str) -> None:
    model, backend = (
        replace(PART, offer=Offer(kind(name=name, summary="", build=lambda *_: None), "ftrun", "1.0"))
        for kind, name in ((Model, "numbers"), (Backend, "steps"))
    )
    message = f"{'' if place == 'model.loss' else 'the backend '}gives a loss without a gradient"
    plan: Any = SimpleNamespace(model=model, backend=backend)
    with pytest.raises(ExperimentError, match=re.escape(told)), training_named(plan):
        raise ExperimentError(Problem(message, place))
