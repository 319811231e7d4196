"""Metrics: GLUE's, accuracy, F1 and the like, those of probabilities, and any module of `evaluate`.

Light; `scores.py` and `probabilities.py` do the work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from ftrun import hookimpl
from ftrun.contracts import Direction, Evaluator, Metric, Need, Task, needs_nothing
from ftrun.errors import ExperimentError, Problem
from ftrun.settings import PositiveInt, Settings, absolute_folder, absolute_path, is_folder
from pydantic import AfterValidator, Field

GLUE_SCORES: Mapping[str, Sequence[str]] = {
    "cola": ["matthews_correlation"],
    "stsb": ["pearson", "spearmanr"],
    "mrpc": ["accuracy", "f1"],
    "qqp": ["accuracy", "f1"],
    **{task: ["accuracy"] for task in ("sst2", "mnli", "qnli", "rte", "wnli")},
}
"""The numbers that GLUE (Wang et al., 2018) takes for each task."""


class PositiveSettings(Settings):
    """Settings of metrics that are of one class where there are two."""

    positive_class: str | None = Field(
        None, description="Of two classes the one that is measured, by its name; the second by default, as a run says."
    )


class AveragedSettings(PositiveSettings):
    """Settings of metrics that are counted class by class."""

    average: Literal["binary", "macro", "micro", "weighted", "samples"] | None = Field(
        None,
        description="How classes are averaged; by default binary (of the positive class) for two classes, macro for "
        "more and for multi_label, which may have samples, too: row by row, and a row without any class counts 0.",
    )


class RankedSettings(PositiveSettings):
    """Settings of metrics of how rows are ranked by a class's probability."""

    average: Literal["macro", "micro", "weighted"] = Field(
        "macro", description="How more than two classes, each against the rest, are averaged; so for multi_label."
    )


class RocAucSettings(RankedSettings):
    """Settings of the metric "roc_auc"."""

    multi_class: Literal["ovr", "ovo"] = Field(
        "ovr", description="More than two classes each against the rest, or each against each other."
    )


class CalibrationSettings(Settings):
    """Settings of the metric "expected_calibration_error"."""

    bins: PositiveInt = Field(15, le=10_000, description="Into how many bins of equal width probabilities are put.")


def _absolute_script(reference: str) -> str:
    is_script = reference.endswith(".py") and Path(reference).expanduser().is_file()
    return absolute_path(reference) if is_script else absolute_folder(reference)


class EvaluateSettings(Settings):
    """Settings of the metric "evaluate"."""

    path: Annotated[str, AfterValidator(_absolute_script)] = Field(
        description="A metric's id on the Hub, such as evaluate-metric/accuracy, or its script's path.",
        examples=["evaluate-metric/accuracy"],
    )
    yields: dict[str, Literal["max", "min"]] = Field(
        description="The numbers that it computes, and which way is better.",
        min_length=1,
        examples=[{"accuracy": "max"}],
    )
    trust_remote_code: bool = Field(False, description="Must be true: such a metric is a script that is run here.")
    options: dict[str, bool | int | float | str] = Field({}, description="Arguments of its compute.")


CLASSES = ("classification", "multi_label")
"""Kinds of task with classes."""


def _fixed(kinds: Sequence[str], *names: str) -> Callable[[Any, Task], Mapping[str, Direction]]:
    """Yields of a metric for some kinds of task, of which more is better."""

    def yields(settings: Any, task: Task) -> Mapping[str, Direction]:
        _require(kinds, names[0], task)
        return dict.fromkeys(names, "max")

    return yields


def _averaged(name: str) -> Callable[[AveragedSettings, Task], Mapping[str, Direction]]:
    """Yields of a metric that is counted class by class."""

    def yields(settings: AveragedSettings, task: Task) -> Mapping[str, Direction]:
        _require(CLASSES, name, task)
        several = task.kind == "multi_label"
        if settings.average == ("binary" if several else "samples"):
            message = f'"{settings.average}" is for {"one class" if several else "any number of classes"} a row'
            raise ExperimentError(Problem(message, "average", 'Take "macro", "micro" or "weighted".'))
        if settings.average == "binary" and task.num_labels != 2:
            message = f'"binary" is for two classes, and the task has {task.num_labels}'
            raise ExperimentError(Problem(message, "average", 'Take "macro", "micro" or "weighted".'))
        _check_positive(settings, task)
        return {name: "max"}

    return yields


def _of_one_class(settings: Any, task: Task) -> bool:
    """Whether a metric with these settings is of one of the task's classes."""
    of_one = not isinstance(settings, AveragedSettings) or settings.average in (None, "binary")
    return of_one and task.kind == "classification" and task.num_labels == 2


