"""What a run says of itself, in words: its heading, its numbers, its end, and what to do next."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.text import Text

from ftrun.contracts import Splits
from ftrun.planning.experiment import NO_FILE, absolute_store
from ftrun.planning.parts import Part
from ftrun.planning.plan import Plan
from ftrun.redaction import address, redacted_uri
from ftrun.runs.folder import RunFolder
from ftrun.runs.results import RunResult
from ftrun.tracking.state import Delivery, read_state
from ftrun.tracking.target import DEFAULT_STORE

SMALL = 0.001
"""What is smaller is shown by its figures."""


def delivering_line(delivery: Delivery) -> str:
    """What MLflow has not got yet."""
    doing = f", now {delivery.doing}" if delivery.doing else ""
    trouble = f" ({delivery.error})" if delivery.error else ""
    return f"delivering to MLflow: {delivery.pending:,} records left{doing}{trouble[:160]}"


def heading(plan: Plan, run_folder: Path) -> Text:
    """What runs, and where it is kept."""
    profile = f", profile {plan.profile}" if plan.profile else ""
    text = Text()
    text.append(f"{plan.name}", style="bold")
    source = "a dict" if plan.path == NO_FILE else plan.path
    text.append(f" on {plan.backend.use} ({source}{profile})\n")
    text.append(f"  data set  {_told(plan.dataset)}\n")
    text.append(f"  model     {_told(plan.model)}\n")
    text.append(f"  run       {_short(run_folder)}")
    return text


def _told(part: Part) -> str:
    """A part by its name and what was set of it."""
    chosen = part.settings.model_dump(exclude_defaults=True)
    rest = ", ".join(f"{key} {value}" for key, value in chosen.items() if not isinstance(value, dict))
    return f"{part.use}" + (f": {rest}" if rest else "")


def _short(path: Path) -> str:
    """A path as a person in this folder would write it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _quoted(path: Path) -> str:
    """The same, as a part of a command."""
    return shlex.quote(_short(path))


def data_line(splits: Splits) -> str:
    """The opened data set with its rows."""
    rows = [f"train {len(splits.train):,}", *(f"{name} {len(rows):,}" for name, rows in splits.evaluation.items())]
    rows += [f"{name} {len(rows):,}" for name, rows in splits.test.items()]
    return f"{splits.name}: {', '.join(rows)} rows, revision {splits.digest[:12]}"


def figure(value: float) -> str:
    """A number of an evaluation, with four decimals, or four figures where these would leave nothing of it.

    >>> figure(0.83333), figure(0.0000312), figure(0.0)
    ('0.8333', '3.12e-05', '0.0000')
    """
    return f"{value:.4g}" if 0 < abs(value) < SMALL else f"{value:.4f}"


def metrics_line(metrics: Mapping[str, float]) -> str:
    """The numbers of an evaluation."""
    return ", ".join(f"{key.removeprefix('eval/')} {figure(value)}" for key, value in metrics.items())


def summary(result: RunResult, pending: int) -> list[Text]:
    """How a run ended, and what to do next."""
    style = {"FINISHED": "green", "FAILED": "red", "KILLED": "yellow"}[result.status]
    lines = [Text.assemble((f"{result.status.lower():<10}", f"bold {style}"), (result.error or "").split("\n")[0])]
    speed = f", {result.examples_per_second:.1f} examples/s in training" if result.examples_per_second else ""
    facts = {
        "metrics": metrics_line(result.metrics),
        "time": f"{result.seconds:.1f} s, {result.steps:,} steps{speed}",
        "run": _short(result.run_folder),
        "MLflow": f"{result.run_id} at {result.tracking_uri}" if result.run_id else "",
        "pending": f"{pending} records are not in MLflow yet: ftrun sync {_quoted(result.run_folder)}"
        if pending
        else "",
    }
    lines += [Text(f"{label:<10}{fact}") for label, fact in facts.items() if fact]
    return [*lines, Text.assemble(f"{'next':<10}", (_next_command(result, pending), "bold"))]


def _next_command(result: RunResult, pending: int) -> str:
    if result.status == "KILLED":
        return f"{_command('ftrun')} resume {_quoted(result.run_folder)}"
    if result.status == "FAILED":
        return f"less {_quoted(result.run_folder / 'log.txt')}"
    is_tracked = result.tracking_uri is not None or pending > 0
    return open_mlflow(result) if is_tracked else f"{_command('ftrun')} runs"


def open_mlflow(result: RunResult) -> str:
    """The command that shows a run in MLflow's pages."""
    uri = result.tracking_uri or absolute_store(DEFAULT_STORE)
    command = f"{_command('mlflow')} ui"
    if uri.startswith("http"):
        return f"open {shlex.quote(_training_page(uri.partition('?')[0], result.run_folder))}"
    if uri == absolute_store(DEFAULT_STORE):
        return command
    around = os.environ.get("MLFLOW_TRACKING_URI", "")
    if redacted_uri(around) != around and address(redacted_uri(around)) == uri:
        return f'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" {command}'
    return f"{command} --backend-store-uri {shlex.quote(uri)}"


def _training_page(server: str, run_folder: Path) -> str:
    """The page of a run's experiment with its runs; a browser that is new there is shown work on prompts otherwise."""
    experiment_id = read_state(RunFolder(run_folder)).experiment_id
    page = f"/#/experiments/{experiment_id}/runs" if experiment_id else "/#/experiments"
    return f"{server.rstrip('/')}{page}?workflowType=machine_learning"


def _command(name: str) -> str:
    """How to call a command of this Python's environment from here."""
    beside = Path(sys.executable).with_name(name)  # a virtual environment that is not activated
    return name if shutil.which(name) or not beside.exists() else _quoted(beside)
