"""The hooks of a plugin.

A plugin is an installed package with an entry point in the group `ftrun` that names a module. The module implements
one or more of these hooks, each marked with `@ftrun.hookimpl`. Keep the module light: import torch, transformers and
their like inside the functions of a component, not at the top.

    from ftrun import hookimpl
    from ftrun.contracts import Metric

    @hookimpl
    def ftrun_metrics():
        return [Metric(name="kappa", summary="Cohen's kappa", yields=kappa_yields, build=build_kappa)]

A hook that offers components is called once in a process, and returns a list. A hook that observes may leave out
arguments that it has no use for; the run waits for it, and one that raises is told and logged, and harms nothing. It
is called in the process that trains: of a run that is killed outright it hears no end.

A run that is resumed begins and ends once more, under the same name and in the same folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ftrun.contracts import Backend, Collator, Dataset, EvaluationReport, Metric, Model

__all__ = [
    "ENTRY_POINT_GROUP",
    "ftrun_backends",
    "ftrun_collators",
    "ftrun_datasets",
    "ftrun_evaluated",
    "ftrun_metrics",
    "ftrun_models",
    "ftrun_run_finished",
    "ftrun_run_started",
    "hookimpl",
]

ENTRY_POINT_GROUP = "ftrun"
hookspec = pluggy.HookspecMarker("ftrun")
hookimpl = pluggy.HookimplMarker("ftrun")
"""Marks a plugin's implementation of a hook."""


@hookspec
def ftrun_datasets() -> Sequence[Dataset]:
    """Return the data sets that this plugin offers."""
    raise NotImplementedError


@hookspec
def ftrun_models() -> Sequence[Model]:
    """Return the models that this plugin offers."""
    raise NotImplementedError


@hookspec
def ftrun_collators() -> Sequence[Collator]:
    """Return the collators that this plugin offers."""
    raise NotImplementedError


@hookspec
def ftrun_metrics() -> Sequence[Metric]:
    """Return the metrics that this plugin offers."""
    raise NotImplementedError


@hookspec
def ftrun_backends() -> Sequence[Backend]:
    """Return the backends that this plugin offers."""
    raise NotImplementedError


@hookspec
def ftrun_run_started(run: str, run_folder: Path, experiment: Mapping[str, object]) -> None:
    """Look on as a run begins to train: data and model are there, and nothing is trained yet.

    Called again each time that the run is resumed; not for a run that fails before that.

    Args:
        run: The run's name.
        run_folder: Where everything of the run is kept.
        experiment: The resolved experiment, every default filled in.
    """


@hookspec
def ftrun_evaluated(run: str, run_folder: Path, report: EvaluationReport) -> None:
    """Look on as an evaluation is finished, before the next step is taken.

    A resumed run goes on from its newest whole checkpoint. The evaluations that it had reached after that, and the one
    at its end, are done and told again, of the same step and, on a CPU, with the same numbers; earlier ones are not.

    Args:
        run: The run's name.
        run_folder: Where everything of the run is kept.
        report: Its step, epoch and metrics.
    """


@hookspec
def ftrun_run_finished(run: str, run_folder: Path, status: str, metrics: Mapping[str, float]) -> None:
    """Look on as a run ends, when its end is written down; MLflow may still be hearing of it.

    Called each time that the run stops, also where it failed before `ftrun_run_started`; and once more for each time
    that it is resumed.

    Args:
        run: The run's name.
        run_folder: Where everything of the run is kept.
        status: "FINISHED", "FAILED" or "KILLED", as in MLflow.
        metrics: As in an `EvaluationReport`: those of the trained model, or where it was stopped of the last evaluation
            before that; empty if there are none.
    """
