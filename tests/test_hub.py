"""Against a Hub on loopback: the chapter's data and files, the cache, outages, and the course's own three ways."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ftrun
import pytest
from helpers import PROJECT, SHARED, Ftrun, Hub, OwnHub, points_of, slow, weights_of
from hub_stand_in import GATED, UNAVAILABLE

FEW_STEPS = ("--set", "training.max_steps=3", "--set", "tracking.enabled=false", "--set", "training.device=cpu")

PROBE = """
import json
from ftrun_plugins.datasets import GlueSettings
from ftrun_plugins.datasets.glue import build
from ftrun_plugins.models import CheckpointSettings
from ftrun_plugins.models.sequence_classification import from_checkpoint
from ftrun_plugins.collators.padding import dynamic
import transformers

splits = build(GlueSettings(task="mrpc"))
transformers.set_seed(42)
built = from_checkpoint(CheckpointSettings(checkpoint="google-bert/bert-base-uncased"), splits.task)
encoded = splits.train.select(range(8)).map(built.encode, batched=True, remove_columns=splits.train.column_names)
batch = dynamic(built.tokenizer, None)([encoded[i] for i in range(8)])
print(json.dumps({
    "rows": [len(splits.train), len(splits.evaluation["validation"]), len(splits.test["test"])],
    "lengths": [len(row["input_ids"]) for row in encoded],
    "shape": list(batch["input_ids"].shape),
    "digest": splits.digest,
    "source": built.source,
    "stsb": build(GlueSettings(task="stsb")).task.kind,
}))
"""


def python(code: str, env: Mapping[str, str]) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_the_facts_that_the_chapter_prints(hub: Hub) -> None:
    facts = python(PROBE, hub.env)
    assert facts["rows"] == [3668, 408, 1725]
    assert facts["lengths"] == [50, 59, 47, 67, 59, 50, 62, 32]
    assert facts["shape"] == [8, 67]
    assert len(facts["digest"]) == 40
    assert facts["source"].startswith("https://huggingface.co/google-bert/bert-base-uncased@")
    assert facts["stsb"] == "regression"


def test_mrpc_is_1377_steps() -> None:
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import Horizon

    assert Horizon(3668, TrainingSettings()).total_steps == 1377


@pytest.mark.slow
def test_a_run_takes_what_it_needs_from_the_hub_and_later_from_the_cache(own_hub: OwnHub, ftrun_command: Ftrun) -> None:
    file = PROJECT / "experiments" / "mrpc_loop.toml"
    online = ftrun_command(file, "--json", *FEW_STEPS, env=own_hub.env)
    assert online.returncode == 0, online.stderr
    asked = own_hub.requests()
    assert "GET /datasets/nyu-mll/glue/resolve/" in asked and "mrpc/train-00000-of-00001.parquet" in asked
    assert "GET /google-bert/bert-base-uncased/resolve/" in asked and "model.safetensors" in asked
    assert not [line for line in own_hub.asked if "/resolve/" in line and "stsb" in line]
    own_hub.stop()
    offline = ftrun_command(file, "--json", *FEW_STEPS, env=own_hub.env)
    assert offline.returncode == 0, offline.stderr
    first, second = (json.loads(done.stdout) for done in (online, offline))
    assert points_of(Path(first["run_folder"])) == points_of(Path(second["run_folder"]))
    table = json.loads(Path(first["run_folder"], "predictions", "validation.json").read_text())
    assert len(table["data"]) == 220


@pytest.mark.slow
@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9", slow("http://hub.invalid")], ids=["refusing", "no such name"]
)
def test_no_hub_and_nothing_cached_is_told_with_the_ways_out(
    tmp_path: Path, ftrun_command: Ftrun, endpoint: str
) -> None:
    env = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf")}
    done = ftrun_command(PROJECT / "experiments" / "mrpc_accel.toml", env=env)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    for words in ("nyu-mll/glue", endpoint, "HF_ENDPOINT", "HF_HOME", "--profile smoke", "local folder"):
        assert words in done.stderr


@pytest.mark.slow
def test_nobody_waits_for_a_hub_that_is_out_of_reach(tmp_path: Path) -> None:
    """The libraries by themselves sleep for many seconds between their attempts."""
    code = """
import sys, time
sleep, slept = time.sleep, []
time.sleep = lambda seconds: (slept.append(seconds), sleep(0.001))
from ftrun.cli import main
try:
    main()
finally:
    print("slept", sum(slept))
