"""The numbers of an evaluation: what they are called, which way is better, which of them tells the best."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, SupportsFloat

from ftrun.contracts import BestBy, Direction, Evaluator, Metric, Predictions, Task
from ftrun.errors import ExperimentError, FtrunError, Problem, nearest
from ftrun.planning.answers import placed_errors, yields_of
from ftrun.planning.blame import line_in
from ftrun.planning.conformance import said
from ftrun.planning.parts import Part
from ftrun.settings import TrainingSettings, shown

NO_VALUE = "Where it has no value it must give NaN, and raise nothing."
"""What to do about a metric that raises."""
COPY = "Other metrics get them, too. Copy what is to be changed, such as by predictions.logits.copy()."
"""What to do about one that writes into predictions."""


class MetricError(ExperimentError):
    """A metric raised something of predictions: its cause."""


class WritingError(ExperimentError):
    """A metric writes into the predictions that it is given, which others get, too."""


def metric_directions(metrics: Sequence[Part], task: Task) -> dict[str, Direction]:
    """The numbers that an evaluation yields on `task`, `loss` among them, and their better directions.

    Raises:
        ExperimentError: If a metric does not suit the task, or two yield the same number.
    """
    directions: dict[str, Direction] = {"loss": "min"}
    problems: list[Problem] = []
    for index, part in enumerate(metrics):
        place = f"metrics[{index}]"
        try:
            yields = yields_of(part, place, task)
        except FtrunError as error:
            problems += error.problems
            continue
        names = names_of(part, yields)
        if refused := [name for name in names.values() if not _suits_mlflow(name)]:
            problems.append(Problem(f"MLflow takes no metric with the name {refused[0]!r}", place))
        if twice := sorted(set(names.values()) & set(directions)):
            other = re.sub(r"[^A-Za-z0-9_]", "_", part.use.rpartition(":")[2])
            hint = f'Leave one out, or give this one a name of its own: name = "{other}_{index + 1}".'
            problems.append(
                Problem(f"{', '.join(twice)} {'is' if len(twice) == 1 else 'are'} already measured", place, hint)
            )
        directions.update({names[number]: direction for number, direction in yields.items()})
    if problems:
        raise ExperimentError(*problems)
    return directions


def check_measures(metrics: Sequence[Part], task: Task, training: TrainingSettings) -> Sequence[Problem]:
    """What is wrong with the numbers of an experiment, as far as its task tells."""
    told = training.metric_for_best_model
    only_data_tells = told is not None and "/" in told.removeprefix("eval/")
    try:
        directions = metric_directions(metrics, task)
        if not only_data_tells:
            best_by(training, directions, [""])
    except ExperimentError as error:
        return error.problems
    return []


def check_evaluated(
    metrics: Sequence[Part], training: TrainingSettings, is_tested: bool = False, left_out: bool = False
) -> Sequence[Problem]:
    """A problem for everything that asks for evaluations, where there are no rows to evaluate on.

    Args:
        metrics: The metrics of the experiment.
        training: Its training.
        is_tested: Whether there are rows to measure at the end, which metrics are of use for.
        left_out: Whether the data set was opened for a training without evaluations.
    """
    without = f'eval_strategy = "no" leaves out {_ROWS}' if left_out else f"the data set has no {_ROWS}"
    way = 'set training.eval_strategy to "epoch" or "steps"' if left_out else "take a data set with a split for that"
    asking = {
        "training.eval_strategy": training.eval_strategy != "no" and f'Set it to "no", or {way}.',
        "training.metric_for_best_model": training.metric_for_best_model is not None and f"Leave it out, or {way}.",
        "metrics": bool(metrics) and not is_tested and f"Leave out [[metrics]], or {way}.",
    }
    return [Problem(without, place, hint) for place, hint in asking.items() if hint]


_ROWS = "rows to evaluate on"


def names_of(part: Part, numbers: Collection[str]) -> dict[str, str]:
    """What a metric's numbers are called in this experiment: as the metric calls them, unless its table has a `name`,
    which takes the place of an only number's and goes before several.
    """
    if part.name is None:
        return {number: number for number in numbers}
    return {number: part.name if len(numbers) == 1 else f"{part.name}_{number}" for number in numbers}


def build_evaluator(part: Part, task: Task, place: str = "metrics") -> Evaluator:
    """A metric's evaluator; it gives the numbers that the metric promised, under their names in this experiment, and
    none (NaN) of predictions in which the model says no number of a row.

    Args:
        part: The metric.
        task: What is learnt.
        place: Where the metric's table is.

    Raises:
        ExperimentError: If the metric does not suit the task after all, or builds no function; and from the evaluator,
            if it gives something else than was promised.
        WritingError: From the evaluator, if it writes into predictions: their arrays are read-only.
        MetricError: From the evaluator, if it raises anything else.
    """
    metric = part.component(Metric)
    with placed_errors(part, place):
        evaluator = metric.build(part.settings, task)
    if not callable(evaluator):
        given = type(evaluator).__name__
        raise part.fault(f"built a {given}, and must build a function that makes numbers of predictions", place=place)
    names = names_of(part, yields_of(part, place, task))

    def evaluate(predictions: Predictions) -> Mapping[str, float]:
        if rows_without_numbers(predictions):
            return dict.fromkeys(names.values(), math.nan)
        try:
            numbers = evaluator(_read_only(predictions))
        except FtrunError:
            raise
        except Exception as fault:
            if _is_of_writing(fault):
                told = f"writes into the predictions that it is given: {said(fault)}{line_in(fault, part)}"
                raise WritingError(*part.fault(told, COPY, place).problems) from fault
            message = f"{part.who} raised {said(fault)}{line_in(fault, part)}"
            raise MetricError(Problem(message, place, NO_VALUE)) from fault
        if not isinstance(numbers, Mapping):
            raise part.fault(f"gave a {type(numbers).__name__}, and must give numbers by name", place=place)
        if set(numbers) != set(names):
            promised, given = (", ".join(f'"{name}"' for name in sorted(map(str, some))) for some in (names, numbers))
            raise part.fault(f"promised {promised or 'nothing'}, and gave {given or 'nothing'}", place=place)
        return {names[number]: _number(part, number, value, place) for number, value in numbers.items()}

    return evaluate


def _read_only(predictions: Predictions) -> Predictions:
    """The same predictions, whose arrays nobody can write into."""
    return replace(predictions, logits=_unwritable(predictions.logits), labels=_unwritable(predictions.labels))


def _unwritable(array: Any) -> Any:
    if not hasattr(array, "setflags"):  # of a task of one's own, and no array
        return array
    view = array.view()
    view.setflags(write=False)
    return view


def _is_of_writing(fault: Exception) -> bool:
    """Whether it is what NumPy raises where an array that is not to be written is."""
    return isinstance(fault, ValueError) and "read-only" in said(fault)


def rows_without_numbers(predictions: Predictions) -> list[int]:
    """The places of the rows of which a model says nothing: its logits are NaN, or infinite where that is no answer.

    The largest logit tells no class where it is NaN or infinite; minus infinity may rule others out. Of kinds of
    somebody's own NaN alone is no answer.
    """
    logits = predictions.logits
    if not len(logits):
        return []
    if predictions.kind == "classification":
        logits = logits.max(axis=-1)
    is_own = predictions.kind not in ("classification", "multi_label", "regression")
    sound = logits == logits if is_own else abs(logits) < math.inf
    return [place for place, fine in enumerate(sound.reshape(len(sound), -1).all(axis=1).tolist()) if not fine]


def _number(part: Part, name: str, value: Any, place: str) -> float:
    if isinstance(value, SupportsFloat) and not isinstance(value, (str, bytes)):
        with contextlib.suppress(TypeError, ValueError):  # such as an array of several numbers
            return float(value)
    raise part.fault(f'gave {shown(value)} for "{name}", and must give a number', place=place)


def _suits_mlflow(name: str) -> bool:
    """Whether MLflow takes it for a metric's key: words in its letters, with no way out of a folder among them."""
    return all(re.fullmatch(r"[\w .:-]+", word) and word.strip(".") for word in name.split("/"))


