"""What a run says of itself: its heading, its end, and commands that can be pasted as they stand."""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Splits, Task
from ftrun.runs.folder import RunFolder
from ftrun.runs.results import RunResult
from ftrun.screen import wording
from ftrun.screen.wording import data_line, delivering_line, figure, heading, metrics_line, open_mlflow, summary
from ftrun.tracking.feeder import Delivery
from ftrun.tracking.state import State, write_state
from helpers import TINY, plan_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(autouse=True)
def commands_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the environment is activated."""
    monkeypatch.setattr(wording.shutil, "which", lambda name: f"/bin/{name}")


def result(folder: Path, status: Any = "FINISHED", **facts: Any) -> RunResult:
    return RunResult("tiny", "loop", folder.name, folder, status, **facts)


def lines(ended: RunResult, pending: int = 0) -> dict[str, str]:
    """The lines of a summary by their labels."""
    return {str(line)[:10].strip(): str(line)[10:] for line in summary(ended, pending)}


def test_the_heading_says_what_runs_and_where_it_is_kept(tiny: Path) -> None:
    told = str(heading(plan_of("tiny.toml"), tiny.parent / "runs" / "tiny-1")).splitlines()
    assert told[0] == "tiny on loop (tiny.toml)"
    assert told[1] == "  data set  sample: max_train_samples 44, max_eval_samples 20"
    assert told[2].startswith("  model     sequence-classification-from-config: model_type bert")
    assert told[3] == "  run       runs/tiny-1"


def test_the_heading_names_the_profile(tiny: Path) -> None:
    tiny.write_text(f"{TINY}\n[profile.smoke]\ntraining = {{ max_steps = 1 }}\n")
    assert "(tiny.toml, profile smoke)" in str(heading(plan_of("tiny.toml", profile="smoke"), tiny.parent))


def test_a_folder_elsewhere_is_named_in_full(tiny: Path) -> None:
    assert "  run       /elsewhere/runs/tiny-1" in str(heading(plan_of(tiny), Path("/elsewhere/runs/tiny-1")))


def test_the_data_set_is_told_with_the_rows_of_every_split() -> None:
    rows: Any = [0] * 1234
    told = Splits(
        Task("regression", ("text",)), rows, {"a": rows[:2], "b": []}, "mine", "here", "0123456789abcdef", {"t": rows}
    )  # type: ignore[dict-item]
    assert data_line(told) == "mine: train 1,234, a 2, b 0, t 1,234 rows, revision 0123456789ab"


def test_numbers_are_told_without_mlflows_prefix_whatever_they_are() -> None:
    told = metrics_line({"eval/f1": 0.5, "eval/mine/loss": float("nan"), "eval/mse": 1e300, "eval/r2": float("-inf")})
    assert told.startswith("f1 0.5000, mine/loss nan, mse 1000") and told.endswith("r2 -inf")
    assert metrics_line({}) == ""


def test_a_finished_run_leads_to_its_curves(workdir: Path) -> None:
    told = lines(
        result(
            workdir / "runs" / "tiny-1",
            metrics={"eval/f1": 0.5},
            seconds=3.21,
            steps=1234,
            examples_per_second=20.04,
            tracking_uri=f"sqlite:///{workdir}/mlflow.db",
        )
    )
    assert told == {
        "finished": "",
        "metrics": "f1 0.5000",
        "time": "3.2 s, 1,234 steps, 20.0 examples/s in training",
        "run": "runs/tiny-1",
        "next": "mlflow ui",
    }


def test_a_finished_run_that_mlflow_is_not_told_of_leads_to_no_page_of_mlflows(workdir: Path) -> None:
    assert lines(result(workdir / "runs" / "tiny-1"))["next"] == "ftrun runs"
    assert lines(result(workdir / "runs" / "tiny-1"), pending=3)["next"] == "mlflow ui"


def test_a_failed_run_leads_to_its_log_and_says_why_in_a_line(workdir: Path) -> None:
    told = lines(result(workdir / "runs" / "tiny-1", "FAILED", error="no GPU is there\n  Write device = cpu."))
    assert told["failed"] == "no GPU is there" and told["next"] == "less runs/tiny-1/log.txt"


@pytest.mark.parametrize("error", [None, "", "\n"])
def test_a_run_that_failed_without_a_word_is_failed_all_the_same(workdir: Path, error: str | None) -> None:
    assert lines(result(workdir / "runs" / "tiny-1", "FAILED", error=error))["failed"] == ""


def test_a_killed_run_leads_to_where_it_goes_on(workdir: Path) -> None:
    assert lines(result(workdir / "runs" / "tiny-1", "KILLED"))["next"] == "ftrun resume runs/tiny-1"


def test_what_mlflow_has_not_got_is_counted_with_the_command_that_delivers_it(workdir: Path) -> None:
    told = lines(result(workdir / "runs" / "tiny-1", run_id="abc", tracking_uri="https://mlflow.example/"), 3)
    assert told["pending"] == "3 records are not in MLflow yet: ftrun sync runs/tiny-1"
    assert told["MLflow"] == "abc at https://mlflow.example/"
    assert told["next"] == "open 'https://mlflow.example/#/experiments?workflowType=machine_learning'"


@pytest.mark.parametrize("status", ["FAILED", "KILLED"])
@given(folder=st.text("ab .'\"$&*()[]~负", min_size=1).filter(lambda name: name.strip(".")))
def test_a_command_can_be_pasted_whatever_the_folder_is_called(status: Any, folder: str) -> None:
    path = Path("/data") / folder
    *_, last = shlex.split(lines(result(path, status))["next"])
    assert last == str(path / "log.txt" if status == "FAILED" else path)
    *_, last = shlex.split(lines(result(path, status), 1)["pending"])
    assert last == str(path)


def test_an_environment_that_is_not_activated_is_called_by_its_path(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = workdir / "my env" / "bin"
    scripts.mkdir(parents=True)
    for name in ("python", "ftrun", "mlflow"):
        (scripts / name).touch()
    monkeypatch.setattr(wording.shutil, "which", lambda name: None)
    monkeypatch.setattr(wording.sys, "executable", str(scripts / "python"))
    assert lines(result(workdir / "runs" / "tiny-1", "KILLED"))["next"] == "'my env/bin/ftrun' resume runs/tiny-1"
    assert open_mlflow(result(workdir)) == "'my env/bin/mlflow' ui"


def test_the_default_store_is_what_a_plain_mlflow_ui_opens(workdir: Path) -> None:
    assert open_mlflow(result(workdir, tracking_uri=f"sqlite:///{workdir}/mlflow.db")) == "mlflow ui"


@pytest.mark.parametrize(
    "uri", ["sqlite:////data/other.db", "sqlite:////my data/it's.db", "postgresql://db.example/mlflow?sslmode=***"]
)
def test_another_store_is_named(workdir: Path, uri: str) -> None:
    words = shlex.split(open_mlflow(result(workdir, tracking_uri=uri)))
    assert words == ["mlflow", "ui", "--backend-store-uri", uri]


def test_a_server_is_opened_where_it_shows_the_experiments_runs(workdir: Path) -> None:
    for uri in ("http://127.0.0.1:5000", "https://mlflow.example/api/?token=***"):
        pages = {"": None, "/7/runs": "7"}
        for page, experiment_id in pages.items():
            write_state(RunFolder(workdir), State(uri, experiment_id=experiment_id))
            command, opened = shlex.split(open_mlflow(result(workdir, tracking_uri=uri)))
            server = uri.partition("?")[0].rstrip("/")
            assert command == "open" and opened == f"{server}/#/experiments{page}?workflowType=machine_learning"


def test_a_store_with_credentials_is_opened_from_the_environment_that_has_them(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://me:hunter22@db.example/mlflow")
    told = open_mlflow(result(workdir, tracking_uri="postgresql://db.example/mlflow"))
    assert told == 'MLFLOW_BACKEND_STORE_URI="$MLFLOW_TRACKING_URI" mlflow ui' and "hunter22" not in told


def test_what_is_left_to_deliver_is_told_with_what_keeps_it() -> None:
    assert delivering_line(Delivery(pending=1234)) == "delivering to MLflow: 1,234 records left"
    told = delivering_line(Delivery(pending=1, doing="model", error="x" * 1000))
    assert told.startswith("delivering to MLflow: 1 records left, now model (xxx") and len(told) < 250


def test_a_small_number_is_not_shown_as_nothing() -> None:
    shown = {0.83333: "0.8333", 3.12e-5: "3.12e-05", -0.00002: "-2e-05", 0.0: "0.0000", 1e30: f"{1e30:.4f}"}
    assert {value: figure(value) for value in shown} == shown
    assert metrics_line({"eval/mse": 3e-5, "eval/loss": math.nan}) == "mse 3e-05, loss nan"
