"""Optimizer and schedule are those of transformers, on any model, and what is due falls due as in transformers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from ftrun.errors import ExperimentError
from ftrun.settings import TrainingSettings
from ftrun.training import Horizon, build_optimizer, build_scheduler, largest_norm
from plain import Bag

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 99}

T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "vocab_size": 99}

FAMILIES: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "roberta": SMALL,
    "electra": {**SMALL, "embedding_size": 8},
    "albert": {**SMALL, "embedding_size": 8},
    "deberta-v2": {**SMALL, "relative_attention": True, "position_biased_input": False, "pos_att_type": ["p2c", "c2p"]},
    "mpnet": SMALL,
    "modernbert": {**SMALL, "pad_token_id": 0},
    "qwen2": {**SMALL, "num_key_value_heads": 1, "pad_token_id": 0},
    "distilbert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "vocab_size": 99},
    "xlnet": {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "vocab_size": 99},
    "t5": T5,
    "mt5": T5,
    "a plain module": {},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_decay_where_trainer_has_them_decay(tmp_path: Path, family: str) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    model = (
        Bag(9, 3)
        if family == "a plain module"
        else AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
    )
    twin = copy.deepcopy(model)
    arguments = TrainingArguments(str(tmp_path), weight_decay=0.1, use_cpu=True, report_to=[])
    ours = build_optimizer(model, TrainingSettings(weight_decay=0.1))
    theirs = (
        Trainer(twin, arguments).create_optimizer()
        if family != "a plain module"
        else without_configuration(twin, arguments)
    )
    assert type(ours) is type(theirs)
    for mine, trainers in zip(ours.param_groups, theirs.param_groups, strict=True):
        assert names_of(model, mine) == names_of(twin, trainers)
        assert {**mine, "params": 0} == {**trainers, "params": 0}
    assert all(len(group["params"]) for group in ours.param_groups)
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        one.grad = torch.randn_like(one)
        other.grad = one.grad.clone()
    ours.step()
    theirs.step()
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def without_configuration(model: Bag, arguments: Any) -> Any:
    """Trainer's optimizer; it writes into what a model calls `config`."""
    from transformers import Trainer

    del model.config
    return Trainer(model, arguments).create_optimizer()


def names_of(model: Any, group: Mapping[str, Any]) -> list[str]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in group["params"]]


def test_the_horizon_counts_steps_and_epochs() -> None:

    training = TrainingSettings(per_device_train_batch_size=2, gradient_accumulation_steps=3, num_train_epochs=1.5)
    horizon = Horizon(14, training)
    assert (horizon.steps_per_epoch, horizon.total_steps, horizon.epochs_after(0)) == (3, 5, range(2))
    assert (horizon.epochs_after(4), horizon.batch_after(4), horizon.batch_after(3)) == (range(1, 2), 3, 0)
    assert [round(horizon.epoch_after(step), 3) for step in range(1, 6)] == [0.429, 0.857, 1.0, 1.429, 1.857]


@pytest.mark.parametrize(("eval_steps", "save_steps"), [(3, 4), (0.3, 0.25), (500, 0.01), (None, 7), (10, 1)])
def test_what_is_due_by_steps_is_what_transformers_does_then(eval_steps: float | None, save_steps: float) -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments
    from transformers.trainer_callback import DefaultFlowCallback

    every: dict[str, Any] = {"eval_strategy": "steps", "save_strategy": "steps", "save_steps": save_steps}
    every |= {"eval_steps": eval_steps} if eval_steps else {}
    horizon = Horizon(80, TrainingSettings(max_steps=10, **every))
    arguments, state = TrainingArguments(max_steps=10, use_cpu=True, **every), TrainerState(max_steps=10)
    state.compute_steps(arguments, 10)
    for step in range(1, 11):
        state.global_step = step
        control = DefaultFlowCallback().on_step_end(arguments, state, TrainerControl())
        assert (horizon.evaluates_by_strategy(step), horizon.saves_by_strategy(step)) == (
            control.should_evaluate,
            control.should_save,
        )


