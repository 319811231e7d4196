"""Trainer drives the loop, and what it is told and what is overridden are as they are meant."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import ftrun
import pytest
from helpers import points_of, run


@pytest.mark.slow
def test_trainer_still_calls_all_that_is_overridden(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails after an upgrade of transformers, Trainer's loop goes another way: look at CurveTrainer."""
    from ftrun_plugins.backends.trainer import CurveTrainer
    from transformers import Trainer

    overridden = [name for name in vars(CurveTrainer) if name in vars(Trainer) and not name.startswith("__")]
    called: set[str] = set()

    def counted(name: str, method: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            called.add(name)
            return method(*arguments, **named)

        return call

    for name in overridden:
        if callable(method := vars(CurveTrainer)[name]):
            monkeypatch.setattr(CurveTrainer, name, counted(name, method))
    settings = {"backend.use": "trainer", "training.save_strategy": "steps", "training.save_steps": 5}
    result = run(tiny, settings)
    (result.run_folder / "journal.jsonl").write_text("")  # as if killed before anything was recorded
    shutil.rmtree(result.run_folder / "checkpoints" / "checkpoint-12")
    assert ftrun.resume(result.run_folder, progress=False).status == "FINISHED"
    assert called == {name for name in overridden if name != "loss_is_scaled_for_ga"}
    assert "loss_is_scaled_for_ga" in overridden


@pytest.mark.slow
def test_trainer_still_divides_the_loss_unless_it_is_told_not_to(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails after an upgrade of transformers, the attribute means something else: look at CurveTrainer."""
    from ftrun_plugins.backends.trainer import CurveTrainer

    cut = {"training.gradient_accumulation_steps": 4, "training.per_device_train_batch_size": 2}
    settings = {**cut, "backend.use": "trainer", "training.max_steps": 1}
    right = points_of(run(tiny, settings).run_folder)
    monkeypatch.setattr(CurveTrainer, "loss_is_scaled_for_ga", False)
    monkeypatch.setattr(CurveTrainer, "model_accepts_loss_kwargs", False, raising=False)
    wrong = points_of(run(tiny, settings).run_folder)
    assert wrong["train/loss", 1] == right["train/loss", 1]
    assert wrong["train/grad_norm", 1] != pytest.approx(right["train/grad_norm", 1], rel=0.1)


def test_the_settings_that_trainer_is_told_are_the_experiments(tiny: Path) -> None:
    import torch
    from ftrun.contracts import Job, Task
    from ftrun.settings import OWN_KEYS, TrainingSettings
    from ftrun_plugins.backends.trainer import training_arguments

    training = TrainingSettings(learning_rate=0.25, max_steps=9, warmup_steps=2, weight_decay=0.5, max_grad_norm=0.5)
    values: dict[str, Any] = {field.name: None for field in dataclasses.fields(Job)}
    job = Job(
        **{**values, "training": training, "seed": 3, "data_seed": 4, "run_folder": Path(), "task": Task("x", ())}
    )
    arguments = training_arguments(job, torch.device("cpu"))
    steered = {"eval_strategy", "eval_steps", "save_strategy", "save_steps", "save_total_limit", "data_seed"}
    loaders = {name for name in TrainingSettings.model_fields if name.startswith("dataloader_")}
    adam = {"adam_beta1", "adam_beta2", "adam_epsilon"}
    # done by the fitting and the session, for whoever drives the loop; Trainer would do it once more
    ours = {"gradient_checkpointing", "gradient_checkpointing_kwargs", "optim_args", "tf32"}
    ours |= {name for name in TrainingSettings.model_fields if name.startswith("torch_compile")}
    for name in set(TrainingSettings.model_fields) - OWN_KEYS - steered - loaders - adam - ours:
        assert getattr(arguments, name) == getattr(training, name), name
    assert (arguments.seed, arguments.data_seed) == (3, 4)


def test_trainer_smooths_nothing_itself() -> None:
    import torch
    from ftrun.settings import TrainingSettings
    from ftrun_plugins.backends.trainer import training_arguments
    from plain import Parts

    job = Parts(Path(), settings={"label_smoothing_factor": 0.1}).job()
    assert isinstance(job.training, TrainingSettings) and job.training.label_smoothing_factor == 0.1
    assert training_arguments(job, torch.device("cpu")).label_smoothing_factor == 0.0


def test_a_configuration_is_left_as_it_was(tiny: Path) -> None:
    overrides = {"model.model_type": "qwen2", "model.config.num_key_value_heads": 1, "training.max_steps": 1}
    result = run(tiny, {**overrides, "backend.use": "trainer"})
    assert '"use_cache": true' in (result.run_folder / "model" / "config.json").read_text()
