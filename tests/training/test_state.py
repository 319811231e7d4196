"""What is in a checkpoint, and what comes back of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.training import build_optimizer, build_scheduler, load_weights, write_checkpoint
from ftrun.training.state import generators_kept, load_optimizer
from helpers import run, slow, weights_of
from plain import Bag, Parts
from transformers import TrainerState


@pytest.mark.parametrize("backend", ["trainer", *map(slow, ("loop", "accelerate"))])
def test_a_checkpoint_opens_with_transformers_and_its_files_match_its_manifest(tiny: Path, backend: str) -> None:
    import hashlib

    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainerState

    saving = {"training.save_strategy": "epoch", "training.save_total_limit": 1, "backend.use": backend}
    result = run(tiny, saving)
    (checkpoint,) = (result.run_folder / "checkpoints").iterdir()
    assert checkpoint.name == "checkpoint-12"
    assert TrainerState.load_from_json(str(checkpoint / "trainer_state.json")).global_step == 12
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "tokenizer.json"} <= set(
        manifest["files"]
    )
    for name, facts in manifest["files"].items():
        content = (checkpoint / name).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        assert torch.load(checkpoint / name, weights_only=True)
    for folder in (checkpoint, result.run_folder / "model"):
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        assert model.config.id2label == {0: "not_equivalent", 1: "equivalent"}
        assert len(AutoTokenizer.from_pretrained(folder)) == 30522
    assert (checkpoint / "model.safetensors").read_bytes() == weights_of(result.run_folder)
    assert (result.run_folder / "model" / "config.json").read_bytes() == (checkpoint / "config.json").read_bytes()


def test_a_plain_modules_state_comes_back_bit_for_bit(tmp_path: Path) -> None:
    job, other = Parts(tmp_path).job(), Parts(tmp_path, seed=99).job()
    job.model.seen += 41  # a buffer
    optimizer = build_optimizer(job.model, job.training)
    scheduler = build_scheduler(optimizer, job.training, 5)
    write_checkpoint(job, tmp_path, TrainerState(), optimizer, scheduler)
    assert {path.name for path in tmp_path.iterdir()} == {
        "model.safetensors", "state_dict.pt", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"
    }  # fmt: skip
    for path in tmp_path.glob("*.pt*"):
        torch.load(path, weights_only=True)
    load_weights(other.model, tmp_path)
    expected = job.model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in other.model.state_dict().items())


@pytest.mark.parametrize("scheduler_class", [torch.optim.lr_scheduler.StepLR, torch.optim.lr_scheduler.LambdaLR])
def test_any_optimizer_and_schedule_of_torch_goes_on(tmp_path: Path, scheduler_class: Any) -> None:
    job = Parts(tmp_path).job()

    def built() -> tuple[torch.optim.Optimizer, Any]:
        optimizer = torch.optim.RMSprop(job.model.parameters(), lr=0.1, momentum=0.5)
        how: Any = 2 if scheduler_class is torch.optim.lr_scheduler.StepLR else (lambda step: 1 / (1 + step))
        return optimizer, scheduler_class(optimizer, how)

    optimizer, scheduler = built()
    for _ in range(3):
        job.model(**job.collate([job.train[0]])).loss.backward()
        optimizer.step()
        scheduler.step()
    write_checkpoint(job, tmp_path, TrainerState(), optimizer, scheduler)
    again, schedule = built()
    load_optimizer(tmp_path, again, schedule)
    assert schedule.get_last_lr() == scheduler.get_last_lr() and schedule.last_epoch == 3
    assert again.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"] != 0.1
    for one, other in zip(optimizer.state.values(), again.state.values(), strict=True):
        assert torch.equal(one["momentum_buffer"], other["momentum_buffer"])


def test_every_generator_goes_on_from_a_checkpoint_where_it_was(workdir: Path) -> None:
    import random

    import numpy as np
    import torch
    from ftrun.training.state import RANDOM, load_random_states, random_states

    def drawn() -> list[float]:
        """Of each generator something, of normal ones an odd number: they come in pairs, and the second is kept."""
        normal = [random.gauss(0, 1), float(np.random.randn()), float(torch.randn(1))]
        return [*normal, random.random(), float(np.random.rand()), float(torch.rand(1))]

    drawn()
    torch.save(random_states(), workdir / RANDOM)
    told = drawn()
    drawn()
    load_random_states(workdir)
    assert drawn() == told


def test_optimizer_settings_are_those_of_now_and_moments_those_of_the_checkpoint(workdir: Path) -> None:
    import torch
    from ftrun.settings import TrainingSettings
    from ftrun.training.optimization import build_optimizer, build_scheduler
    from ftrun.training.state import OPTIMIZER, SCHEDULER, load_optimizer

    def made(**training: Any) -> tuple[Any, Any]:
        model = torch.nn.Linear(2, 2)
        settings = TrainingSettings(**training)
        optimizer = build_optimizer(model, settings)
        scheduler = build_scheduler(optimizer, settings, 10)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return optimizer, scheduler

    before = made(learning_rate=0.1, weight_decay=0.0)
    for _ in range(2):
        before[0].step()
        before[1].step()
    torch.save(before[0].state_dict(), workdir / OPTIMIZER)
    torch.save(before[1].state_dict(), workdir / SCHEDULER)
    now = made(learning_rate=0.5, weight_decay=0.3, adam_beta1=0.8)
    load_optimizer(workdir, *now)
    group = now[0].param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"]) == (pytest.approx(0.4), 0.3, (0.8, 0.999))
    moments, saved = ([state["exp_avg"] for state in optimizer.state.values()] for optimizer, _ in (now, before))
    assert len(moments) == 2 and all(map(torch.equal, moments, saved))


class Partly(Bag):
    """A model of which the last layer alone is trained, and kept."""

    def save_checkpoint(self, folder: Any) -> None:
        torch.save(self.classify.state_dict(), Path(folder) / "part.pt")

    def load_checkpoint(self, folder: Any) -> None:
        self.classify.load_state_dict(torch.load(Path(folder) / "part.pt", weights_only=True))


def test_a_model_with_checkpoints_of_its_own_is_kept_and_put_back_by_itself(tmp_path: Path) -> None:
    job = Parts(tmp_path, given={"model": Partly(9, 3)}).job()
    optimizer = build_optimizer(job.model, job.training)
    write_checkpoint(job, tmp_path / "it", TrainerState(), optimizer, build_scheduler(optimizer, job.training, 5))
    assert (tmp_path / "it" / "part.pt").is_file()
    assert not any((tmp_path / "it" / name).exists() for name in ("model.safetensors", "state_dict.pt"))
    other = Partly(9, 3)
    load_weights(other, tmp_path / "it")
    assert torch.equal(other.classify.weight, job.model.state_dict()["classify.weight"])
    assert not torch.equal(other.words.weight, job.model.state_dict()["words.weight"])


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        ({}, {"optim": "sgd"}, False),
        ({}, {"optim": "adafactor"}, False),
        ({}, {"optim": "adagrad"}, False),
        ({}, {"optim": "rmsprop"}, False),
        ({}, {"optim": "nadam"}, False),
        ({"optim": "sgd"}, {}, False),
        ({"optim": "sgd"}, {"optim": "adagrad"}, False),
        ({"optim": "rmsprop"}, {"optim": "rmsprop", "optim_args": {"centered": True}}, False),
        ({"optim": "rmsprop"}, {"optim": "rmsprop", "optim_args": {"momentum": 0.9}}, False),
        ({}, {"adam_beta1": 0.8, "weight_decay": 0.1}, True),
        ({"optim": "adafactor"}, {"optim": "adafactor"}, True),
    ],
)
def test_another_optimizer_begins_anew_where_the_schedule_stands(
    tmp_path: Path, before: dict[str, Any], now: dict[str, Any], kept: bool, caplog: pytest.LogCaptureFixture
) -> None:
    from ftrun.settings import TrainingSettings

    def made(**training: Any) -> tuple[Any, Any]:
        model, settings = torch.nn.Linear(2, 2), TrainingSettings(learning_rate=0.1, **training)
        optimizer = build_optimizer(model, settings)
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        return optimizer, build_scheduler(optimizer, settings, 10)

    optimizer, scheduler = made(**before)
    for _ in range(2):
        optimizer.step()
        scheduler.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    torch.save(scheduler.state_dict(), tmp_path / "scheduler.pt")
    other = made(**now)
    load_optimizer(tmp_path, *other)
    assert other[0].param_groups[0]["lr"] == pytest.approx(0.08) and other[1].last_epoch == 2
    assert ("of another optimizer" in caplog.text) != kept
    other[0].step()


def test_the_generators_of_devices_that_are_here_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint of a machine with two GPUs, on one with one; and a Mac's, whose dropout mps draws."""
    back: dict[str, Any] = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: ["first", "second"])
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda states: back.update(cuda=states))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda: "mac's")
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state: back.update(mps=state))
    with generators_kept():
        pass
    assert back == {"cuda": ["first"], "mps": "mac's"}


def test_a_checkpoint_of_a_model_with_other_parameters_is_refused_by_name(tmp_path: Path) -> None:
    job, frozen = Parts(tmp_path).job(), Parts(tmp_path).job()
    optimizer = build_optimizer(job.model, job.training)
    write_checkpoint(job, tmp_path, TrainerState(), optimizer, build_scheduler(optimizer, job.training, 5))
    with pytest.raises(ExperimentError, match=r"is of a model with other parameters: \S+ is .* there, and .* here"):
        load_weights(Bag(10, 3), tmp_path)
    next(frozen.model.parameters()).requires_grad_(False)
    fewer = build_optimizer(frozen.model, job.training)
    with pytest.raises(ExperimentError, match=r"model with other parameters: \d tensors were learning there, and \d"):
        load_optimizer(tmp_path, fewer, build_scheduler(fewer, job.training, 5))
    (tmp_path / "state_dict.pt").unlink()  # as in a checkpoint of transformers' own models
    with pytest.raises(ExperimentError, match=r"of a model with other parameters: it has no state_dict\.pt"):
        load_weights(Bag(10, 3), tmp_path)
