"""Checkpoints are kept for MLflow as asked for, and every one of them stands in a table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import ftrun
import pytest
from ftrun.contracts import BestBy
from ftrun.errors import ExperimentError
from ftrun.execution.uploads import Choice, Policy
from ftrun.runs.folder import RunFolder
from helpers import BACKENDS, TRACKED, died_after, journal_of, mlflow_client, plan_of, run, slow

pytestmark = pytest.mark.xdist_group("tracking")

SAVING = {
    **TRACKED,
    "training.save_strategy": "steps",
    "training.save_steps": 4,
    "training.eval_strategy": "steps",
    "training.eval_steps": 4,
    "training.save_total_limit": 1,
}


def models_of(result: ftrun.RunResult) -> dict[str, Any]:
    client = mlflow_client(result)
    experiment = client.get_run(result.run_id).info.experiment_id
    found = [model for model in client.search_logged_models([experiment]) if model.source_run_id == result.run_id]
    assert {str(model.status) for model in found} == {"READY"}
    assert len({model.name for model in found}) == len(found)
    return {model.name: model for model in found}


def table_of(result: ftrun.RunResult) -> list[dict[str, Any]]:
    table = json.loads((result.run_folder / "checkpoints.json").read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]


def test_a_table_that_cannot_be_written_leaves_a_run_its_end(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ftrun.runs.checkpoint_table.write_whole", full_disk)
    result = run(tiny, {**SAVING, "tracking.enabled": False})
    assert result.status == "FINISHED" and journal_of(result.run_folder)[-1]["status"] == "FINISHED"


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_all_checkpoints_are_in_mlflow_whatever_the_run_folder_keeps(tiny: Path) -> None:
    result = run(tiny, {**SAVING, "tracking.checkpoints": "all"})
    assert set(models_of(result)) == {"checkpoint-4", "checkpoint-8", "model"}
    assert [path.name for path in (result.run_folder / "checkpoints").iterdir()] == ["checkpoint-12"]
    assert not (result.run_folder / "uploads").exists()
    rows = table_of(result)
    assert [(row["step"], row["folder"], row["model"]) for row in rows] == [
        (4, "checkpoints/checkpoint-4", "checkpoint-4"),
        (8, "checkpoints/checkpoint-8", "checkpoint-8"),
        (12, "checkpoints/checkpoint-12", "model"),
    ]
    assert all(0 <= row["eval/f1"] <= 1 for row in rows)
    client = mlflow_client(result)
    shown = json.loads(client.get_run(result.run_id).data.tags["mlflow.loggedArtifacts"])
    assert [entry["path"] for entry in shown] == ["checkpoints.json", "predictions/validation.json"]
    assert "checkpoints.json" in {file.path for file in client.list_artifacts(result.run_id)}
    order = [{"field_name": "metrics.eval/loss", "ascending": True}]
    ranked = client.search_logged_models([client.get_run(result.run_id).info.experiment_id], order_by=order)
    assert [int(model.tags["ftrun.step"]) for model in ranked] == [
        row["step"] for row in sorted(rows, key=lambda row: row["eval/loss"])
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_mlflow_ranks_the_checkpoints_of_all_runs_by_a_metric(tiny: Path) -> None:
    settings = {**SAVING, "tracking.checkpoints": "all", "training.learning_rate": 0.01}
    runs = [run(tiny, {**settings, "backend.use": name, "seed": seed}) for seed, name in enumerate(BACKENDS)]
    rows = [row for result in runs for row in table_of(result)]
    client = mlflow_client(runs[0])
    order = [{"field_name": "metrics.eval/f1", "ascending": False}]
    experiment = client.get_run(runs[0].run_id).info.experiment_id
    ranked = client.search_logged_models([experiment], order_by=order)
    scores = [next(metric.value for metric in model.metrics if metric.key == "eval/f1") for model in ranked]
    assert scores == sorted((row["eval/f1"] for row in rows), reverse=True) and len(set(scores)) > 1
    assert {model.source_run_id for model in ranked} == {result.run_id for result in runs}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        slow(({"tracking.model": False}, {"checkpoint-12"})),
        slow(({"tracking.checkpoints": "none"}, {"model"})),
        slow(({"tracking.checkpoints": "last"}, {"model"})),
    ],
)
def test_checkpoints_are_in_mlflow_as_asked_for(tiny: Path, settings: dict[str, Any], steps: set[str]) -> None:
    assert set(models_of(run(tiny, {**SAVING, **settings}))) == steps


@pytest.mark.slow
@pytest.mark.usefixtures("store")
def test_the_best_one_is_in_mlflow_where_something_is_the_best(tiny: Path) -> None:
    best = {"training.metric_for_best_model": "loss", "training.greater_is_better": True}
    result = run(tiny, {**SAVING, **best, "training.learning_rate": 0.01})
    losses = {row["step"]: row["eval/loss"] for row in table_of(result)}
    step = max(losses, key=lambda step: (losses[step], -step))
    assert set(models_of(result)) == {"model"} | (set() if step == 12 else {f"checkpoint-{step}"})


def test_checkpoints_wait_for_an_mlflow_that_is_away(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last one does not: its weights are the model's."""
    monkeypatch.setattr("ftrun.execution.story.DELIVERY_PATIENCE", 0.0)
    away = {"tracking.uri": "http://127.0.0.1:9", "tracking.checkpoints": "all", "training.save_total_limit": 2}
    result = run(tiny, {**SAVING, **away})
    kept = result.run_folder / "uploads" / "checkpoint-8"
    assert {path.name for path in kept.parent.iterdir()} == {"checkpoint-4", kept.name}
    assert {file.name for file in kept.iterdir()} == {file.name for file in (result.run_folder / "model").iterdir()}
    weights = result.run_folder / "checkpoints" / "checkpoint-8" / "model.safetensors"
    assert weights.samefile(kept / "model.safetensors")
    told = [record["name"] for record in journal_of(result.run_folder) if record["type"] == "model"]
    assert told == ["checkpoint-4", "checkpoint-8", "model", "checkpoint-12"]


