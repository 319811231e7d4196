"""What optimizers and schedules take beside the keys of `[training]`, and in what form: known before any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = bool | int | float | str
"""What `lr_scheduler_kwargs` and `optim_args` hold by name."""


@dataclass(frozen=True)
class Form:
    """What a value must be.

    Attributes:
        said: It, after "must be".
        fits: Whether a value is such.
    """

    said: str
    fits: Callable[[Any], bool]


def _number(said: str, fits: Callable[[float], bool] = lambda value: True) -> Form:
    return Form(said, lambda value: _is_number(value) and math.isfinite(value) and fits(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _steps(least: int) -> Form:
    return Form(f"a whole number from {least}", lambda value: type(value) is int and value >= least)


def _one_of(*choices: str) -> Form:
    return Form(f"one of {', '.join(choices)}", lambda value: value in choices)


FLAG = Form("true or false", lambda value: isinstance(value, bool))
POSITIVE = _number("a number above 0", lambda value: value > 0)
NOT_NEGATIVE = _number("a number from 0", lambda value: value >= 0)
SHARE = _number("a number from 0 to 1", lambda value: 0 <= value <= 1)
DECAY = _number("a number from 0 and below 1", lambda value: 0 <= value < 1)
COURSES = _one_of("linear", "cosine", "1-sqrt")

_LOWEST = {"min_lr": NOT_NEGATIVE, "min_lr_rate": SHARE}

SCHEDULES: Mapping[str, Mapping[str, Form]] = {
    "linear": {},
    "cosine": {"num_cycles": POSITIVE},
    "cosine_with_restarts": {"num_cycles": _steps(1)},
    "polynomial": {"lr_end": NOT_NEGATIVE, "power": POSITIVE},
    "constant": {},
    "constant_with_warmup": {},
    "inverse_sqrt": {"timescale": _steps(1)},
    "cosine_with_min_lr": {"num_cycles": POSITIVE, **_LOWEST},
    "cosine_warmup_with_min_lr": {"num_cycles": POSITIVE, **_LOWEST, "warmup_lr_rate": SHARE},
    "warmup_stable_decay": {
        "num_decay_steps": _steps(1),
        "num_stable_steps": _steps(0),
        "warmup_type": COURSES,
        "decay_type": COURSES,
        "min_lr_ratio": SHARE,
        "num_cycles": POSITIVE,
    },
}
"""By `lr_scheduler_type`, what `lr_scheduler_kwargs` may hold, by transformers' names."""

OPTIMIZERS: Mapping[str, Mapping[str, Form]] = {
    "adamw_torch_fused": {},
    "adamw_torch": {},
    "adam": {},
    "nadam": {"momentum_decay": NOT_NEGATIVE, "decoupled_weight_decay": FLAG},
    "sgd": {"momentum": NOT_NEGATIVE, "dampening": NOT_NEGATIVE, "nesterov": FLAG},
    "adagrad": {"lr_decay": NOT_NEGATIVE, "eps": POSITIVE},
    "rmsprop": {"momentum": NOT_NEGATIVE, "alpha": DECAY, "eps": POSITIVE, "centered": FLAG},
    "adafactor": {
        "clip_threshold": POSITIVE,
        "decay_rate": _number("a number below 0", lambda value: value < 0),
        "beta1": DECAY,
        "scale_parameter": FLAG,
    },
}
"""By `optim`, what `optim_args` may hold: torch's names, and for Adafactor transformers'."""

WITH_ADAM_KEYS = frozenset({"adamw_torch_fused", "adamw_torch", "adam", "nadam"})
"""The optimizers that `adam_beta1`, `adam_beta2` and `adam_epsilon` are for."""


def schedule_faults(name: str, values: Mapping[str, Any], learning_rate: float) -> list[str]:
    """What is wrong with `lr_scheduler_kwargs`, in sentences."""
    faults = _faults(name, values, SCHEDULES[name])
    if faults:
        return faults
    if name == "polynomial" and learning_rate <= (end := values.get("lr_end", 1e-7)):
        return [f"a polynomial goes down to {str(end).replace('e-0', 'e-')}: learning_rate must be above that"]
    if "min_lr" in SCHEDULES[name]:
        return _faults_of_lowest(name, values, learning_rate)
    if name == "warmup_stable_decay" and "num_decay_steps" not in values:
        return [f"{name} needs num_decay_steps: lr_scheduler_kwargs = {{ num_decay_steps = 100 }}"]
    return []


def _faults_of_lowest(name: str, values: Mapping[str, Any], learning_rate: float) -> list[str]:
    if ("min_lr" in values) == ("min_lr_rate" in values):
        return [f"{name} needs min_lr or min_lr_rate, and not both: lr_scheduler_kwargs = {{ min_lr_rate = 0.1 }}"]
    if "min_lr" in values and not (values["min_lr"] <= learning_rate and learning_rate > 0):
        return [f"min_lr must be at most learning_rate, which is {learning_rate} and must be above 0"]
    return []


def optimizer_faults(name: str, values: Mapping[str, Any]) -> list[str]:
    """What is wrong with `optim_args`, in sentences."""
    if "weight_decay" in values:
        return ["weight_decay is a key of [training]: write it there"]
    faults = _faults(name, values, OPTIMIZERS[name])
    if not faults and values.get("nesterov") and not (values.get("momentum") and not values.get("dampening")):
        return ["nesterov needs momentum, and no dampening"]
    return faults


def _faults(name: str, values: Mapping[str, Any], forms: Mapping[str, Form]) -> list[str]:
    takes = f"it takes {', '.join(forms)}" if forms else "it takes none"
    unknown = [f'"{name}" has no {key}: {takes}' for key in values if key not in forms]
    known = [(key, value, forms[key]) for key, value in values.items() if key in forms]
    return unknown + [f"{key} must be {form.said}, not {value}" for key, value, form in known if not form.fits(value)]


def read_optimizer_arguments(text: str) -> dict[str, Value]:
    """`optim_args` as transformers has it, "momentum=0.9,nesterov=true".

    Raises:
        ValueError: If it is nothing of the kind.
    """
    pairs = [pair.partition("=") for pair in text.replace(" ", "").split(",") if pair]
    if not all(key and equals and value for key, equals, value in pairs):
        raise ValueError(f'must be a table, {{ momentum = 0.9 }}, or text such as "momentum=0.9", not "{text}"')
    return {key: _read(value) for key, _, value in pairs}


def _read(value: str) -> Value:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        number = float(value)
    except ValueError:
        return value
    return int(number) if value.lstrip("-").isdecimal() else number


def written_optimizer_arguments(values: Mapping[str, Value]) -> str:
    """The same as transformers has it."""
    return ",".join(f"{key}={str(value).lower()}" for key, value in values.items())
