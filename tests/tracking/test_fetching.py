"""What MLflow calls a run or a model is told from what is called so here; what was fetched is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from ftrun.errors import ExperimentError, RunError
from ftrun.runs.folder import RunFolder
from ftrun.tracking import fetching
from ftrun.tracking.fetching import fetch, fetched_folder, fetched_runs, forget, is_fetched, is_of_mlflow, run_id_in

ID = "0123456789abcdef" * 2


@pytest.mark.parametrize("name", [ID, f"runs:/{ID}/model", "models:/mine/3", "models:/mine@best", "models:/m-1a2b"])
def test_mlflows_names_are_known(name: str) -> None:
    assert is_of_mlflow(name)


@pytest.mark.parametrize("name", ["mrpc-20260101T000000Z-0a1b2c", "model", "./runs", ID.upper(), "trainer s42 a1e151"])
def test_others_are_none(name: str) -> None:
    assert not is_of_mlflow(name) and run_id_in(name) is None


def test_a_runs_own_model_is_its_runs() -> None:
    assert run_id_in(ID) == run_id_in(f"runs:/{ID}/model") == run_id_in(f"runs:/{ID}") == ID
    assert run_id_in(f"runs:/{ID}/checkpoint-3") is None and run_id_in("models:/mine/3") is None


def test_what_was_fetched_is_told_from_a_runs_own_folder_and_can_be_removed(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(workdir / "hf"))
    kept = RunFolder(fetched_folder() / "m-1" / "tiny-1")
    kept.path.mkdir(parents=True)
    assert is_fetched(kept) and not is_fetched(RunFolder(workdir / "runs" / "tiny-1")) and fetched_runs() == [kept]
    forget(kept)
    assert fetched_runs() == []


PROGRAMS = {
    'import sys; print(\'{"run": "r", "problem": "no such run", "hint": "Look.", "wrong": true}\')': (
        ExperimentError,
        "no such run\n  Look.",
    ),
    'print(\'{"problem": "away"}\')': (RunError, "away"),
    "import sys; sys.exit('Killed')": (RunError, "could not be fetched .* has ended. Killed"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_the_process_says_is_told_and_where_it_ends_that(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """The process itself is test_fetcher.py's."""
    python = workdir / "python"
    python.write_text(f"#!{fetching.sys.executable}\n{program}\n")
    python.chmod(0o755)
    monkeypatch.setattr(fetching.sys, "executable", str(python))
    kind, told = PROGRAMS[program]
    with pytest.raises(kind, match=told):
        fetch(ID, lambda *_: None)
