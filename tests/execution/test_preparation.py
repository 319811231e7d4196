"""From a plan to data, a model and a job: what a run and a look before it share."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError
from ftrun.execution.beginning import FreshStart
from ftrun.execution.encoded_cache import EncodedCache
from ftrun.execution.preparation import build_collate, build_model, evaluators_of, make_job, open_data
from ftrun.execution.watcher import Watcher
from ftrun.planning.plan import Plan
from helpers import plan_of, rows_of, splits_of


class Told(Watcher):
    """What was said on the way."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def working(self, what: str) -> None:
        self.said.append(what)

    def notice(self, sentence: str) -> None:
        self.said.append(sentence)

    def data_opened(self, splits: Splits) -> None:
        self.said.append(f"{splits.name} is open")


def opening(plan: Plan, splits: Splits) -> Plan:
    """The plan, with a data set that opens as these splits."""
    component = dataclasses.replace(plan.dataset.offer.component, build=lambda settings: splits)  # type: ignore[call-arg]
    offer = dataclasses.replace(plan.dataset.offer, component=component)
    return dataclasses.replace(plan, dataset=dataclasses.replace(plan.dataset, offer=offer))


def test_what_should_be_known_of_the_data_is_said_when_they_are_open(tiny: Path) -> None:
    told = Told()
    data = splits_of(rows_of(text=["a"], label=[0]), notices=["two rows are alike"])
    splits, best = open_data(opening(plan_of(tiny, {"metrics": []}), data), told)
    assert splits is data and best is None
    assert told.said == ["opening the data set", "mine is open", "two rows are alike"]


@pytest.mark.parametrize(("strategy", "opened"), [("no", "to train"), ("epoch", "to evaluate")])
def test_where_nothing_is_evaluated_a_data_set_may_open_for_training_alone(
    tiny: Path, strategy: str, opened: str
) -> None:
    rows = rows_of(text=["a"], label=[0])
    plan = opening(
        plan_of(tiny, {"metrics": [], "training.eval_strategy": strategy}), splits_of(rows, name="to evaluate")
    )
    component = dataclasses.replace(plan.dataset.offer.component, train_only=lambda _: splits_of(rows, name="to train"))  # type: ignore[call-arg]
    offer = dataclasses.replace(plan.dataset.offer, component=component)
    plan = dataclasses.replace(plan, dataset=dataclasses.replace(plan.dataset, offer=offer))
    assert open_data(plan, Watcher())[0].name == opened


def test_the_best_evaluation_is_told_by_the_metric_that_is_named(tiny: Path) -> None:
    plan = plan_of(tiny, {"training.load_best_model_at_end": True, "training.metric_for_best_model": "f1"})
    _, best = open_data(plan, Watcher())
    assert best is not None and (best.key, best.greater_is_better) == ("eval/f1", True)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (
            splits_of(rows_of(text=["a"], label=[[0, 1]]), "of_places"),
            "model.use: the model .* kind of task, of_places",
        ),
        (splits_of(rows_of(text=[], label=[])), "has no row in train for training"),
        (splits_of(rows_of(text=["a"], label=[2])), "has the label 2 in row 1 of train"),
        (splits_of(rows_of(text=["a"], label=[0]), evaluation={"dev": rows_of(text=[], label=[])}), "no row in dev"),
    ],
)
def test_data_that_do_not_suit_are_refused_before_a_model_is_built(tiny: Path, data: Splits, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        open_data(opening(plan_of(tiny), data), Watcher())


def test_a_job_holds_all_that_a_backend_needs(tiny: Path) -> None:
    plan, told = plan_of(tiny, {"training.data_seed": 7}), Told()
    start = FreshStart(plan)
    splits, best = open_data(plan, told)
    built = build_model(plan, splits, told)
    with EncodedCache(tiny.parent / "cache") as cache:
        job = make_job(plan, splits, built, best, cache, told, start)
        assert (len(job.train), {name: len(rows) for name, rows in job.evaluation.items()}) == (44, {"validation": 20})
        assert (job.seed, job.data_seed, job.run_folder, job.resume_from) == (1, 7, start.folder.path, None)
        batch: Any = job.collate([job.train[row] for row in range(3)])
        assert batch["labels"].shape == (3,) and batch["input_ids"].shape[0] == 3
    assert "building the model" in told.said
    assert build_collate(plan, built)([dict(job.train[0])])["labels"].tolist() == [job.train[0]["labels"]]


def test_the_order_of_the_rows_is_the_seeds_unless_it_has_one_of_its_own(tiny: Path) -> None:
    plan = plan_of(tiny)
    splits, best = open_data(plan, Watcher())
    built = build_model(plan, splits, Watcher())
    with EncodedCache(tiny.parent / "cache") as cache:
        assert make_job(plan, splits, built, best, cache, Watcher(), FreshStart(plan)).data_seed == 1


def test_every_metric_gets_what_the_model_says_in_the_tasks_order(tiny: Path) -> None:
    import numpy as np
    from ftrun.contracts import BuiltModel, Predictions

    plan = plan_of(tiny, {"metrics": [{"use": "accuracy"}, {"use": "recall"}]})
    task = splits_of(None).task
    model: Any = None
    built = BuiltModel(model, None, dict, "key", "own", class_names=("yes", "no"))
    said = Predictions(np.eye(2, dtype=np.float32)[[0, 0, 1]], np.array([0, 0, 0]), 0.5)
    told = {
        name: float(value) for evaluate in evaluators_of(plan, task, built) for name, value in evaluate(said).items()
    }
    assert told == {"accuracy": pytest.approx(2 / 3), "recall": pytest.approx(2 / 3)}