"""
    arguments = [str(PROJECT / "experiments" / "mrpc_accel.toml"), "--set=tracking.enabled=false"]
    env = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert done.returncode == 1 and "out of reach" in done.stderr, done.stderr
    assert float(done.stdout.split("slept")[1]) < 1.0


def failure(overrides: Mapping[str, Any] | None = None) -> str:
    """How a run of MRPC in this process fails."""
    file = PROJECT / "experiments" / "mrpc_loop.toml"
    few = {"training.max_steps": 3, "tracking.enabled": False, "training.device": "cpu"}
    result = ftrun.run(file, overrides={**few, **(overrides or {})}, progress=False)
    assert result.status == "FAILED" and result.error
    return result.error


@pytest.mark.parametrize("how", ["down", "silent"])
def test_a_hub_that_is_down_or_silent_is_told_as_such(
    own_hub: OwnHub, workdir: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    own_hub.use_here(monkeypatch)
    monkeypatch.setattr("ftrun.hub.ANSWER_SECONDS", 0.5)
    if how == "down":
        own_hub.refuses = lambda path: UNAVAILABLE
    else:
        own_hub.delay = 60.0
    error = failure()
    assert ("is down (it answered 503)" if how == "down" else "is out of reach") in error
    assert len([line for line in own_hub.asked if "nyu-mll/glue" in line]) == 1


def test_what_the_hub_has_not_is_told_as_such(own_hub: OwnHub, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_hub.use_here(monkeypatch)
    assert "the Hub has no model nobody/nothing" in failure({"model.checkpoint": "nobody/nothing"})
    assert "the Hub has no dataset nobody/glue" in failure({"dataset.path": "nobody/glue"})
    assert 'nyu-mll/glue has no revision "v9"' in failure({"dataset.revision": "v9"})
    own_hub.refuses = lambda path: GATED if "bert-base" in path else None
    assert "the model google-bert/bert-base-uncased is gated" in failure()


def course(way: str, hub: Hub, out: Path, *arguments: str) -> Any:
    command = [sys.executable, f"{SHARED}/reference/course.py", way, "--model", "google-bert/bert-base-uncased"]
    settings = ["--fused", "--clip", "1.0", "--work", str(out.parent / "work"), "--out", str(out)]
    subprocess.run([*command, *settings, *arguments], check=True, env={**os.environ, **hub.env}, capture_output=True)
    return json.loads(out.read_text())


@pytest.mark.slow
def test_the_loss_is_the_courses_at_every_step(hub: Hub, ftrun_command: Ftrun, tmp_path: Path) -> None:
    """The first steps, on one backend: all three are held to one curve elsewhere, and by the slow test to the end."""
    rows, steps = 32, 8
    reference = course("loop", hub, tmp_path / "course.json", "--rows", str(rows), "--epochs", "2")
    assert reference["steps"] == steps
    shorter = ("--set", f"dataset.max_train_samples={rows}", "--set", "training.num_train_epochs=2")
    file = PROJECT / "experiments" / "mrpc_accel.toml"
    options = (*shorter, "--set", "tracking.enabled=false", "--set", "training.device=cpu")
    done = ftrun_command(file, "--json", *options, env=hub.env)
    assert done.returncode == 0, done.stderr
    points = points_of(Path(json.loads(done.stdout)["run_folder"]))
    assert [points["train/loss", step] for step in range(1, steps + 1)] == reference["losses"]
    for epoch, evaluation in enumerate(reference["evals"], 1):
        assert points["eval/accuracy", epoch * steps // 2] == evaluation["accuracy"]
        assert points["eval/f1", epoch * steps // 2] == evaluation["f1"]


@pytest.mark.by_hand
def test_the_whole_of_mrpc_is_one_curve_on_three_backends_and_in_the_course(
    hub: Hub, ftrun_command: Ftrun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    reference = course("loop", hub, tmp_path / "course.json")
    assert reference["steps"] == 1377
    print(json.dumps({"course": reference["evals"], "seconds": reference["seconds_training"]}))
    weights = set()
    for end in ("trainer", "loop", "accel"):
        file = PROJECT / "experiments" / f"mrpc_{end}.toml"
        command = ["resume", killed_at(700, file, hub)] if end == "accel" else [file]
        done = ftrun_command(*command, "--json", env=hub.env, timeout=3600)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        print(json.dumps(result))
        points = points_of(Path(result["run_folder"]))
        losses = [points["train/loss", step] for step in range(1, 1378)]
        assert max(abs(ours - theirs) for ours, theirs in zip(losses, reference["losses"], strict=True)) == 0.0
        for epoch, evaluation in enumerate(reference["evals"], 1):
            assert points["eval/accuracy", epoch * 459] == evaluation["accuracy"]
            assert points["eval/f1", epoch * 459] == evaluation["f1"]
        weights.add(weights_of(Path(result["run_folder"])))
    assert len(weights) == 1


def killed_at(step: int, file: Path, hub: Hub) -> str:
    """The name of a run of this file whose process was killed after that step."""
    before = set(Path("runs").glob("*"))
    process = subprocess.Popen(
        [sys.executable, "-m", "ftrun", str(file)],
        env={**os.environ, **hub.env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        time.sleep(2)
        for folder in set(Path("runs").glob("*")) - before:
            if ("train/loss", step) in points_of(folder):
                process.kill()
    assert process.wait() == -9
    return folder.name
