"""An observer of ftrun: tells a webhook, as chats have them, how a run goes.

It asks for nothing in the experiment's file. Where the environment names no address, it says nothing to anybody.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping
from urllib.parse import urlsplit

from ftrun import hookimpl
from ftrun.contracts import EvaluationReport

ftrun_contract = "1.1"

ADDRESS = "FTRUN_NOTIFY_URL"
SECONDS = 5.0
"""How long the address may take to answer: the run waits for it."""


@hookimpl
def ftrun_run_started(run: str) -> None:
    """Tell that a run begins."""
    tell(f"{run} begins")


@hookimpl
def ftrun_evaluated(run: str, report: EvaluationReport) -> None:
    """Tell the numbers of an evaluation."""
    tell(f"{run} at step {report.step}: {_numbers(report.metrics)}")


@hookimpl
def ftrun_run_finished(run: str, status: str, metrics: Mapping[str, float]) -> None:
    """Tell how a run ended."""
    tell(f"{run} is {status.lower()}: {_numbers(metrics)}")


def tell(text: str) -> None:
    """Post a sentence. What goes wrong is raised: ftrun logs it, and the run goes on."""
    address = os.environ.get(ADDRESS)
    if not address:
        return
    if urlsplit(address).scheme not in ("http", "https"):
        raise ValueError(f"{ADDRESS} must begin with http:// or https://")
    request = urllib.request.Request(
        address, json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=SECONDS):
        pass


def _numbers(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no numbers"
