"""The hooks of a plugin.

A plugin is an installed package with an entry point in the group `ftrun` that names a module. The module implements
one or more of these hooks, each marked with `@ftrun.hookimpl`. Keep the module light: import torch, transformers and
their like inside the functions of a component, not at the top.

    from ftrun import hookimpl
    from ftrun.contracts import Metric

    @hookimpl
    def ftrun_metrics():
        return [Metric(name="kappa", summary="Cohen's kappa", yields=kappa_yields, build=build_kappa)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pluggy

if TYPE_CHECKING:
    from ftrun.contracts import Backend, Collator, Dataset, EvaluationReport, Metric, Model

F = TypeVar("F")

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
    """Look on as a run begins to train.

    Args:
        run: The run's name.
        run_folder: Where everything of the run is kept.
        experiment: The resolved experiment, every default filled in.
    """


@hookspec
def ftrun_evaluated(run: str, report: EvaluationReport) -> None:
    """Look on as an evaluation is finished.

    Args:
        run: The run's name.
        report: Its step, epoch and metrics.
    """


@hookspec
def ftrun_run_finished(run: str, run_folder: Path, status: str, metrics: Mapping[str, float]) -> None:
    """Look on as a run ends.

    Args:
        run: The run's name.
        run_folder: Where everything of the run is kept.
        status: "FINISHED", "FAILED" or "KILLED", as in MLflow.
        metrics: Of the last evaluation.
    """
