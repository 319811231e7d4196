"""A small experiment is a run as any other, and writes nothing beside its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ftrun.errors import ExperimentError
from ftrun.testing import run_tiny
from ftrun.testing.offers import PARTS, catalogue_with
from ftrun.testing.running import TinyRun, difference, go_on, is_close


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    saving = {"training.save_strategy": "steps", "training.save_steps": 2}
    return run_tiny(tmp_path_factory.mktemp("run"), saving)


def test_it_gives_curve_points_and_predictions(run: TinyRun) -> None:
    assert list(run.curve) == [1, 2, 3, 4, 5, 6] and run.points["eval/loss", 6] == run.result.metrics["eval/loss"]
    assert run.checkpoints == [2, 4, 6] and run.model_step == 6 and "model.safetensors" in run.model
    (rows, logits) = (run.predictions["validation"], run.logits["validation"])
    assert len(rows) == len(logits) == 12 and set(rows[0]) > {"first", "label", "prediction"} and len(logits[0]) == 3


def test_it_goes_on_from_where_it_died(run: TinyRun) -> None:
    resumed = go_on(run.died_after(4), catalogue_with())
    assert difference(run, resumed, ("first", "then")) is None and resumed.checkpoints == [2, 4, 6]


def test_a_difference_is_told_by_its_first_step(run: TinyRun, tmp_path: Path) -> None:
    other = run_tiny(tmp_path, {"seed": 2, "training.max_steps": 1, "training.save_strategy": None})
    told = difference(run, other, ("here", "there"))
    assert told and told.startswith("train/loss at step 1 is ") and told.endswith(" there")


def test_it_writes_nothing_beside_its_folder_and_leaves_the_environment(tmp_path: Path) -> None:
    cache, before = Path(os.environ["HF_HOME"]), dict(os.environ)
    seen = set(cache.rglob("*"))
    run_tiny(tmp_path / "here", {"training.max_steps": 1, "dataset.use": "under-test:tiny"}, components=[PARTS[0]])
    assert set(cache.rglob("*")) == seen and dict(os.environ) == before
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"runs", "cache"}


def test_what_is_wrong_is_raised(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"training\.lr.*: there is no such key"):
        run_tiny(tmp_path, {"training.lr": 1})
    with pytest.raises(RuntimeError, match="the run FAILED: the loss is"):
        run_tiny(tmp_path, {"training.learning_rate": 1e30})


def test_numbers_are_close_by_their_share() -> None:
    assert is_close(1.0, 1.00001, 1e-4) and not is_close(1.0, 1.01, 1e-4) and not is_close(1.0, 1.0 + 1e-15, 0.0)
    assert is_close(float("nan"), float("nan"), 0.0) and is_close(0.0, 1e-8, 1e-4)
