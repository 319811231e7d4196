"""Collators, each broken in one point of its suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import Collator
from ftrun.testing import CollatorSuite, tiny_splits

TOKENS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass
class Padding:
    """Pads with 0; what is broken is said by name."""

    broken: str = ""
    seen: int = 0

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        import torch

        if self.broken == "one row":
            assert len(rows) > 1, "a batch of one"
        if self.broken == "short":
            assert len(rows) in (1, 8), "a batch is of 8 rows"
        if self.broken == "chance":
            torch.rand(1)
        if self.broken == "cut":
            for row in rows:
                del row["input_ids"][4:], row["attention_mask"][4:]
        longest = max(len(row["input_ids"]) for row in rows) + (self.seen if self.broken == "memory" else 0)
        self.seen += 1
        batch = {
            name: torch.tensor([[*row[name], *[0] * (longest - len(row[name]))] for row in rows])
            for name in TOKENS
            if name in rows[0]
        }
        if "labels" in rows[0] or self.broken == "unlabelled":
            labels = [row["labels"] for row in rows]
            batch["labels"] = torch.tensor(labels[::-1] if self.broken == "order" else labels)
            if self.broken == "float":
                batch["labels"] = batch["labels"].float()
            if self.broken == "column":
                batch["labels"] = batch["labels"][:, None]
        if self.broken == "inputs":
            batch |= {name: batch[name].flip(0) for name in TOKENS if name in batch}
        if self.broken == "rows":
            rows[0]["input_ids"].append(0)
        return batch


PADDING: Any = Collator(name="pad", summary="Pads with 0", build=lambda settings, tokenizer: Padding())


def broken(how: str) -> Any:
    return dataclasses.replace(PADDING, build=lambda settings, tokenizer: Padding(how))


class Pad(CollatorSuite):
    catalogue_module = "ftrun.testing.offers"


class SoundPadding(Pad):
    component = PADDING


class BrokenOrder(Pad):
    component = broken("order")
    fails = ["test_it_makes_tensors_of_rows", "test_a_shorter_last_batch_is_one"]
    says = "in their order"


class BrokenInputs(Pad):
    component = broken("inputs")
    fails = ["test_inputs_are_in_the_order_of_the_labels", "test_a_run_trains_with_it"]
    says = "another order"


class BrokenTensors(Pad):
    component = dataclasses.replace(
        PADDING,
        build=lambda settings, tokenizer: lambda rows: {name: [row[name] for row in rows] for name in rows[0]},
    )
    fails = [
        *("test_it_makes_tensors_of_rows", "test_one_row_is_a_batch", "test_a_shorter_last_batch_is_one"),
        *("test_its_function_can_be_sent_to_processes", "test_a_run_trains_with_it"),
    ]
    says = "input_ids of the collator"


class BrokenOneRow(Pad):
    component = broken("one row")
    fails = "test_one_row_is_a_batch"
    says = "given one row, raised AssertionError: a batch of one"


class BrokenShortBatch(Pad):
    component = broken("short")
    fails = [
        "test_a_shorter_last_batch_is_one",
        "test_rows_without_labels_are_a_batch",
        "test_the_same_rows_make_the_same_batch",
        "test_a_run_trains_with_it",
    ]
    says = "a batch is of 8 rows"


class BrokenPrediction(Pad):
    component = broken("unlabelled")
    fails = "test_rows_without_labels_are_a_batch"
    says = "given rows without labels, raised KeyError: 'labels'"


REMEMBERING = Padding("memory")


class BrokenMemory(Pad):
    component = dataclasses.replace(PADDING, build=lambda settings, tokenizer: REMEMBERING)
    fails = "test_the_same_rows_make_the_same_batch"
    says = "makes another batch of the same rows"


class BrokenRows(Pad):
    component = broken("rows")
    fails = ["test_it_leaves_the_rows_as_they_are"]
    says = "alters the rows that it is given"


class BrokenLists(Pad):
    component = broken("cut")
    fails = "test_it_leaves_the_rows_as_they_are"
    says = "alters the rows that it is given"


LABELLED = ["test_it_makes_tensors_of_rows", "test_one_row_is_a_batch", "test_a_shorter_last_batch_is_one"]


class BrokenFloats(Pad):
    component = broken("float")
    fails = [*LABELLED, "test_a_run_trains_with_it"]
    says = "makes labels of torch.float32 of a classification's, which are whole numbers"


class BrokenShape(Pad):
    component = broken("column")
    fails = [*LABELLED, "test_a_run_trains_with_it"]
    says = ["gives labels of shape (8, 1) for 8 rows of classification", "They must be of shape (8,)"]


class BrokenOrderOfNumbers(Pad):
    component = broken("order")
    fails = ["test_it_makes_tensors_of_rows", "test_a_shorter_last_batch_is_one", "test_a_run_trains_with_it"]
    says = "in their order"

    def make_splits(self) -> Any:
        return tiny_splits("regression")


class SoundNumbers(Pad):
    component = PADDING

    def make_splits(self) -> Any:
        return tiny_splits("regression")


class SoundLabels(Pad):
    component = PADDING

    def make_splits(self) -> Any:
        return tiny_splits("multi_label")


class BrokenChance(Pad):
    component = broken("chance")
    fails = "test_it_draws_no_random_number"
    says = "changes the global generator of torch"


class BrokenPickling(Pad):
    component = dataclasses.replace(PADDING, build=lambda settings, tokenizer: lambda rows: Padding()(rows))
    fails = "test_its_function_can_be_sent_to_processes"
    says = ["cannot be sent to other processes", "in_processes = False"]


def without_tokens(rows: Any) -> Any:
    return {"numbers": Padding()(rows)["input_ids"], **{k: v for k, v in Padding()(rows).items() if k == "labels"}}


class BrokenRun(Pad):
    component = dataclasses.replace(PADDING, build=lambda settings, tokenizer: without_tokens)
    fails = "test_a_run_trains_with_it"
    says = ["does not finish", "exactly one of input_ids or inputs_embeds"]
