"""The facts of GLUE's tasks (Wang et al., 2018, https://gluebenchmark.com): columns, classes, evaluation splits."""

from __future__ import annotations

from dataclasses import dataclass

from ftrun.contracts import Task

_PAIR = ("sentence1", "sentence2")
_ENTAILMENT = ("entailment", "not_entailment")
_EQUIVALENCE = ("not_equivalent", "equivalent")


@dataclass(frozen=True)
class GlueTask:
    """One of the tasks.

    Attributes:
        text_columns: The columns that hold the text.
        class_names: The classes in the order of their ids; None for regression.
        evaluation: The splits with labels to evaluate on.
        test: The splits without labels.
    """

    text_columns: tuple[str, ...]
    class_names: tuple[str, ...] | None
    evaluation: tuple[str, ...] = ("validation",)
    test: tuple[str, ...] = ("test",)

    def task(self, name: str) -> Task:
        """As the contract has it, for the GLUE task of this name."""
        kind = "classification" if self.class_names else "regression"
        return Task(kind, self.text_columns, "label", self.class_names, f"glue/{name}")


GLUE_TASKS = {
    "cola": GlueTask(("sentence",), ("unacceptable", "acceptable")),
    "mnli": GlueTask(
        ("premise", "hypothesis"),
        ("entailment", "neutral", "contradiction"),
        ("validation_matched", "validation_mismatched"),
        ("test_matched", "test_mismatched"),
    ),
    "mrpc": GlueTask(_PAIR, _EQUIVALENCE),
    "qnli": GlueTask(("question", "sentence"), _ENTAILMENT),
    "qqp": GlueTask(("question1", "question2"), ("not_duplicate", "duplicate")),
    "rte": GlueTask(_PAIR, _ENTAILMENT),
    "sst2": GlueTask(("sentence",), ("negative", "positive")),
    "stsb": GlueTask(_PAIR, None),
    "wnli": GlueTask(_PAIR, ("not_entailment", "entailment")),
}