def test_the_best_can_be_asked_for_only_where_something_is_the_best(tiny: Path) -> None:
    with pytest.raises(ExperimentError, match="nothing tells which checkpoint is the best"):
        plan_of(tiny, {"tracking.checkpoints": "best"})
    plan_of(tiny, {"tracking.checkpoints": "best", "training.metric_for_best_model": "f1"})


def test_a_run_without_mlflow_keeps_nothing_for_it(tiny: Path) -> None:
    result = run(tiny, {"training.save_strategy": "epoch"})
    assert not (result.run_folder / "uploads").exists()
    assert [(row["step"], row["model"]) for row in table_of(result)] == [(6, None), (12, "model")]


def evaluated(choice: Choice, **values: float) -> None:
    for step, value in values.items():
        choice.evaluated(int(step.removeprefix("at_")), {"eval/f1": value, "eval/loss": 1.0})


@pytest.mark.parametrize(
    ("greater_is_better", "taken"), [(True, [2, 4, 6, 10]), (False, [2, 4, 6])], ids=["greater", "smaller"]
)
def test_the_best_is_the_best_evaluated_of_the_checkpoints(greater_is_better: bool, taken: list[int]) -> None:
    """Not that of an evaluation between two checkpoints; as long as no checkpoint is evaluated, the newest."""
    choice = Choice("best", BestBy("eval/f1", greater_is_better))
    evaluated(choice, at_3=0.9 if greater_is_better else 0.1, at_6=0.5, at_10=0.6, at_12=0.6, at_14=float("nan"))
    evaluated(choice, at_8=float("inf") if greater_is_better else -float("inf"))
    assert [step for step in (2, 4, 6, 8, 10, 12, 14) if choice.takes(step)] == taken


@pytest.mark.parametrize(("policy", "taken"), [("all", True), ("last", True), ("none", False)])
def test_the_other_choices_take_any_or_none(policy: Policy, taken: bool) -> None:
    assert [Choice(policy, None).takes(step) for step in (2, 4)] == [taken, taken]


def test_a_run_that_goes_on_knows_which_of_its_checkpoints_is_the_best(tiny: Path) -> None:
    folder = RunFolder(tiny.parent)
    told: list[dict[str, Any]] = [
        {"type": "metrics", "step": 2, "values": {"eval/f1": 0.5}},
        {"type": "checkpoint", "step": 2, "folder": "checkpoint-2"},
        {"type": "metrics", "step": 3, "values": {"eval/f1": 0.9}},
        {"type": "metrics", "step": 4, "values": {"eval/f1": 0.4}},
        {"type": "checkpoint", "step": 4, "folder": "checkpoint-4"},
    ]
    folder.journal.write_text("".join(json.dumps({"time": 1, **record}) + "\n" for record in told))
    for best, takes in ((True, False), (False, True)):
        choice = Choice("best", BestBy("eval/f1", best))
        choice.recall(folder, 4)
        assert choice.takes(4) is takes


@pytest.mark.slow
@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(("step", "lost"), [(8, "checkpoint"), (12, "model")])
def test_a_checkpoint_that_nobody_came_to_tell_of_is_told_of_later(tiny: Path, step: int, lost: str) -> None:
    """The process died right after it had published it."""
    whole = run(tiny, {**SAVING, "training.save_total_limit": 3, "tracking.checkpoints": "all"})
    died = RunFolder(died_after(whole.run_folder, step, "died"))
    told = died.journal.read_text().replace(whole.run, "died").splitlines(keepends=True)
    if lost == "checkpoint":
        assert json.loads(told.pop())["type"] == "checkpoint"
    died.journal.write_text("".join(told))
    (died.uploads / "checkpoint-12").mkdir(parents=True)  # begun, and no more
    for earlier in (4, 8):
        if earlier < step:
            name = f"checkpoint-{earlier}"
            shutil.copytree(died.checkpoints / name, died.uploads / name)
    gone = ftrun.resume("died", progress=False)
    assert gone.status == "FINISHED", gone.error
    assert set(models_of(gone)) == {"checkpoint-4", "checkpoint-8", "model"}
    assert table_of(gone) == table_of(whole)
    assert not died.uploads.exists()
