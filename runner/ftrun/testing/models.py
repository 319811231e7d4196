"""What a model is held to."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from ftrun.contracts import BuiltModel, Component, Dataset, Kind, Model, Predictions, Splits, Task
from ftrun.errors import ExperimentError, FtrunError
from ftrun.execution.checks import check_model
from ftrun.execution.class_order import ClassOrder
from ftrun.execution.decoding import PREDICTED, Decoding, RawColumns
from ftrun.execution.encoded_labels import KNOWN, check_kept
from ftrun.execution.preparation import build_collate, load_model
from ftrun.execution.watcher import Watcher
from ftrun.pickling import check_picklable
from ftrun.settings import Settings, shown
from ftrun.testing.elsewhere import encoded_elsewhere, written
from ftrun.testing.generators import generators_kept, nothing_drawn
from ftrun.testing.plain import columns_of, plain, rows_encoded, rows_of, same
from ftrun.testing.running import TinyRun, Workshop, difference, go_on
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.strictness import varied
from ftrun.testing.suite import ComponentSuite, Table
from ftrun.testing.tiny import tiny_splits, tiny_task

GIVEN = "under-test:splits-of-the-suite"
SEVERAL = 3
"""Rows of the batch that a model is tried with."""
TEXTS_AS_THEY_COME = ("", " \n", "red green " * 300, "na\u00efve \U0001f600 \u4f60\u597d \u202b\u0301\x00")
"""What rows of people's data hold."""