def best_by(training: TrainingSettings, directions: Mapping[str, Direction], splits: Sequence[str]) -> BestBy | None:
    """What makes one evaluation better than another, where anybody asks.

    Args:
        training: Says the metric as transformers does: "f1" or "eval_f1"; with several splits, that of the first, or of
            the one that is named ("validation_mismatched/f1").
        directions: The numbers that an evaluation yields, and their better directions.
        splits: The evaluation splits, the main one first.

    Raises:
        ExperimentError: If no metric yields that number.
    """
    if not training.looks_for_best and training.metric_for_best_model is None:
        return None
    told = training.metric_for_best_model or "loss"
    plain = told.removeprefix("eval_").removeprefix("eval/")
    split, _, name = plain.rpartition("/")
    if found := [number for number in (told, plain) if number in directions]:
        split, name = "", found[0]
    place = "training.metric_for_best_model"
    if name not in directions:
        close = nearest(name, directions)
        hint = f"Did you mean {close}? " if close else ""
        raise ExperimentError(
            Problem(f'no metric here yields "{name}"', place, f"{hint}There are: {', '.join(directions)}.")
        )
    if split and split not in splits:
        raise ExperimentError(Problem(f'there is no split "{split}"', place, f"There are: {', '.join(splits)}."))
    prefix = "eval/" if len(splits) == 1 else f"eval/{split or splits[0]}/"
    greater = directions[name] == "max" if training.greater_is_better is None else training.greater_is_better
    return BestBy(f"{prefix}{name}", greater)
