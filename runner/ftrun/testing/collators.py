"""What a collator is held to."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ftrun.contracts import BuiltModel, Collate, Collator, Kind, Splits
from ftrun.execution.encoded_labels import KNOWN
from ftrun.execution.sameness import are_moved
from ftrun.pickling import check_picklable
from ftrun.settings import Settings
from ftrun.testing.generators import generators_kept, nothing_drawn
from ftrun.testing.plain import plain, rows_encoded, same
from ftrun.testing.sentences import answering, expect, fail
from ftrun.testing.suite import ComponentSuite
from ftrun.testing.tiny import tiny_model, tiny_splits

Batch = Mapping[str, Any]
WHOLE, SHORT = 8, 3
"""Rows of a batch, and of a last one that is shorter."""


class CollatorSuite(ComponentSuite):
    """What a collator is held to, beside what every component is (see `ftrun.testing.ComponentSuite`).

    - A batch is tensors by name, `labels` among them with one entry for each row, in the order of the rows. Those of a
      classification are whole numbers of shape (rows,), of "regression" numbers of shape (rows,), of "multi_label" of
      shape (rows, classes): what the rows have.
    - Inputs stand in the order of the labels.
    - A batch of one row, and a shorter last one, are batches, too.
    - Rows without labels make a batch without: a model predicts them.
    - Collating is pure: the same rows make the same batch, and are left as they are, lists in them too; no random
      number is drawn.
    - The collate function can be sent to other processes, as `dataloader_num_workers` asks where they are spawned.
    - A run trains with it.

    Attributes:
        in_processes: Whether its function must be sent to other processes. By default true.
    """

    kind: ClassVar[Kind] = "collator"
    in_processes: ClassVar[bool] = True

    def make_splits(self) -> Splits:
        """Rows to be encoded: `tiny_splits()`, unless overridden."""
        return tiny_splits()

    def make_model(self, splits: Splits) -> BuiltModel:
        """What encodes the rows, and whose tokenizer the collator gets: `tiny_model(splits)`, unless overridden; the
        run then wants that model in `experiment`, too.
        """
        return tiny_model(splits)

    def test_it_makes_tensors_of_rows(self) -> None:
        """By name, `labels` among them with one entry for each row, in the order of the rows."""
        self._check(self._rows[:WHOLE])

    def test_inputs_are_in_the_order_of_the_labels(self) -> None:
        """What the model says of each row of a batch, and of the row alone."""
        import torch

        rows, model = self._rows[:WHOLE], self._built.model
        if not isinstance(model, torch.nn.Module):
            return

        collate = self._collate

        def said(some: Sequence[Mapping[str, Any]]) -> Any:
            return model(**collate(some)).logits.float().numpy()

        try:
            with generators_kept(), torch.no_grad():
                model.eval()
                together, alone = said(rows), [said([row]) for row in rows]
        except Exception:  # a batch that does not go through the model, which other tests tell of
            return
        hint = "Make inputs and labels of the rows as they come."
        expect(not are_moved(together, alone), f"{self.who} has inputs in another order than their labels", hint)

    def test_one_row_is_a_batch(self) -> None:
        """As the last one of a split may be."""
        self._check(self._rows[:1])

    def test_a_shorter_last_batch_is_one(self) -> None:
        """The last batch of an epoch has fewer rows."""
        self._check(self._rows[-SHORT:])

    def test_rows_without_labels_are_a_batch(self) -> None:
        """They are predicted, and the batch has no labels."""
        rows = [{name: value for name, value in row.items() if name != "labels"} for row in self._rows[:SHORT]]
        batch = self._collated(rows, "rows without labels")
        expect("labels" not in batch, f"{self.who} makes labels for rows that have none")
        expect(bool(batch), f"{self.who} makes nothing of rows without labels")

    def test_the_same_rows_make_the_same_batch(self) -> None:
        """Whatever was collated in between."""
        rows = self._rows
        first, _, second = (self._collated(some, "rows") for some in (rows[:WHOLE], rows[WHOLE:], rows[:WHOLE]))
        hint = "Keep nothing from one batch to the next."
        expect(same(first, second), f"{self.who} makes another batch of the same rows", hint)

    def test_it_leaves_the_rows_as_they_are(self) -> None:
        """They are collated again, in the next epoch."""
        before, rows = self._rows[:WHOLE], self._rows[:WHOLE]
        self._collated(rows, "rows")
        expect(same(before, rows), f"{self.who} alters the rows that it is given", "Copy what is to be changed.")

    def test_it_draws_no_random_number(self) -> None:
        """Else how rows are cut into batches would change what is drawn for dropout."""
        collate = self._collate
        with nothing_drawn(f"collating by {self.who}"), answering(f"the function of {self.who}"):
            collate(self._rows[:WHOLE])

    def test_its_function_can_be_sent_to_processes(self) -> None:
        """`dataloader_num_workers` collates in other processes."""
        if not self.in_processes:
            return
        collate, rows = self._collate, self._rows[:WHOLE]
        hint = "Make it of functions and classes that a module holds; if it means not to be sent: in_processes = False."
        try:
            check_picklable(collate, f"the function of {self.who}", "training.dataloader_num_workers", "Set it to 0")
            sent = pickle.loads(pickle.dumps(collate))  # noqa: S301 - written here
        except Exception as error:
            fail(str(error), hint)
        with answering(f"the function of {self.who}, sent to another process,"):
            expect(same(collate(rows), sent(rows)), f"the function of {self.who} is another once it is sent", hint)

    def test_a_run_trains_with_it(self) -> None:
        """The small model, or that of `experiment`, takes two steps and is evaluated."""
        self.run({"collator": {"use": self.use, **self.table}, "training.max_steps": 2}, "a run")

    def try_out(self, settings: Settings) -> None:
        """Makes a batch."""
        collate = self.part.component(Collator).build(settings, self._built.tokenizer)
        collate(self._rows[:WHOLE])

    @property
    def _splits(self) -> Splits:
        return self.once("splits", self.make_splits)

    @property
    def _built(self) -> BuiltModel:
        def make() -> BuiltModel:
            with generators_kept():
                return self.make_model(self._splits)

        return self.once("built", make)

    @property
    def _rows(self) -> list[dict[str, Any]]:
        """Those of every test are its own: a collator may have altered others."""
        return copy.deepcopy(self.once("rows", lambda: rows_encoded(self._built, self._splits.train)))

    @property
    def _collate(self) -> Collate:
        with answering(f"build of {self.who}"):
            return self.part.component(Collator).build(self.part.settings, self._built.tokenizer)

    def _collated(self, rows: Sequence[Mapping[str, Any]], what: str) -> Batch:
        collate = self._collate
        with answering(f"the function of {self.who}, given {what},"):
            batch = collate(rows)
        if not isinstance(batch, Mapping):
            fail(f"{self.who} makes a {type(batch).__name__} of {what}, and must make tensors by name")
        return batch

    def _check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        count = len(rows)
        batch = self._collated(rows, f"{count} rows" if count > 1 else "one row")
        for name, value in batch.items():
            hint = "A batch is what the model takes as keyword arguments: tensors."
            expect(
                hasattr(value, "to") and hasattr(value, "shape"),
                f"{name} of {self.who} is a {type(value).__name__}",
                hint,
            )
        if "labels" not in batch:
            fail(f"{self.who} leaves labels out of a batch of {count} rows; there are: {', '.join(batch)}")
        self._check_labels(batch["labels"], [plain(row["labels"]) for row in rows])

    def _check_labels(self, labels: Any, given: Sequence[Any]) -> None:
        count, shape, task = len(given), tuple(labels.shape), self._splits.task
        expect(len(shape) > 0 and shape[0] == count, f"{self.who} gives labels of shape {shape} for {count} rows")
        if task.kind in KNOWN:
            wanted = (count, task.num_labels) if task.kind == "multi_label" else (count,)
            message = f"{self.who} gives labels of shape {shape} for {count} rows of {task.kind}"
            expect(shape == wanted, message, f"They must be of shape {wanted}: model and metrics take them so.")
        told = labels.tolist()
        if task.kind == "classification" and all(type(label) is int for label in given):
            message = f"{self.who} makes labels of {labels.dtype} of a classification's, which are whole numbers"
            hint = 'Leave them as they are: torch.tensor([row["labels"] for row in rows]).'
            expect(all(type(label) is int for label in told), message, hint)
        if task.kind in KNOWN or not any(isinstance(label, (list, tuple)) for label in given):
            told = told if task.kind in KNOWN else labels.reshape(count, -1)[:, 0].tolist()
            message = f"{self.who} makes the labels {told} of {list(given)}"
            expect(_are_alike(told, given), message, "They must be those of the rows, in their order.")


def _are_alike(told: Sequence[Any], given: Sequence[Any]) -> bool:
    """Whether labels are the same, numbers as near as half a precision has them."""
    return all(
        math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-6) if isinstance(other, float) else one == other
        for one, other in zip(told, given, strict=True)
    )
