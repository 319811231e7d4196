"""Collators, each broken in one point of its suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftrun.contracts import Collator
from ftrun.testing import CollatorSuite

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
    says = "in the order of the rows"


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