def _check_positive(settings: PositiveSettings, task: Task) -> None:
    positive, names = settings.positive_class, task.class_names or ()
    if positive is None:
        return
    if not _of_one_class(settings, task):
        message = "it is for one class of two, and all classes are averaged here"
        raise ExperimentError(Problem(message, "positive_class", "Leave it out."))
    if positive not in names:
        message = f'there is no class "{positive}"'
        raise ExperimentError(Problem(message, "positive_class", f"There are: {', '.join(names)}."))


def _positive(settings: Any, task: Task) -> int:
    """The id of the class that is measured where there are two."""
    named = getattr(settings, "positive_class", None)
    return 1 if named is None or not task.class_names else task.class_names.index(named)


def _which_is_positive(settings: PositiveSettings, task: Task) -> Sequence[str]:
    if settings.positive_class is not None or not _of_one_class(settings, task):
        return ()
    first, second = task.class_names or ()
    return [f'metrics of one class are of "{second}", the second; positive_class = "{first}" takes the other']


def _of_probabilities(name: str, better: Direction, *kinds: str) -> Callable[[Any, Task], Mapping[str, Direction]]:
    """Yields of a metric of the classes' probabilities."""

    def yields(settings: Any, task: Task) -> Mapping[str, Direction]:
        _require(kinds, name, task)
        if task.kind == "multi_label" and getattr(settings, "multi_class", "ovr") != "ovr":
            hint = "Leave it out: every class is measured by itself."
            raise ExperimentError(Problem('"ovo" is for one class a row', "multi_class", hint))
        if isinstance(settings, PositiveSettings):
            _check_positive(settings, task)
        return {name: better}

    return yields


def _check_roc_auc(settings: RocAucSettings) -> Sequence[Problem]:
    if settings.multi_class == "ovr" or settings.average != "micro":
        return []
    hint = 'Take "macro" or "weighted", or multi_class = "ovr".'
    return [Problem('"micro" is for each class against the rest, not for multi_class = "ovo"', "average", hint)]


def _errors(settings: Settings, task: Task) -> Mapping[str, Direction]:
    _require(["regression"], "regression-errors", task)
    return {"mse": "min", "mae": "min"}


def _glue(settings: Settings, task: Task) -> Mapping[str, Direction]:
    return dict.fromkeys(glue_scores(task), "max")


def glue_scores(task: Task) -> Sequence[str]:
    """The numbers of a GLUE task; MRPC's for two classes of sentence pairs that are in MRPC's schema.

    Raises:
        ExperimentError: If the task is none of GLUE's.
    """
    name = (task.benchmark or "").removeprefix("glue/")
    if name in GLUE_SCORES:
        return GLUE_SCORES[name]
    if task.class_names == ("not_equivalent", "equivalent"):
        return GLUE_SCORES["mrpc"]
    hint = 'Take metrics by name instead, such as [[metrics]] use = "accuracy".'
    raise ExperimentError(Problem("the data set is none of GLUE's tasks", hint=hint))


def _yields_as_told(settings: EvaluateSettings, task: Task) -> Mapping[str, Direction]:
    return settings.yields


def _check_evaluate(settings: EvaluateSettings) -> Sequence[Problem]:
    if wrong := [name for name in settings.yields if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name)]:
        message = f"a number's name must be at most 100 letters, digits, _, . and -, not {wrong[0]!r}"
        return [Problem(message, "yields")]
    if settings.trust_remote_code:
        return []
    hint = "Set it to true if you trust it; the metrics that come with ftrun need no such thing."
    return [Problem(f"{settings.path} is a script that would run on this machine", "trust_remote_code", hint)]


def _needs_evaluate(settings: EvaluateSettings) -> Sequence[Need]:
    """The script, where it is named; or what `evaluate` has kept of one of the Hub's, the newest of which it takes."""
    if settings.path.endswith(".py") or is_folder(settings.path):
        return [Need(f"the script {settings.path}", Path(settings.path).exists(), "put it there", "path")]
    from huggingface_hub import constants

    modules = Path(os.environ.get("HF_MODULES_CACHE") or Path(constants.HF_HOME) / "modules")
    path = settings.path if "/" in settings.path else f"evaluate-metric/{settings.path}"
    name = path.replace("/", "--")
    kept = list((modules / "evaluate_modules" / "metrics" / name).glob(f"*/{path.rpartition('/')[2]}.py"))
    get = "once online, run the experiment; or name the script's file; or take a metric that comes with ftrun"
    return [Need(f"the script of the metric {settings.path}", bool(kept), get, "path")]


