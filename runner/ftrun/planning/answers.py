"""What components answer when they are asked before the work; what is no answer is told as their plugin's fault."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ftrun.contracts import Backend, Dataset, Direction, Metric, Need, Task
from ftrun.errors import ExperimentError, FtrunError, Problem, RunError
from ftrun.planning.catalogue import Offer
from ftrun.planning.conformance import line_of, said
from ftrun.planning.parts import Part
from ftrun.planning.requirements import what_would_bring
from ftrun.planning.task_fields import faults_in_task
from ftrun.planning.written import lost
from ftrun.settings import Settings, TrainingSettings, shown, validate

log = logging.getLogger(__name__)


def validated(offer: Offer, values: Mapping[str, Any], place: str) -> tuple[Settings | None, list[Problem]]:
    """The settings of a component, or None and all that is wrong with its table."""
    try:
        answer: tuple[Settings | None, list[Problem]] = _asked(
            "a validator of the settings", offer, validate, offer.component.settings, values, place
        )
        return answer
    except FtrunError as error:
        return None, [problem.inside(place) for problem in error.problems]


def unrecordable(part: Part, place: str) -> list[Problem]:
    """A problem for every setting that would be lost on the way into a record and back."""
    try:
        keys: Mapping[str, str] = _asked("the settings", part.offer, lost, part.settings)
    except FtrunError as error:
        return [problem.inside(place) for problem in error.problems]
    return [
        Problem(
            f"{shown(getattr(part.settings, key, part.settings))} does not survive being written to TOML and read back"
            f" ({part.offer.who})",
            f"{place}.{key}" if key else place,
            hint,
        )
        for key, hint in keys.items()
    ]


def problems_of(part: Part, place: str, *further: Any) -> list[Problem]:
    """What a component's `check` says of its settings.

    Args:
        part: The component.
        place: Where its table is.
        further: What is handed to the check beside the settings.
    """
    check = getattr(part.offer.component, "check", None)
    told = _told("the check", part.offer, check, part.settings, *further) if check else []
    return [part.placed(problem, place) for problem in told]


def problems_of_environment(
    part: Part, place: str, training: TrainingSettings, environ: Mapping[str, str]
) -> list[Problem]:
    """What a backend's `check_environment` says, each with the variable's name as its place."""
    check = part.component(Backend).check_environment
    told = _told("the check of the environment", part.offer, check, training, environ) if check else []
    return [problem if problem.place else problem.inside(place) for problem in told]


def task_of(part: Part, place: str) -> Task | None:
    """The task, where a data set's settings tell it.

    Raises:
        ExperimentError: If they tell that there is none, or the component answers with something else.
    """
    ask = part.component(Dataset).task
    if ask is None:
        return None
    with placed_errors(part, place):
        task = _asked("task", part.offer, ask, part.settings)
        if task is None:
            return None
        if isinstance(task, Task):
            if fault := next(faults_in_task(task), None):
                raise part.fault(fault, place=place)
            return task
        raise _no_answer("task", part.offer, task, "an ftrun.contracts.Task, or None where only the data tells")


def needs_answered(part: Part, place: str) -> Sequence[Need] | None:
    """What a part says that its settings need on a machine without a network; None where it says nothing.

    Raises:
        ExperimentError: If its answer is none.
    """
    ask = part.offer.component.needs
    if ask is None:
        return None
    with placed_errors(part, place):
        needs = _asked("needs", part.offer, ask, part.settings)
        if isinstance(needs, list | tuple) and all(isinstance(need, Need) for need in needs):
            return needs
        raise _no_answer("needs", part.offer, needs, "a list of ftrun.contracts.Need, empty where it needs nothing")


def yields_of(part: Part, place: str, task: Task) -> Mapping[str, Direction]:
    """The numbers of a metric and their better directions.

    Raises:
        ExperimentError: If the metric does not suit the task, or its answer is none.
    """
    with placed_errors(part, place):
        yields = _asked("yields", part.offer, part.component(Metric).yields, part.settings, task)
        if not isinstance(yields, Mapping):
            raise _no_answer("yields", part.offer, yields, 'a table of names and directions, such as {"f1": "max"}')
        for name, direction in yields.items():
            if not isinstance(name, str):
                raise _no_answer("yields", part.offer, name, "text for the name of a number")
            if direction not in ("max", "min"):
                raise _no_answer("yields", part.offer, direction, f'"max" or "min" as the better direction of {name}')
        if "loss" in yields:
            message = f"{part.offer.who} yields a number named loss, which is the model's own"
            raise ExperimentError(Problem(message, hint="It must have another name."))
        return yields


def notices_of(part: Part, place: str, task: Task) -> Sequence[str]:
    """What a person should know of a metric's numbers.

    Raises:
        ExperimentError: If the metric's answer is none.
    """
    ask = part.component(Metric).notices
    if ask is None:
        return ()
    with placed_errors(part, place):
        told = _asked("notices", part.offer, ask, part.settings, task)
        if isinstance(told, list | tuple) and all(isinstance(sentence, str) for sentence in told):
            return told
        raise _no_answer("notices", part.offer, told, "a list of sentences, empty where there is nothing to know")


@contextlib.contextmanager
def placed_errors(part: Part, place: str) -> Iterator[None]:
    """Give the problems that a component raises their places in the file."""
    try:
        yield
    except (ExperimentError, RunError) as error:
        is_wrong = isinstance(error, ExperimentError)  # what only went wrong has a place if the component says one
        placed = [part.placed(told, place) if told.place or is_wrong else told for told in error.problems]
        if placed == list(error.problems):
            raise
        raise (ExperimentError if is_wrong else RunError)(*placed) from error


def _told(what: str, offer: Offer, check: Callable[..., Any], *arguments: Any) -> Sequence[Problem]:
    try:
        told = _asked(what, offer, check, *arguments)
        if isinstance(told, list | tuple) and all(isinstance(problem, Problem) for problem in told):
            return told
        raise _no_answer(what, offer, told, "a list of ftrun.errors.Problem, empty where nothing is wrong")
    except FtrunError as error:
        return error.problems


def _asked(what: str, offer: Offer, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a component's function returns.

    Raises:
        FtrunError: As the function raises it; an ExperimentError that says who is at fault for whatever else it raises.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output is for what the command was asked for
            return function(*arguments)
    except (FtrunError, KeyboardInterrupt):
        raise
    except BaseException as fault:
        log.debug("%s of %s failed", what, offer.who, exc_info=True)
        message = f"{what} of {offer.who} raised {said(fault)} ({_where(fault, offer)})"
        bring = what_would_bring(fault, offer.distribution)
        hint = f"To have it: {bring}." if bring else _hint(offer)
        raise ExperimentError(Problem(message, hint=hint)) from fault


def _where(fault: BaseException, offer: Offer) -> str:
    """The line of the plugin's own that a fault came through last, or else the line that raised it."""
    package = getattr(getattr(offer.component, "build", None), "__module__", "").partition(".")[0]
    return line_of(fault, package)


def _no_answer(what: str, offer: Offer, given: Any, expected: str) -> ExperimentError:
    return ExperimentError(
        Problem(f"{what} of {offer.who} gave {shown(given)}, and must give {expected}", hint=_hint(offer))
    )


def _hint(offer: Offer) -> str:
    return f"This is a fault of {offer.distribution}: tell those who make it."
