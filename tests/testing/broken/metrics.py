"""Metrics, each broken in one point of its suite."""

from __future__ import annotations

import dataclasses
import math
import random
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from ftrun.contracts import Metric, Predictions
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import PositiveInt, Settings
from ftrun.testing import MetricSuite, tiny_task
from pydantic import BaseModel, ConfigDict, Field, field_validator


class ShareSettings(Settings):
    places: PositiveInt = Field(6, description="Decimal places.")

    @field_validator("places")
    @classmethod
    def _few(cls, places: int) -> int:
        if places > 12:
            raise ValueError("must be at most 12")
        return places


def yields(settings: Any, task: Any) -> Any:
    if task.kind != "classification":
        raise ExperimentError(Problem("is for classification"))
    return {"share": "max"}


def build(settings: Any, task: Any) -> Any:
    return lambda predictions: {"share": share(predictions)}


def share(predictions: Predictions) -> float:
    return float(np.mean(predictions.values == predictions.labels))


SHARE: Any = Metric(name="share", summary="Share of right rows", settings=ShareSettings, yields=yields, build=build)


def with_build(build: Any, **more: Any) -> Any:
    return dataclasses.replace(SHARE, build=build, **more)


def measuring(measure: Any) -> Any:
    return with_build(lambda settings, task: lambda predictions: {"share": measure(predictions)})


def with_settings(settings: Any, **more: Any) -> Any:
    return dataclasses.replace(SHARE, settings=settings, **more)


class SoundShare(MetricSuite):
    component = SHARE
    settings = {"places": 4}
    more_settings = [{"places": None}, {"places": 1}]
    bad_settings = [{"places": 0}, {"places": 13}]
    cases = [([0, 1, 1, 0], [0, 1, 0, 0], {"share": 0.75}), ([0, 1], [[0.9, 0.1], [0.6, 0.4]], {"share": 0.5})]
    catalogue_module = "ftrun.testing.offers"


class SoundNumbers(MetricSuite):
    component = dataclasses.replace(
        SHARE,
        yields=lambda settings, task: {"error": "min"},
        build=lambda settings, task: (
            lambda predictions: {"error": float(np.abs(predictions.values - predictions.labels).mean())}
        ),
    )
    task = tiny_task("regression")
    cases = [([1.0, 2.0], [1.5, 2.0], {"error": 0.25})]
    catalogue_module = "ftrun.testing.offers"


class Share(MetricSuite):
    settings = {"places": 4}
    catalogue_module = "ftrun.testing.offers"


class BrokenFields(Share):
    component = dataclasses.replace(SHARE, summary=3)
    fails = "test_it_is_as_the_contract_says"
    says = 'summary of the metric "share" must be text of one line, not 3'


class BrokenSummary(Share):
    component = dataclasses.replace(SHARE, summary="")
    fails = "test_it_has_a_summary"
    says = "has no summary"


class Undescribed(Settings):
    places: int = 6


class BrokenDescription(Share):
    component = with_settings(Undescribed)
    fails = "test_its_settings_are_documented"
    says = ["no description of places", "pydantic.Field"]


class Lax(Settings):
    model_config = ConfigDict(extra="ignore")
    places: int = Field(6, description="Decimal places.")


class BrokenUnknownKeys(Share):
    component = with_settings(Lax)
    # what is not refused is not told either
    fails = ["test_its_settings_are_strict", "test_wrong_settings_are_told_in_sentences"]
    says = "take a key that they do not have"


