"""Every file in experiments/ is sound and takes its road in seconds, offline, with --profile smoke."""

from __future__ import annotations

import json
from pathlib import Path

import ftrun
import pytest
from ftrun.planning.catalogue import load_catalogue
from ftrun.planning.experiment import load_experiment
from ftrun.planning.plan import make_plan
from helpers import PROJECT, points_of

FILES = sorted((PROJECT / "experiments").glob("*.toml"))


def test_the_files_are_those_that_the_readme_speaks_of() -> None:
    assert {file.name for file in FILES} == {
        *("mrpc.toml", "mrpc_trainer.toml", "mrpc_loop.toml", "mrpc_accel.toml", "mrpc_fast.toml", "quickstart.toml"),
    }


def test_the_fast_one_differs_from_the_chapters_in_what_makes_it_fast_alone() -> None:
    catalogue = load_catalogue()
    chapter, fast = (
        make_plan(load_experiment(PROJECT / "experiments" / f"mrpc_{end}.toml"), catalogue).resolved()
        for end in ("accel", "fast")
    )
    levers = {"bf16": True, "optim": "adamw_torch_fused", "train_sampling_strategy": "group_by_length"}
    assert fast == {**chapter, "name": "mrpc_fast", "training": {**chapter["training"], **levers}}


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_runs_with_its_smoke_profile(file: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    overrides = {"tracking.enabled": False, "training.device": "cpu"}
    result = ftrun.run(file, profile="smoke", overrides=overrides, progress=False)
    assert result.status == "FINISHED", result.error
    assert result.steps == 8 and {"eval/accuracy", "eval/f1", "eval/loss"} == set(result.metrics)
    assert (result.run_folder / "checkpoints" / "checkpoint-8").is_dir()


def test_the_chapters_three_files_differ_in_the_backend_alone() -> None:
    catalogue = load_catalogue()
    plans = [
        make_plan(load_experiment(PROJECT / "experiments" / f"mrpc_{end}.toml"), catalogue).resolved()
        for end in ("trainer", "loop", "accel")
    ]
    assert [plan.pop("backend") for plan in plans] == [{"use": "trainer"}, {"use": "loop"}, {"use": "accelerate"}]
    assert [plan.pop("name") for plan in plans] == ["mrpc_trainer", "mrpc_loop", "mrpc_accel"]
    assert plans[0] == plans[1] == plans[2]
    training = plans[0]["training"]
    chapter = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 8,
        "learning_rate": 5e-5,
        "lr_scheduler_type": "linear",
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
    }
    assert {key: training[key] for key in chapter} == chapter


@pytest.mark.by_hand
@pytest.mark.parametrize("seed", range(1, 6))
def test_the_quickstart_learns(seed: int, workdir: Path) -> None:
    overrides = {"seed": seed, "tracking.enabled": False, "backend.use": "loop"}
    result = ftrun.run(PROJECT / "experiments" / "quickstart.toml", overrides=overrides, progress=False)
    print(json.dumps({"seed": seed, **result.metrics, "training_seconds": result.training_seconds}))
    assert points_of(result.run_folder)
    assert result.metrics["eval/accuracy"] >= 0.65