class ModelSuite(ComponentSuite):
    """What a model is held to, beside what every component is (see `ftrun.testing.ComponentSuite`).

    - It builds what the contract says, for the task, and has the tokenizer that `has_tokenizer` promises.
    - The same seed draws the same weights.
    - A second build says the same of itself: `encode_key`, by which encoded rows are kept; `digest`, by which a resumed
      run tells whether the weights are what they were; `source`, `class_names`.
    - Its `encode` is pure: the same rows are encoded alike, each by itself, and left as they are; no random number is
      drawn.
    - `encode` leaves labels what they are, of a kind of task that ftrun knows; in the order of `class_names`, if any.
    - Texts as they come, without a word, very long or of rare characters, are a row each, with finite numbers.
    - `encode_key` is another where other rows to fit a vocabulary to, or another whole number or truth value among the
      settings, make `encode` give something else.
    - `encode` can be sent to other processes, as `preprocessing_num_workers` asks where they are spawned.
    - Built in another process, where Python's `hash()` and the order of a set are others, it encodes the same.
    - A batch with labels gives a loss that gradients go back from, the mean over its labels, and numbers of the shape
      (rows, `num_labels`).
    - Rows without labels are predicted, and as they are with them.
    - Predicting is no matter of chance: asked again, it gives the same, so `eval()` is obeyed.
    - Padding does not count: a row is predicted alike, by itself or among longer ones.
    - Training it moves its weights, and every built-in backend gives one curve and the same saved model, bit for bit.
    - A run of it that died goes on to the same numbers and the same saved model.
    - What it saved, `load` reads back, and it predicts the same, bit for bit.
    - `load` refuses a folder that is another's, in a sentence.

    Attributes:
        task: What it is to learn. By default classification of pairs, three classes; see `tiny_task`.
        backends: The backends that must give one curve; one with an optimizer of its own has another, so name it alone.
            By default all that are built in.
        in_processes: Whether `encode` must be sent to other processes. By default true.
        experiment: As with every suite; here mostly `{"collator": {"use": "NAME"}}`, where the model has no tokenizer,
            and `{"training.learning_rate": 0.1}`.
    """

    kind: ClassVar[Kind] = "model"
    task: ClassVar[Task] = tiny_task()
    backends: ClassVar[Sequence[str]] = ("loop", "trainer", "accelerate")
    in_processes: ClassVar[bool] = True

    def make_splits(self) -> Splits:
        """The data: that of `tiny_splits` for `task`, unless overridden."""
        kind, columns = self.task.kind, len(self.task.text_columns)
        return tiny_splits(kind, columns, self.task.num_labels)

    def test_it_builds_what_the_contract_says(self) -> None:
        """A `BuiltModel` that can be called and saved."""
        built = self._build()
        try:
            check_model(self.part, built)
        except FtrunError as error:
            fail(str(error), "See `help(ftrun.contracts.BuiltModel)`.")
        kinds = self.part.component(Model).kinds
        hint = f"Its kinds are {', '.join(sorted(kinds))}; give the suite such a task: task = tiny_task(...)."
        expect(self.task.kind in kinds, f"{self.who} does not take {self.task.kind}, the task of the suite", hint)

    def test_it_has_the_tokenizer_that_it_promises(self) -> None:
        """`has_tokenizer` is known before any work."""
        promised, there = self.part.component(Model).has_tokenizer, self._build().tokenizer is not None
        message = f"has_tokenizer of {self.who} is {promised}, and it comes with {'one' if there else 'none'}"
        expect(promised == there, message)

    def test_the_same_seed_draws_the_same_weights(self) -> None:
        """Each weight, bit for bit."""
        first, second = (_weights(self._build()) for _ in range(2))
        unlike = [name for name in {**first, **second} if not _equal(first.get(name), second.get(name))]
        hint = "Draw from torch's global generator alone, which is seeded before `build`, and in one order."
        expect(
            not unlike, f"{', '.join(unlike[:3])} of {self.who} differs when it is built again from the same seed", hint
        )

    def test_a_second_build_says_the_same_of_itself(self) -> None:
        """By which a run tells whether anything has changed."""
        first, second = self._build(), self._build()
        for name in ("encode_key", "digest", "source", "class_names", "max_length"):
            one, other = getattr(first, name), getattr(second, name)
            hint = "No time, no address of an object and no hash() of Python's: what it depends on, such as a checksum."
            expect(one == other, f"{name} of {self.who} is {one!r} and, built again, {other!r}", hint)

    def test_encode_is_pure(self) -> None:
        """The same rows are encoded alike, each by itself, and left as they are."""
        built, columns = self._build(), columns_of(self._splits.train)
        before = copy.deepcopy(columns)
        with nothing_drawn(f"encode of {self.who}"), answering(f"encode of {self.who}"):
            first, second = self._encode(built, columns), self._encode(built, columns)
            alone = [
                self._encode(built, {name: [column[row]] for name, column in columns.items()}) for row in range(SEVERAL)
            ]
        expect(
            same(before, columns),
            f"encode of {self.who} alters the rows that it is given",
            "Copy what is to be changed.",
        )
        expect(
            same(first, second), f"encode of {self.who} gives something else for the same rows", "Keep nothing in it."
        )
        rows = rows_of(plain(first))
        for number, row in enumerate(alone):
            hint = "Encode each row by itself; to make rows one length is the collator's."
            message = f"encode of {self.who} gives something else for row {number + 1} alone than among others"
            expect(rows_of(plain(row)) == [rows[number]], message, hint)

    def test_labels_stay_what_they_are(self) -> None:
        """What is predicted is told, and measured, in the data's labels."""
        built, columns, task = self._build(), columns_of(self._splits.train), self._splits.task
        with answering(f"encode of {self.who}"):
            encoded = self._encode(built, columns)
        expect("labels" in encoded, f"encode of {self.who} gives no labels for rows that have some")
        try:
            check_kept(columns[task.label_column], encoded["labels"], task, built.class_names, self.who, "train")
        except ExperimentError as error:
            fail(str(error))

    def test_texts_as_they_come_are_a_row_each(self) -> None:
        """Without a word, very long, of rare characters: each is encoded, and has finite numbers."""
        task, first = self._splits.task, self._splits.train[0]
        if task.kind not in KNOWN or not all(isinstance(first[name], str) for name in task.text_columns):
            pytest.skip("the rows are of another form than text")
        with self.workshop(self._overrides) as made:
            for text in TEXTS_AS_THEY_COME:
                row = {**first, **dict.fromkeys(task.text_columns, text)}
                what = f"the text {shown(text)}"
                with answering(f"{self.who}, given {what},"):
                    encoded = self._encode(made.built, {name: [cell] * SEVERAL for name, cell in row.items()})
                    counts = {name: len(column) for name, column in encoded.items()}
                    message = f"encode of {self.who} gives {counts} rows for {SEVERAL} with {what}"
                    expect({*counts.values()} == {SEVERAL}, message, "A row for each, though it has nothing to encode.")
                    logits = made.session.predict(made.job, rows_of(plain(encoded))).logits
                    sound = all(map(math.isfinite, _flat(plain(logits))))
                    expect(sound, f"{self.who} gives numbers that are not finite for {what}")

    def test_encode_key_tells_encodings_apart(self) -> None:
        """By it encoded rows are kept, and found again."""
        settings, splits = self.part.settings, self._splits
        key, encoded = self._encoded(settings, splits) or pytest.skip("it encodes nothing, which other tests are about")
        fewer = dataclasses.replace(splits, train=splits.train.select([0]))
        others = [("other rows to fit it to", settings, fewer)]
        others += [(changed, other, splits) for changed, other in varied(settings)]
        hint = "Put into it all that `encode` depends on: a stale cache is a wrong number, and nobody says so."
        for what, its_settings, its_splits in others:
            other_key, other = self._encoded(its_settings, its_splits) or ("", None)
            message = f"encode of {self.who} gives something else with {what}, by the same encode_key"
            expect(other_key != key or same(other, encoded), message, hint)

    def test_encode_can_be_sent_to_processes(self) -> None:
        """`preprocessing_num_workers` encodes in other processes."""
        if not self.in_processes:
            return
        encode, columns = self._build().encode, columns_of(self._splits.train, SEVERAL)
        hint = "Make it of functions and classes that a module holds; if it means not to be sent: in_processes = False."
        try:
            check_picklable(encode, f"encode of {self.who}", "training.preprocessing_num_workers", "Leave it out")
            sent = pickle.loads(pickle.dumps(encode))  # noqa: S301 - written here
        except Exception as error:
            fail(str(error), hint)
        with answering(f"encode of {self.who}, sent to another process,"):
            alike = same(encode(copy.deepcopy(columns)), sent(copy.deepcopy(columns)))
            expect(alike, f"encode of {self.who} is another once it is sent", hint)

    def test_another_process_encodes_the_same(self) -> None:
        """Where `PYTHONHASHSEED` is another, as in the process that resumes a run or predicts with its model."""
        if "<locals>" in type(self).__qualname__:
            pytest.skip("the suite is made in a function, where another process does not find it")
        built, columns = self._build(), columns_of(self._splits.train)
        with answering(f"encode of {self.who}"):
            here = written(dict(self._encode(built, columns)))
        try:
            there = encoded_elsewhere(type(self))
        except RuntimeError as error:
            fail(f"{self.who} cannot be built in another process:\n{error}")
        hint = "Use no hash() and no order of a set: a checksum, such as zlib.crc32(text.encode()), and sorted(...)."
        expect(same(here, there), f"encode of {self.who} gives something else in another process", hint)

    def test_a_batch_gives_a_loss_and_numbers(self) -> None:
        """A finite mean loss that gradients go back from, and a number a class for each row."""
        with self.workshop(self._overrides) as made, answering(f"{self.who}, given a batch,"):
            output: Any = made.job.model(**made.job.collate(_first(made, SEVERAL)))
            for name in ("loss", "logits"):
                hint = "It must be an attribute of what the model gives: see `help(ftrun.contracts.ModelOutput)`."
                expect(
                    getattr(output, name, None) is not None, f"{self.who} gives no {name} for a batch with labels", hint
                )
            shape, count = tuple(output.logits.shape), made.splits.task.num_labels
            sound = len(shape) >= 2 and shape[0] == SEVERAL and shape[-1] == count
            expect(sound, f"{self.who} gives logits of shape {shape} for {SEVERAL} rows and {count} labels")
            loss = output.loss
            expect(loss.requires_grad, f"no gradient goes back from the loss of {self.who}", "Do not detach it.")
            value = loss.detach()
            sound = not tuple(value.shape) and math.isfinite(float(value))
            expect(sound, f"the loss of {self.who} is {value}", "It must be one finite number.")
            self._check_mean(made)

    def _check_mean(self, made: Workshop) -> None:
        """The loss of a batch is the mean of its rows' own, or of a task of one's own that of each row twice."""
        rows, by_row = _first(made, SEVERAL), made.splits.task.kind in KNOWN
        batches = [rows, rows, [*rows, *rows], *([row] for row in rows)]
        once, again, twice, *alone = (made.session.predict(made.job, batch) for batch in batches)
        if once.loss != again.loss or (by_row and [_flat(plain(one.logits)) for one in alone] != _about(once.logits)):
            return  # which other tests are about
        mean, how = (sum(one.loss or 0.0 for one in alone) / SEVERAL, "alone") if by_row else (twice.loss, "twice")
        message = f"the loss of {self.who} is {once.loss:.4g} for {SEVERAL} rows, and {mean:.4g} for each {how}"
        hint = "It must be the mean over the labels; shapes such as (rows, 1) and (rows,) in one loss mix the rows."
        expect(mean == pytest.approx(once.loss, rel=1e-4, abs=1e-5), message, hint)

    def test_rows_without_labels_are_predicted(self) -> None:
        """As they are with labels."""
        with self.workshop(self._overrides) as made, answering(f"{self.who}, given rows without labels,"):
            rows = _first(made, SEVERAL)
            bare = [{name: value for name, value in row.items() if name != "labels"} for row in rows]
            told, without = (made.session.predict(made.job, some).logits for some in (rows, bare))
        expect(
            same(told, without), f"{self.who} predicts rows otherwise where they have labels", "It must not read them."
        )

    def test_predicting_is_no_matter_of_chance(self) -> None:
        """Asked again, it gives the same."""
        with self.workshop(self._overrides) as made, answering(f"predicting with {self.who}"):
            rows = _first(made, SEVERAL)
            first, second = (made.session.predict(made.job, rows).logits for _ in range(2))
        hint = "Obey eval(): dropout and the like are for training."
        expect(same(first, second), f"{self.who} predicts something else when it is asked again", hint)

    def test_padding_does_not_count(self) -> None:
        """A row is predicted alike, by itself or among longer ones, to rounding."""
        with self.workshop(self._overrides) as made, answering(f"predicting with {self.who}"):
            rows = _first(made, 8)
            together = made.session.predict(made.job, rows).logits
            alone = [made.session.predict(made.job, [row]).logits[0] for row in rows]
        for number, (one, other) in enumerate(zip(plain(together), plain(alone), strict=True)):
            alike = _flat(one)[: len(_flat(other))] == pytest.approx(_flat(other), rel=1e-3, abs=1e-5)
            hint = "Leave out what the attention mask leaves out, from means and the like, too."
            expect(
                alike, f"{self.who} predicts row {number + 1} as {one} among longer ones, and as {other} alone", hint
            )

    def test_it_trains_on_every_backend_with_one_curve(self) -> None:
        """The same loss at every step and the same saved model, bit for bit; and training moves its weights."""
        first = self._trained
        for backend in [name for name in self.backends if name != self.backends[0]]:
            other = self.run({**self._overrides, "backend.use": backend}, f"a run on {backend}")
            names = (f"on {self.backends[0]}", f"on {backend}")
            told = difference(first, other, names)
            hint = "Draw what is random from torch's global generator, as dropout does, and keep nothing between runs."
            expect(told is None, f"{self.who} gives another curve: {told}", hint)
        with self.workshop(self._overrides) as made:
            folder = self.new_folder()
            made.built.model.save_pretrained(folder)
            moved = any(first.model.get(path.name) != path.read_bytes() for path in folder.iterdir())
        hint = "Are its parameters in `parameters()`, do they require gradients, and does save_pretrained write them?"
        expect(moved, f"training leaves {self.who} as it was, by what it saves", hint)

    def test_a_run_that_died_goes_on_with_it(self) -> None:
        """To the same numbers, and the same saved model."""
        died = self._trained.died_after(2)
        try:
            resumed = go_on(died, self.catalogue)
        except FtrunError as error:
            fail(f"a run of {self.who} cannot be gone on with:\n{error}")
        if resumed.result.status != "FINISHED":
            fail(f"a run of {self.who} that is gone on with does not finish: {resumed.result.error}")
        told = difference(self._trained, resumed, ("undisturbed", "gone on with"))
        hint = "All that it learns must be in its state_dict(), as buffers and parameters."
        expect(told is None, f"a run of {self.who} comes to something else once it has died and gone on: {told}", hint)

    def test_what_it_saved_predicts_the_same(self) -> None:
        """`load` reads back what `save_pretrained` wrote."""
        if self.part.component(Model).load is None:
            pytest.skip("it has no `load`, so nobody predicts with it")
        run = self._trained
        with self.workshop(self._overrides) as made, answering(f"load of {self.who}"):
            built = load_model(made.plan, run.folder / "model", made.splits.task, Watcher())
            said = _said(made, built)
        split = next(iter(made.splits.evaluation))
        there = run.logits.get(split) or [row["prediction"] for row in run.predictions[split]]
        task = made.splits.task
        if built.decode is not None and task.kind not in KNOWN:
            rows = RawColumns(made.splits.evaluation[split])
            found = plain(
                Decoding(made.plan.model, built, task).decoded(dataclasses.replace(said, rows=rows))[PREDICTED]
            )
        else:
            found = plain(said.logits) if run.logits else plain(said.values)
            if not run.logits and task.class_names:
                pytest.skip("of such a task a run keeps no numbers to compare with, and the model has no `decode`")
        hint = "Is all in the folder that it was trained with: weights, settings, order of classes?"
        expect(
            found == there, f"{self.who} that was loaded predicts something else than the one that was trained", hint
        )

    def test_a_folder_of_something_else_is_refused(self) -> None:
        """In a sentence, and with no Python error."""
        load = self.part.component(Model).load
        if load is None:
            pytest.skip("it has no `load`, so nobody predicts with it")
        folder = self.new_folder()
        (folder / "notes.txt").write_text("no model")
        with answering(f"load of {self.who}, given a folder that holds no model,"):
            try:
                load(self.part.settings, folder, self.task)
            except FtrunError:
                return
        fail(f"load of {self.who} takes a folder that holds no model", "Raise an ExperimentError that says so.")

    def try_out(self, settings: Settings) -> None:
        """Builds it."""
        with generators_kept():
            self.part.component(Model).build(settings, self._splits)

    @property
    def offered(self) -> Sequence[Component]:
        """The component, and its data."""
        given = Dataset(name=GIVEN.partition(":")[2], summary="The suite's", build=lambda settings: self._splits)
        return (*super().offered, given)

    @property
    def _splits(self) -> Splits:
        return self.once("splits", self.make_splits)

    @property
    def _overrides(self) -> Table:
        return {
            "dataset": {"use": GIVEN},
            "model": {"use": self.use, **self.table},
            "backend.use": self.backends[0],
            "metrics": [],
            "training.save_strategy": "steps",
            "training.save_steps": 2,
        }

    @property
    def _trained(self) -> TinyRun:
        return self.once("trained", lambda: self.run(self._overrides, f"a run on {self.backends[0]}"))

    def _encode(self, built: BuiltModel, columns: Any) -> Mapping[str, Any]:
        """What `encode` gives, which must be columns by name."""
        encoded: Any = built.encode(columns)
        if not isinstance(encoded, Mapping):
            fail(
                f"encode of {self.who} gives a {type(encoded).__name__}",
                "It must give columns by name, as it gets them.",
            )
        return encoded

    def _encoded(self, settings: Settings, splits: Splits) -> tuple[str, Any] | None:
        """The key of a model that is built of settings and splits, and what it encodes of the suite's rows; None if it
        cannot be.
        """
        import transformers

        with generators_kept(), contextlib.suppress(Exception):
            transformers.set_seed(1)
            built = self.part.component(Model).build(settings, splits)
            return built.encode_key, plain(dict(built.encode(columns_of(self._splits.train))))
        return None

    def _build(self) -> BuiltModel:
        import transformers

        with generators_kept(), answering(f"build of {self.who}"):
            transformers.set_seed(1)
            built: BuiltModel = self.part.component(Model).build(self.part.settings, self._splits)
        if not isinstance(built, BuiltModel):
            fail(f"build of {self.who} gives a {type(built).__name__}, and must give ftrun.contracts.BuiltModel")
        return built


def _first(made: Workshop, count: int) -> list[Any]:
    return [dict(made.job.train[row]) for row in range(count)]


def _weights(built: BuiltModel) -> dict[str, Any]:
    return dict(built.model.state_dict())


def _equal(one: Any, other: Any) -> bool:
    import torch

    return one is not None and other is not None and torch.equal(one, other)


def _about(logits: Any) -> list[Any]:
    return [pytest.approx(_flat(row), rel=1e-3, abs=1e-5) for row in plain(logits)]


def _flat(value: Any) -> list[float]:
    return [number for inner in value for number in _flat(inner)] if isinstance(value, list) else [value]


def _said(made: Workshop, built: BuiltModel) -> Predictions:
    """What a loaded model says of the main evaluation split, in the order of the task's classes."""
    rows = rows_encoded(built, next(iter(made.splits.evaluation.values())))
    collate = build_collate(made.plan, built)
    job = dataclasses.replace(made.job, model=built.model, tokenizer=built.tokenizer, collate=collate)
    return ClassOrder(built, made.splits.task).in_task_order(made.session.predict(job, rows))