class Coercing(Settings):
    places: int = Field(6, description="Decimal places.")

    @field_validator("places", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class BrokenTypes(Share):
    component = with_settings(Coercing)
    fails = "test_its_settings_are_strict"
    says = ["places of the metric", "takes '1', which is not what it is declared to be", 'lenient = ["places"]']


class SoundLenient(Share):
    component = with_settings(Coercing)
    lenient = ["places"]


class Inner(BaseModel):
    deep: int = Field(1, description="Deep.")


class Foreign(Settings):
    places: int = Field(6, description="Decimal places.")
    inner: Inner = Field(Inner(), description="A table.")


class BrokenTables(Share):
    component = with_settings(Foreign)
    fails = "test_its_settings_are_strict"
    says = "inner of the metric"


class Faulty(Settings):
    places: int = Field(6, description="Decimal places.")
    bins: PositiveInt = Field(0, description="Bins.")


class BrokenDefaults(Share):
    component = with_settings(Faulty)
    fails = "test_its_defaults_hold"
    says = "bins of the metric"


class Unwritable(Settings):
    places: int = Field(6, description="Decimal places.")
    path: PurePosixPath = Field(PurePosixPath("a"), description="A path.")


class BrokenRoundTrip(Share):
    component = with_settings(Unwritable)
    fails = "test_its_settings_come_back_from_a_file"
    says = ["path of the metric", "LocalPath"]


class Unsendable(Settings):
    places: int = Field(6, description="Decimal places.")

    def __reduce__(self) -> Any:
        raise TypeError("this stays here")


class BrokenPickling(Share):
    component = with_settings(Unsendable)
    fails = "test_its_settings_can_be_sent_to_processes"
    says = "cannot be sent to other processes: this stays here"


class Raising(Settings):
    places: int = Field(6, description="Decimal places.")

    @field_validator("places")
    @classmethod
    def _looked_up(cls, places: int) -> int:
        return {4: 4, 6: 6, 1: 1, 2: 2}[places]


class BrokenSentences(Share):
    component = with_settings(Raising)
    bad_settings = [{"places": 5}]
    fails = "test_wrong_settings_are_told_in_sentences"
    says = ["KeyError: 5", "_looked_up"]


class BrokenRefusal(Share):
    component = SHARE
    bad_settings = [{"places": 7}]
    fails = "test_wrong_settings_are_told_in_sentences"
    says = "takes {'places': 7}, which bad_settings says is wrong"


def refuse_somewhere(settings: Any) -> Any:
    return [Problem("is not to my liking")] if settings.places == 9 else []


class BrokenPlace(Share):
    component = dataclasses.replace(SHARE, check=refuse_somewhere)
    bad_settings = [{"places": 9}]
    fails = "test_wrong_settings_are_told_in_sentences"
    says = "does not say which key is wrong: is not to my liking"


class BrokenLightness(Share):
    component = SHARE
    catalogue_module = "ftrun.testing.broken_on_purpose"
    fails = "test_importing_it_is_light"
    says = "cannot be imported by itself"


class BrokenWeight(Share):
    component = SHARE
    catalogue_module = "ftrun.training.batches"
    fails = "test_importing_it_is_light"
    says = ["importing ftrun.training.batches, which offers", "imports torch (", "batches.py, line "]


class BrokenNames(Share):
    component = with_build(lambda settings, task: lambda predictions: {"part": share(predictions)})
    fails = ["test_it_gives_the_numbers_that_it_promises", "test_a_run_measures_it"]
    says = 'promised "share", and gave "part"'


class BrokenPromise(Share):
    component = dataclasses.replace(SHARE, yields=lambda settings, task: {}, build=lambda s, t: lambda predictions: {})
    fails = "test_it_gives_the_numbers_that_it_promises"
    says = "promises no number"


class BrokenFormula(Share):
    component = SHARE
    cases = [([0, 1, 1, 0], [0, 1, 0, 0], {"share": 0.7})]
    fails = "test_its_numbers_are_those_of_the_cases"
    says = 'share of the metric "share" of under-test is 0.75 for the labels [0, 1, 1, 0]'


class BrokenDirection(Share):
    component = dataclasses.replace(SHARE, yields=lambda settings, task: {"share": "min"})
    fails = "test_perfect_predictions_are_the_best"
    says = ["is 1.0 where all is right", 'Is "min", as yields says, the better direction?']


def by_class(predictions: Predictions) -> float:
    labels = predictions.labels
    return share(predictions) if len(set(labels.tolist())) > 1 or len(labels) == 1 else math.inf


class BrokenOneClass(Share):
    component = measuring(by_class)
    fails = "test_labels_of_one_class_end_no_run"
    says = ["inf on labels that are all alike", 'without_value = ["one class"]']


class BrokenStaleness(Share):
    component = SHARE
    without_value = ["one class"]
    fails = "test_labels_of_one_class_end_no_run"
    says = 'take "one class" out of without_value'


def by_spread(predictions: Predictions) -> float:
    if len(predictions.logits) > 1 and np.ptp(predictions.logits, axis=0).max() == 0:
        raise ZeroDivisionError("no spread")
    return share(predictions)


class BrokenConstant(Share):
    component = measuring(by_spread)
    fails = ["test_predictions_that_are_all_alike_end_no_run", "test_perfect_predictions_are_the_best"]
    says = "raised ZeroDivisionError: no spread"


class BrokenOneRow(Share):
    component = measuring(lambda predictions: share(predictions) if len(predictions.labels) > 1 else math.nan)
    fails = "test_one_row_ends_no_run"
    says = "nan on one row"


class BrokenOrder(Share):
    component = measuring(
        lambda predictions: float(
            np.average(predictions.values == predictions.labels, weights=1 / np.arange(1, len(predictions.labels) + 1))
        )
    )
    fails = "test_the_order_of_rows_does_not_count"
    says = "for the same rows in another order"


def altering(predictions: Predictions) -> float:
    found = share(predictions)
    predictions.logits[0] += 1
    return found


class BrokenPurity(Share):
    component = measuring(altering)
    fails = ["test_asked_again_it_gives_the_same", "test_a_run_measures_it"]
    says = "writes into the predictions that it is given"


def drawing(predictions: Predictions) -> float:
    random.random()
    return share(predictions)


class BrokenChance(Share):
    component = measuring(drawing)
    fails = "test_asked_again_it_gives_the_same"
    says = "changes the global generator of Python's random"


def build_counting(settings: Any, task: Any) -> Any:
    asked = []

    def evaluate(predictions: Predictions) -> Any:
        asked.append(1)
        return {"share": share(predictions) / len(asked)}

    return evaluate


class BrokenMemory(Share):
    component = with_build(build_counting)
    fails = "test_asked_again_it_gives_the_same"
    says = "asked again"


def build_averaging(settings: Any, task: Any) -> Any:
    told: list[float] = []

    def evaluate(predictions: Predictions) -> Any:
        told.append(share(predictions))
        return {"share": sum(told) / len(told)}

    return evaluate


class BrokenAverage(Share):
    component = with_build(build_averaging)
    fails = "test_asked_again_it_gives_the_same"
    says = "asked of others meanwhile"


def yields_by_class(settings: Any, task: Any) -> Any:
    return {"share": "max"} if task.class_names[0] else {}


class BrokenTask(Share):
    component = dataclasses.replace(SHARE, yields=yields_by_class)
    fails = "test_a_task_that_it_does_not_suit_is_told"
    says = ["asked of a task of another kind", "TypeError"]


def build_of_classes(settings: Any, task: Any) -> Any:
    names = ["no", "yes"]

    def evaluate(predictions: Predictions) -> Any:
        assert all(names[int(value)] for value in predictions.values)
        return {"share": share(predictions)}

    return evaluate


class BrokenSuiting(Share):
    component = with_build(build_of_classes)
    fails = "test_a_task_that_it_does_not_suit_is_told"
    says = ["promises numbers of a task of classification with 3 outputs, and gives none", "IndexError"]


def build_for_two(settings: Any, task: Any) -> Any:
    def evaluate(predictions: Predictions) -> Any:
        if len(predictions.logits) == 12 and predictions.kind == "classification" and predictions.loss != 0.5:
            raise RuntimeError("only for made-up predictions")
        return {"share": share(predictions)}

    return evaluate


class BrokenRun(Share):
    component = with_build(build_for_two)
    fails = "test_a_run_measures_it"
    says = ["does not finish", "only for made-up predictions"]
