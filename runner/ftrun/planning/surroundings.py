"""What the environment says of tracking, where an experiment's file says nothing: MLflow's variables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ftrun.errors import Problem
from ftrun.planning.experiment import LONGEST_NAME, TrackingSettings, check_tags
from ftrun.settings import shown

NAME_VARIABLE, TAGS_VARIABLE = "MLFLOW_EXPERIMENT_NAME", "MLFLOW_TAGS"


def with_surroundings(tracking: TrackingSettings, environ: Mapping[str, str]) -> tuple[TrackingSettings, list[Problem]]:
    """The settings with what the environment adds: the experiment's name if there is none, and more tags.

    Returns:
        They, and what is wrong with the variables.
    """
    around, problems = _tags(environ.get(TAGS_VARIABLE) or "{}")
    name = tracking.experiment_name or environ.get(NAME_VARIABLE) or None
    if name and len(name) > LONGEST_NAME:
        message = f"must have at most {LONGEST_NAME} characters, and has {len(name):,}"
        problems = [*problems, Problem(message, NAME_VARIABLE, None, "the environment")]
    tags = {**around, **(tracking.tags or {})} or None
    return tracking.model_copy(update={"experiment_name": name, "tags": tags}), problems


def _tags(text: str) -> tuple[Mapping[str, str], list[Problem]]:
    try:
        return check_tags(_as_texts(json.loads(text))), []
    except ValueError as error:
        reason = "must be a JSON object" if isinstance(error, json.JSONDecodeError) else str(error)
        hint = f'Such as {TAGS_VARIABLE}=\'{{"team": "nlp"}}\'.'
        return {}, [Problem(f"{reason}, not {shown(text)}", TAGS_VARIABLE, hint, "the environment")]


def _as_texts(found: Any) -> dict[str, str]:
    if not isinstance(found, dict):
        raise ValueError("must be a JSON object")
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in found.items()}
