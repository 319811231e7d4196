"""Where a run goes: which of MLflow's stores, and the credentials for it, which no record holds."""

from __future__ import annotations

import os

from ftrun.errors import RunError
from ftrun.planning.experiment import absolute_store
from ftrun.redaction import HIDDEN, address, is_redacted, redacted_uri
from ftrun.runs.folder import RunFolder
from ftrun.tracking.state import State, read_state

DEFAULT_STORE = "sqlite:///mlflow.db"
"""MLflow's own, in the working folder."""


class MissingCredentialsError(RunError):
    """The credentials of a tracking URI are not on record, and not in the environment."""


def target_uri(state: State, uri: str | None, around: str) -> str | None:
    """The whole URI that a run goes to: where it is already; else where its file says; else where the environment says.

    Args:
        state: What is remembered of it.
        uri: Where its file says it is to go.
        around: Where the environment says.

    Returns:
        The URI; None for MLflow's own default.

    Raises:
        MissingCredentialsError: If its credentials are not on record, and the environment does not have them.
    """
    known = state.uri
    if known is None:
        wanted = uri or around
    else:
        may_move = state.run_id is None
        wanted = around if around and (may_move or _is_same_store(around, known)) else known
    return _completed(wanted, around) if wanted else None


def missing_credentials(folder: RunFolder, uri: str | None) -> str | None:
    """What to do about credentials that a run needs to be delivered, as far as that is known without asking MLflow.

    Args:
        folder: The run's.
        uri: Where its file says it is to go.
    """
    try:
        target_uri(read_state(folder), uri, with_credentials(uri) if uri else uri_around())
    except MissingCredentialsError as error:
        return str(error)
    return None


def uri_around() -> str:
    """Where the environment says that runs are to go; empty if it says nothing."""
    return absolute_store(os.environ.get("MLFLOW_TRACKING_URI", ""))


def with_credentials(uri: str) -> str:
    """The URI of a file; with the environment's credentials, if it is the environment's but for them."""
    try:
        return _completed(uri, uri_around())
    except MissingCredentialsError:
        return uri


def _is_same_store(uri: str, other: str) -> bool:
    """Whether two URIs differ in their credentials alone."""
    return address(redacted_uri(uri)) == address(redacted_uri(other))


def _completed(uri: str, around: str) -> str:
    """A URI, perhaps from a record, with the environment's credentials."""
    if around and not is_redacted(around) and address(redacted_uri(around)) == address(uri):
        return around
    if not is_redacted(uri):
        return uri
    ways = "MLFLOW_TRACKING_URI to the whole URI"
    if uri.startswith("http") and not is_redacted(plain := address(uri)):
        if os.environ.get("MLFLOW_TRACKING_TOKEN") or os.environ.get("MLFLOW_TRACKING_USERNAME"):
            return plain
        ways += f", or to {plain} with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD beside it"
    message = f"what {HIDDEN} stands for in {uri} is not on record; to have the run delivered, set {ways}"
    raise MissingCredentialsError(message)
