"""A run goes where it is already; else where its file says; else where the environment says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.runs.folder import RunFolder
from ftrun.tracking.state import State, write_state
from ftrun.tracking.target import MissingCredentialsError, missing_credentials, target_uri

KEPT, WHOLE, OTHER = "http://***@host/", "http://me:secret@host/", "sqlite:////other.db"


@pytest.mark.parametrize(
    ("state", "uri", "around", "target"),
    [
        (State(), None, "", None),
        (State(), None, OTHER, OTHER),
        (State(), WHOLE, OTHER, WHOLE),
        (State(), KEPT, WHOLE, WHOLE),
        (State(uri="sqlite:////a.db"), None, OTHER, OTHER),
        (State(uri="sqlite:////a.db", run_id="1"), None, OTHER, "sqlite:////a.db"),
        (State(uri=KEPT, run_id="1"), OTHER, WHOLE, WHOLE),
    ],
)
def test_a_run_goes_to(state: State, uri: str | None, around: str, target: str | None) -> None:
    assert target_uri(state, uri, around) == target


def test_credentials_that_nobody_has_are_asked_for(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingCredentialsError, match="is not on record"):
        target_uri(State(uri=KEPT, run_id="1"), None, OTHER)
    folder = RunFolder.create(workdir / "runs", "x")
    assert missing_credentials(folder, None) is None
    write_state(folder, State(uri=WHOLE, run_id="1"))
    told = missing_credentials(folder, None)
    assert told and "MLFLOW_TRACKING_URI to the whole URI, or to http://host/ with MLFLOW_TRACKING_USERNAME" in told
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    assert missing_credentials(folder, None) is None