@pytest.mark.parametrize("warmup", [0, 0.01, 0.5, 0.99, 1, 3, 7, 100])
@pytest.mark.parametrize(
    "schedule", ["linear", "cosine", "constant", "constant_with_warmup", "polynomial", "inverse_sqrt"]
)
def test_the_rates_are_those_of_transformers(warmup: float, schedule: Any) -> None:
    from transformers import TrainingArguments, get_scheduler

    told: dict[str, Any] = {"warmup_steps": warmup, "lr_scheduler_type": schedule}
    if schedule == "polynomial" and warmup == 0.99:
        with pytest.raises(ExperimentError, match="the warm-up takes all 9 steps"):
            build_scheduler(torch.optim.AdamW([torch.zeros(1)], lr=1.0), TrainingSettings(**told), 9)
        return
    optimizers = [torch.optim.AdamW([torch.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2)]
    arguments = TrainingArguments(use_cpu=True, **told)
    ours = build_scheduler(optimizers[0], TrainingSettings(**told), 9)
    theirs = get_scheduler(
        arguments.lr_scheduler_type, optimizers[1], arguments.get_warmup_steps(9), 9, arguments.lr_scheduler_kwargs
    )
    for _ in range(9):
        assert ours.get_last_lr() == theirs.get_last_lr()
        for optimizer, schedule_of in zip(optimizers, (ours, theirs), strict=True):
            optimizer.step()
            schedule_of.step()


VALUES: dict[str, tuple[str, dict[str, Any]]] = {
    "a cosine of three halves": ("cosine", {"num_cycles": 1.5}),
    "restarts": ("cosine_with_restarts", {"num_cycles": 3}),
    "a square": ("polynomial", {"lr_end": 0.01, "power": 2.0}),
    "a time scale": ("inverse_sqrt", {"timescale": 4}),
    "a lowest rate": ("cosine_with_min_lr", {"min_lr": 0.1}),
    "a lowest share": ("cosine_with_min_lr", {"min_lr_rate": 0.2, "num_cycles": 1.0}),
    "a warm-up from a share": ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.2, "warmup_lr_rate": 0.3}),
    "decay": ("warmup_stable_decay", {"num_decay_steps": 4}),
    "stable, then decay": (
        "warmup_stable_decay",
        {"num_stable_steps": 2, "num_decay_steps": 3, "warmup_type": "cosine", "min_lr_ratio": 0.1},
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", VALUES)
def test_the_rates_are_those_of_transformers_with_values_too(name: str) -> None:
    import warnings

    from transformers import get_scheduler

    schedule, values = VALUES[name]
    optimizers = [torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0) for _ in range(2)]
    settings = TrainingSettings(lr_scheduler_type=schedule, lr_scheduler_kwargs=values, warmup_steps=2, learning_rate=1)  # type: ignore[arg-type]
    ours = build_scheduler(optimizers[0], settings, 9)
    with warnings.catch_warnings(action="ignore"):
        theirs = get_scheduler(schedule, optimizers[1], 2, 9, dict(values))
    for _ in range(9):
        assert ours.get_last_lr() == theirs.get_last_lr()
        for optimizer, schedule_of in zip(optimizers, (ours, theirs), strict=True):
            optimizer.step()
            schedule_of.step()


def test_parts_that_are_longer_than_the_training_are_told() -> None:
    settings = TrainingSettings(
        lr_scheduler_type="warmup_stable_decay", lr_scheduler_kwargs={"num_decay_steps": 6}, warmup_steps=4
    )
    with pytest.raises(ExperimentError, match="4 steps of warm-up, 0 stable ones and 6 of decay are more than the 9"):
        build_scheduler(torch.optim.SGD([torch.zeros(1)], lr=1.0), settings, 9)


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw_torch": {"adam_beta1": 0.8},
    "adamw_torch_fused": {"adam_beta1": 0.8},
    "sgd": {"optim_args": {"momentum": 0.9, "nesterov": True}},
    "adagrad": {"optim_args": {"lr_decay": 0.1, "eps": 1e-6}},
    "rmsprop": {"optim_args": {"alpha": 0.9, "momentum": 0.5, "centered": True}},
    "adafactor": {},
}


@pytest.mark.parametrize("optim", OPTIMIZERS)
def test_the_optimizers_are_those_of_trainer(tmp_path: Path, optim: str) -> None:
    from ftrun.update_arguments import written_optimizer_arguments
    from transformers import Trainer, TrainingArguments

    settings = TrainingSettings(optim=optim, weight_decay=0.1, **OPTIMIZERS[optim])
    told = {"adam_beta1": settings.adam_beta1, "optim_args": written_optimizer_arguments(settings.optimizer_arguments)}
    arguments = TrainingArguments(str(tmp_path), optim=optim, weight_decay=0.1, use_cpu=True, report_to=[], **told)
    torch.manual_seed(0)
    models = [Bag(9, 3), Bag(9, 3)]
    models[1].load_state_dict(models[0].state_dict())
    del models[1].config
    optimizers = [build_optimizer(models[0], settings), Trainer(models[1], arguments).create_optimizer()]
    assert type(optimizers[0]) is type(optimizers[1])
    assert optimizers[0].defaults == optimizers[1].defaults
    for _ in range(3):
        for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
            one.grad = torch.randn_like(one)
            other.grad = one.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_model_of_which_nothing_is_trained_is_told() -> None:
    with pytest.raises(ExperimentError, match="nothing is left to train"):
        build_optimizer(Bag(9, 3).requires_grad_(False), TrainingSettings())


def test_nothing_is_clipped_at_zero() -> None:
    assert largest_norm(TrainingSettings(max_grad_norm=0.0)) == float("inf")
    assert largest_norm(TrainingSettings(max_grad_norm=0.5)) == 0.5


def test_what_is_not_trained_is_no_optimizers() -> None:
    model = Bag(9, 3)
    model.words.weight.requires_grad_(False)
    trained = {
        name for group in build_optimizer(model, TrainingSettings()).param_groups for name in names_of(model, group)
    }
    assert trained == {name for name, _ in model.named_parameters()} - {"words.weight"}
