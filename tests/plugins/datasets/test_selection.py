"""Which rows are used: the first ones or a random choice of its own, and what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import ClassLabel, Dataset, Features, Value
from ftrun.contracts import Task
from ftrun_plugins.datasets import Limits
from ftrun_plugins.datasets.labels import Labelled
from ftrun_plugins.datasets.selection import selected

TASK = Task("classification", ("text",), "label", ("neg", "pos"))


def rows(labels: Sequence[int], prefix: str = "text", task: Task = TASK) -> Dataset:
    names = ClassLabel(names=list(task.class_names or ()))
    columns = {name: [f"{prefix} {number}" for number in range(len(labels))] for name in task.text_columns}
    features = Features({**{name: Value("string") for name in columns}, "label": names})
    return Dataset.from_dict({**columns, "label": labels}, features)


SORTED = [0] * 50 + [1] * 50


def use(**limits: int) -> tuple[Labelled, list[str]]:
    everything = Labelled(TASK, rows(SORTED), {"validation": rows(SORTED, "other")})
    return selected(everything, Limits(**limits), "train")


def test_the_first_rows_are_taken_and_a_class_that_is_lost_is_said_with_the_way_out() -> None:
    used, notices = use(max_train_samples=20, max_eval_samples=30)
    assert list(used.train["text"]) == [f"text {number}" for number in range(20)]
    assert len(notices) == 2
    for notice, (limit, split) in zip(
        notices, [("train_samples = 20", "train"), ("eval_samples = 30", "validation")], strict=True
    ):
        assert limit in notice and split in notice and "none of pos" in notice and "shuffle_seed = 0" in notice


def test_a_random_choice_has_every_class_and_is_the_same_every_time() -> None:
    used, notices = use(max_train_samples=20, max_eval_samples=30, shuffle_seed=0)
    assert notices == [] and len(used.train) == 20 and len(used.evaluation["validation"]) == 30
    assert len(set(used.train["text"])) == 20
    assert list(used.train["text"]) == list(use(max_train_samples=20, shuffle_seed=0)[0].train["text"])
    assert list(used.train["text"]) != list(use(max_train_samples=20, shuffle_seed=1)[0].train["text"])


def test_without_a_limit_a_seed_changes_nothing() -> None:
    for limits in ({}, {"max_train_samples": 100}, {"max_train_samples": 1000, "max_eval_samples": 1000}):
        for seed in ({}, {"shuffle_seed": 3}):
            used, _ = use(**seed, **limits)
            assert list(used.train["text"]) == [f"text {number}" for number in range(100)]
            assert len(used.evaluation["validation"]) == 100


def test_a_class_that_no_row_is_of_is_said() -> None:
    _, notices = selected(Labelled(TASK, rows([1, 1, 1]), {"validation": rows([0], "other")}), Limits(), "train")
    assert notices == ["no row of train is of neg", "no row of validation is of pos"]


def test_of_many_classes_without_a_row_some_are_named_and_the_rest_counted() -> None:
    task = Task("classification", ("text",), "label", tuple(f"c{place}" for place in range(1030)))
    _, notices = selected(
        Labelled(task, rows([*range(1030)], task=task), {"validation": rows([0] * 9, "o", task)}), Limits(), "train"
    )
    assert len(notices) == 1 and notices[0].endswith("c19, c20 and 1,009 more")


def test_every_row_of_every_class_is_hardly_what_the_lists_mean() -> None:
    task = Task("multi_label", ("text",), "label", ("a", "b"))
    full = Dataset.from_dict({"text": ["x", "y"], "label": [[1, 1], [1, 1]]})
    some = Dataset.from_dict({"text": ["u", "v"], "label": [[1, 1], [1, 0]]})
    _, notices = selected(Labelled(task, full, {"validation": some}), Limits(), "train")
    assert notices == ['every row of train is of every class: is "label" read as it is meant?']


def test_rows_of_evaluation_that_training_has_too_are_counted_and_said() -> None:
    train, same = rows([0, 1] * 10), rows([1, 0] * 5)
    _, notices = selected(Labelled(TASK, train, {"validation": same, "dev": rows([0, 1], "new")}), Limits(), "train")
    assert notices == ["10 of the 10 rows of validation stand in train, too: the same text"]


def test_rows_of_one_text_and_two_classes_are_counted_and_said() -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    texts, labels = ["a", "b", "a", "a", "c", "c"], [0, 1, 1, 0, 1, 1]
    torn = Dataset.from_dict({"text": texts, "label": labels}, features)
    _, notices = selected(Labelled(TASK, torn, {"validation": rows([0, 1], "other")}), Limits(), "train")
    assert notices == ["3 of the 6 rows of train have the text of a row of another class"]
    _, notices = selected(Labelled(TASK, rows([0, 1], "other"), {"validation": torn}), Limits(), "train")
    assert notices == ["3 of the 6 rows of validation have the text of a row of another class"]
    numbers = Dataset.from_dict({"text": texts, "label": [float(label) for label in labels]})
    regression = Task("regression", ("text",), "label")
    assert selected(Labelled(regression, numbers, {}), Limits(), "train")[1] == []


def test_a_pair_is_the_same_where_both_texts_are() -> None:
    task = Task("classification", ("first", "second"), "label", ("neg", "pos"))

    def pairs(*texts: tuple[str, str]) -> Dataset:
        features = Features(
            {"first": Value("string"), "second": Value("string"), "label": ClassLabel(names=["neg", "pos"])}
        )
        first, second = zip(*texts, strict=True)
        return Dataset.from_dict({"first": first, "second": second, "label": [0, 1]}, features)

    train = pairs(("a", "b"), ("c", "d"))
    _, notices = selected(Labelled(task, train, {"validation": pairs(("a", "d"), ("c", "d"))}), Limits(), "train")
    assert notices == ["1 of the 2 rows of validation stand in train, too: the same text"]


def test_rows_that_a_limit_leaves_out_of_training_are_no_longer_shared() -> None:
    _, notices = selected(
        Labelled(TASK, rows([0, 1] * 10), {"validation": rows([0, 1] * 10)}), Limits(max_train_samples=4), "train"
    )
    assert notices == ["4 of the 20 rows of validation stand in train, too: the same text"]
