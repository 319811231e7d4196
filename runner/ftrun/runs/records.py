"""The records of a run's journal."""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

RUN_TAG = "ftrun.run"
"""MLflow's tag that holds the run's name."""
ERROR_TAG = "ftrun.error"
"""MLflow's tag that says why a run did not finish."""