def _require(kinds: Sequence[str], name: str, task: Task) -> None:
    if task.kind not in kinds:
        raise ExperimentError(Problem(f'"{name}" is a metric of {" and ".join(kinds)}, and the task is {task.kind}'))


def _scores(*names: str) -> Callable[[Any, Task], Evaluator]:
    """Builds an evaluator of scores by name."""

    def build(settings: Any, task: Task) -> Evaluator:
        from ftrun_plugins.metrics.scores import evaluator

        return evaluator(names, task, getattr(settings, "average", None), _positive(settings, task))

    return build


def _build_glue(settings: Settings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics.scores import evaluator

    return evaluator(glue_scores(task), task)


def _build_roc_auc(settings: RocAucSettings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics import probabilities

    measure = probabilities.roc_auc(settings.average, settings.multi_class, _positive(settings, task))
    return probabilities.evaluator("roc_auc", measure)


def _build_average_precision(settings: RankedSettings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics import probabilities

    measure = probabilities.average_precision(settings.average, _positive(settings, task))
    return probabilities.evaluator("average_precision", measure)


def _build_log_loss(settings: Settings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics import probabilities

    return probabilities.evaluator("log_loss", probabilities.cross_entropy)


def _build_calibration(settings: CalibrationSettings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics import probabilities

    measure = probabilities.expected_calibration_error(settings.bins)
    return probabilities.evaluator("expected_calibration_error", measure)


def _build_evaluate(settings: EvaluateSettings, task: Task) -> Evaluator:
    from ftrun_plugins.metrics.scores import evaluate_module

    return evaluate_module(settings.path, list(settings.yields), settings.options)


@hookimpl
def ftrun_metrics() -> Sequence[Metric]:
    return [
        Metric(
            name="glue", summary="What GLUE measures for the task", yields=_glue, needs=needs_nothing, build=_build_glue
        ),
        Metric(
            name="accuracy",
            summary="Share of rows with the right class, or where there are several, with just the right ones",
            yields=_fixed(CLASSES, "accuracy"),
            needs=needs_nothing,
            build=_scores("accuracy"),
        ),
        *[
            Metric(
                name=name,
                summary=summary,
                settings=AveragedSettings,
                yields=_averaged(name),
                notices=_which_is_positive,
                needs=needs_nothing,
                build=_scores(name),
            )
            for name, summary in (
                ("f1", "Harmonic mean of precision and recall"),
                ("precision", "Share of rows that truly are of the class they were given"),
                ("recall", "Share of a class's rows that were found"),
            )
        ],
        Metric(
            name="matthews_correlation",
            summary="Correlation of predicted and true classes, fair to classes of unequal size",
            yields=_fixed(["classification"], "matthews_correlation"),
            needs=needs_nothing,
            build=_scores("matthews_correlation"),
        ),
        Metric(
            name="roc_auc",
            summary="Area under the ROC curve, from probabilities",
            settings=RocAucSettings,
            check=_check_roc_auc,
            yields=_of_probabilities("roc_auc", "max", *CLASSES),
            notices=_which_is_positive,
            needs=needs_nothing,
            build=_build_roc_auc,
        ),
        Metric(
            name="average_precision",
            summary="Area under the precision-recall curve, from probabilities",
            settings=RankedSettings,
            yields=_of_probabilities("average_precision", "max", *CLASSES),
            notices=_which_is_positive,
            needs=needs_nothing,
            build=_build_average_precision,
        ),
        Metric(
            name="log_loss",
            summary="Mean negative log of the right class's probability; for multi_label of every class's right answer",
            yields=_of_probabilities("log_loss", "min", *CLASSES),
            needs=needs_nothing,
            build=_build_log_loss,
        ),
        Metric(
            name="expected_calibration_error",
            summary="How far probabilities are from the share of rows that are right",
            settings=CalibrationSettings,
            yields=_of_probabilities("expected_calibration_error", "min", "classification"),
            needs=needs_nothing,
            build=_build_calibration,
        ),
        Metric(
            name="correlation",
            summary="Pearson's and Spearman's correlation, for regression; a constant has none",
            yields=_fixed(["regression"], "pearson", "spearmanr"),
            needs=needs_nothing,
            build=_scores("pearson", "spearmanr"),
        ),
        Metric(
            name="regression-errors",
            summary="Mean squared and mean absolute error",
            yields=_errors,
            needs=needs_nothing,
            build=_scores("mse", "mae"),
        ),
        Metric(
            name="evaluate",
            summary="Any module of Hugging Face's evaluate, from the Hub or a path",
            settings=EvaluateSettings,
            check=_check_evaluate,
            yields=_yields_as_told,
            needs=_needs_evaluate,
            build=_build_evaluate,
        ),
    ]
