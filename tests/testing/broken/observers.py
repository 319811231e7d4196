"""Observers, each broken in one point of its suite."""

from __future__ import annotations

import sys
from typing import Any

from ftrun import hookimpl
from ftrun.testing import ObserverSuite


class Observer:
    """Holds hooks."""


def observer(**hooks: Any) -> Any:
    """An object with these hooks beside those of a sound one."""

    def ftrun_run_started(run: str) -> None:
        pass

    def ftrun_evaluated(run: str, report: Any) -> None:
        float(report.metrics["eval/loss"])

    def ftrun_run_finished(run: str, status: str, metrics: Any) -> None:
        {"FINISHED": 0, "FAILED": 1, "KILLED": 2}[status]

    its = {function.__name__: function for function in (ftrun_run_started, ftrun_evaluated, ftrun_run_finished)}
    found = Observer()
    vars(found).update({name: hookimpl(function) for name, function in {**its, **hooks}.items()})
    return found


class SoundObserver(ObserverSuite):
    plugin = observer()


class SoundExpectations(ObserverSuite):
    plugin = observer()

    def expects_of(self, run: Any, calls: Any) -> None:
        assert [call.facts["run"] for call in calls] == [run.result.run] * 4


def taking_too_much(run: str, model: Any) -> None:
    pass


class BrokenArguments(ObserverSuite):
    plugin = observer(ftrun_evaluated=taking_too_much)
    fails = [
        *(
            "test_its_hooks_are_as_the_contract_says",
            "test_it_looks_on_at_a_run",
            "test_it_looks_on_at_a_run_that_fails",
        ),
        *("test_it_looks_on_at_a_run_that_is_gone_on_with", "test_the_run_is_none_other_for_it"),
    ]
    says = "ftrun_evaluated takes model, and a hook of that name is given run, run_folder, report"


def never_run(run: str, report: Any) -> Any:
    yield report


class BrokenGenerator(ObserverSuite):
    plugin = observer(ftrun_evaluated=never_run)
    fails = BrokenArguments.fails
    says = "ftrun_evaluated has a `yield`, so a call of it runs none of its lines"


class BrokenLightness(ObserverSuite):
    plugin = "ftrun_plugins.metrics.scores"
    fails = [
        *("test_its_hooks_are_as_the_contract_says", "test_importing_it_is_light", "test_it_looks_on_at_a_run"),
        *("test_it_looks_on_at_a_run_that_is_gone_on_with", "test_it_looks_on_at_a_run_that_fails"),
        "test_the_run_is_none_other_for_it",
    ]
    says = ["importing ftrun_plugins.metrics.scores imports datasets", "it implements no hook of ftrun"]


def reading_what_is_not_there(report: Any) -> None:
    report.metrics["eval/f2"]


class BrokenEvaluated(ObserverSuite):
    plugin = observer(ftrun_evaluated=reading_what_is_not_there)
    fails = ["test_it_looks_on_at_a_run", "test_it_looks_on_at_a_run_that_is_gone_on_with"]
    says = ["ftrun_evaluated of", "raised KeyError: 'eval/f2'", "reading_what_is_not_there"]


names: list[str] = []


def meeting_it_once(run_folder: Any) -> None:
    assert "died" not in run_folder.name, "the run is known already"


class BrokenResume(ObserverSuite):
    plugin = observer(ftrun_run_started=meeting_it_once)
    fails = "test_it_looks_on_at_a_run_that_is_gone_on_with"
    says = "in a run that is gone on with, raised AssertionError: the run is known already"


def expecting_numbers(metrics: Any) -> None:
    metrics["eval/loss"]


class BrokenFailure(ObserverSuite):
    plugin = observer(ftrun_run_finished=expecting_numbers)
    fails = "test_it_looks_on_at_a_run_that_fails"
    says = "in a run that fails, raised KeyError: 'eval/loss'"


def seeding() -> None:
    import torch

    torch.manual_seed(0)


class BrokenChance(ObserverSuite):
    plugin = observer(ftrun_evaluated=seeding)
    fails = "test_the_run_is_none_other_for_it"
    says = "ftrun_evaluated of the plugin Observer changes the global generator of torch"


def leaving() -> None:
    sys.exit(3)


class BrokenExit(ObserverSuite):
    plugin = observer(ftrun_run_started=leaving)
    fails = [
        *("test_it_looks_on_at_a_run", "test_it_looks_on_at_a_run_that_is_gone_on_with"),
        "test_it_looks_on_at_a_run_that_fails",
    ]
    says = "SystemExit"


class BrokenExpectation(ObserverSuite):
    plugin = observer()
    fails = "test_it_looks_on_at_a_run"
    says = "nothing was written"

    def expects_of(self, run: Any, calls: Any) -> None:
        raise AssertionError("nothing was written")
