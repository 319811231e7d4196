"""The strict base of all settings, and the [training] settings that all backends share.

Types for keys, beside Python's own: `PositiveInt`, `NonNegativeInt`, `PositiveFloat` and `NonNegativeFloat`; `Steps`, a
number of steps, or below 1 a fraction of all; `LocalPath`, a file or folder, which the settings hold absolute; and
`HubIdOrFolder`, which is such a folder where there is one, and else stays as it is: see `ftrun.references`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema

from ftrun.errors import Problem, nearest
from ftrun.nesting import Spot, spot_of
from ftrun.training_arguments import OTHER_OPTIMIZERS, OTHER_SAMPLING, OTHER_SCHEDULES, Refusal
from ftrun.update_arguments import WITH_ADAM_KEYS, Value, optimizer_faults, read_optimizer_arguments, schedule_faults

__all__ = [
    "HubIdOrFolder",
    "LocalPath",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "Settings",
    "Steps",
    "TrainingSettings",
    "absolute_folder",
    "absolute_path",
    "float16_problem",
    "is_folder",
    "steps_of",
]

PositiveInt = Annotated[int, Field(gt=0)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegativeFloat = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(ge=0, lt=1)]


def _whole_from_one(steps: float) -> float:
    if steps > 1 and steps != int(steps):
        raise ValueError(f"must be a whole number of steps, or below 1 a fraction of all steps, not {steps}")
    return int(steps) if steps >= 1 else steps


Steps = Annotated[float, Field(gt=0, lt=2**63), AfterValidator(_whole_from_one)]
"""A number of steps, or below 1 a fraction of all steps, which is rounded up: see `steps_of`."""


def steps_of(steps: float, total_steps: int) -> int:
    """`Steps` as a number, as `transformers.TrainerState.compute_steps` has it."""
    return math.ceil(total_steps * steps) if steps < 1 else int(steps)


def absolute_path(path: str) -> str:
    """A path of the working folder as one that holds from everywhere, `~` expanded; links in it stay links.

    Raises:
        ValueError: If it cannot be a path, or nobody may look there.
    """
    if not path:
        raise ValueError("must name a file or folder")
    found = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111 - Path's own raises for an unknown user
    try:
        os.lstat(found)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot be looked for: {getattr(error, 'strerror', error)}") from error
    plain = os.path.normpath(found)
    same = os.path.realpath(plain) == os.path.realpath(found)  # not where `..` follows a link to elsewhere
    return plain if same else os.path.realpath(found)


def absolute_folder(reference: str) -> str:
    """A reference as it is, or absolute where it is a folder that is there."""
    return absolute_path(reference) if is_folder(reference) else reference


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a path is that of a folder; what cannot be a path, or nobody may look at, is none."""
    try:
        return os.path.isdir(os.path.expanduser(path))  # noqa: PTH111, PTH112 - Path's own raise for more of these
    except ValueError:  # a NUL behind a ~
        return False


LocalPath = Annotated[str, AfterValidator(absolute_path), WithJsonSchema({"type": "string", "format": "path"})]
"""A file or folder on this machine. A file of settings means it from the working folder; the settings, and so a run's
record, hold it absolute, so that a run can go on from anywhere. pydantic leaves defaults as they are: a default that is
a path needs `Field(validate_default=True)`.
"""
HubIdOrFolder = Annotated[str, AfterValidator(absolute_folder)]
"""A Hub id, or a folder, which is held absolute as a `LocalPath` is; ids, and what is no folder here, stay as they are.
"""


def _take_lists(schema: Any) -> None:
    """Let tuples and sets be read from lists, which is what TOML has; their entries are as strict as ever."""
    if isinstance(schema, dict):
        if schema.get("type") in ("tuple", "set", "frozenset"):
            schema["strict"] = False
        for inner in schema.values():
            _take_lists(inner)
    elif isinstance(schema, list | tuple):
        for inner in schema:
            _take_lists(inner)


class Settings(BaseModel):
    """Base of every component's settings.

    Strict, so that a file means what it says: unknown keys, wrong types (`true` for 1, `"yes"` for `true`), NaN and
    infinity are errors, and what was validated does not change afterwards. Whole numbers pass for floats, and a list of
    the file for a tuple or a set.

    >>> class Kappa(Settings):
    ...     weights: Literal["linear", "quadratic"] | None = None
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /) -> CoreSchema:
        schema = handler(source)
        _take_lists(schema)
        return schema


S = TypeVar("S", bound=Settings)
LONGEST_SHOWN = 80
"""Characters of a faulty value that a message repeats."""


def validate(
    model: type[S],
    values: Mapping[str, Any],
    place: str = "",
    other_spellings: Mapping[str, str] | None = None,
    not_taken: Mapping[str, Refusal] | None = None,
) -> tuple[S | None, list[Problem]]:
    """Validate one table of a file.

    Args:
        model: The settings that the table holds.
        values: The table.
        place: Its dotted place, for the messages.
        other_spellings: Keys that people use elsewhere, and the keys that are meant.
        not_taken: Keys that people may expect, and why they are not taken.

    Returns:
        The settings, or None and everything that is wrong with the table.
    """
    try:
        return model.model_validate(dict(values)), []
    except ValidationError as error:
        faults = [
            _problem(detail, spot_of(model, detail["loc"], place), other_spellings or {}, not_taken or {})
            for detail in error.errors()
        ]
        return None, _joined(faults)


def _problem(detail: Any, spot: Spot, other_spellings: Mapping[str, str], not_taken: Mapping[str, Refusal]) -> Problem:
    where = spot.place
    value = detail.get("input")
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(detail["loc"][-1], spot, other_spellings, not_taken)
        case "missing":
            return Problem("this key is required", where, spot.description)
        case "value_error" | "assertion_error":
            return Problem(str(detail["ctx"]["error"]), where)
        case "finite_number":
            return Problem(f"must be a finite number, not {value}", where)
        case "dict_type" | "model_type":
            return Problem(f"must be a table, not {shown(value)}", where)
        case "list_type" | "tuple_type" | "set_type" | "frozen_set_type":
            return Problem(f"must be a list, not {shown(value)}", where)
        case "is_instance_of":
            return Problem(
                f"takes a {detail['ctx']['class']}, which no file holds, not {shown(value)}", where, NOT_OF_TOML
            )
        case "literal_error":
            close = nearest(value, _choices(detail)) if isinstance(value, str) else None
            hint = f'Did you mean "{close}"?' if close else None
            choices = detail["ctx"]["expected"]
            among = "one of " if " or " in choices else ""
            return Problem(f"must be {among}{choices}, not {shown(value)}", where, hint)
        case _:
            return Problem(f"{detail['msg'].replace('Input should be', 'must be')}, not {shown(value)}", where)


NOT_OF_TOML = (
    "That is its component's fault: a path is declared as ftrun.settings.LocalPath, some words as a Literal, and all "
    "else as what TOML has."
)


def _joined(problems: Sequence[Problem]) -> list[Problem]:
    """With what is said of one value in one sentence, where it may be one of several and is none of them."""
    joined: dict[tuple[str | None, str], Problem] = {}
    for problem in problems:
        must, _, given = problem.message.partition(", not ")
        key = (problem.place, given if must.startswith("must be ") and given else problem.message)
        before = joined.get(key)
        if before and before.message != problem.message:
            message = f"{before.message.partition(', not ')[0]} or {must.removeprefix('must be ')}, not {given}"
            joined[key] = Problem(message, problem.place, before.hint or problem.hint)
        else:
            joined[key] = before or problem
    return list(joined.values())


def _unknown(key: str, spot: Spot, other_spellings: Mapping[str, str], not_taken: Mapping[str, Refusal]) -> Problem:
    if key in not_taken:
        return Problem(not_taken[key].reason, spot.place, not_taken[key].instead)
    close = other_spellings.get(key) or nearest(key, [*spot.keys, *not_taken])
    if close and close in not_taken:
        hint = f"If {close} is meant: {not_taken[close].reason}. {not_taken[close].instead}"
    else:
        hint = f"Did you mean {close}?" if close else f"The keys here: {', '.join(spot.keys) or 'none'}."
    return Problem("there is no such key", spot.place, hint)


def _choices(detail: Any) -> list[str]:
    return [choice.strip("'") for choice in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def shown(value: object) -> str:
    """A value as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def delay_beyond(delay: float, end: str, strategy: str) -> str:
    """What is wrong with an `eval_delay` that no evaluation follows."""
    unit = "epochs" if strategy == "epoch" else "steps"
    return (
        f'eval_delay counts {unit} with eval_strategy = "{strategy}", and {delay:g} is more than the training\'s {end}'
    )


def _refuse(faults: Sequence[str]) -> None:
    if faults:
        raise ValueError("; ".join(faults))


def _is_positive(value: Any) -> bool:
    """Whether a value is a positive number that float32 has, too: there the smallest ones are 0."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= LARGEST:
        return False
    return value >= SMALLEST


SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127
"""Of the positive normal numbers of float32, in which a loss is computed."""


class TrainingSettings(Settings):
    """The `[training]` table: names and defaults of `transformers.TrainingArguments`, but for `OWN_KEYS`."""

    num_train_epochs: PositiveFloat = Field(3.0, le=1e9, description="How often to go through the training split.")
    max_steps: int = Field(-1, description="Optimizer steps to train for; takes the place of num_train_epochs.")
    per_device_train_batch_size: PositiveInt = Field(8, description="Rows in a batch while training.")
    per_device_eval_batch_size: PositiveInt = Field(8, description="Rows in a batch while evaluating.")
    gradient_accumulation_steps: PositiveInt = Field(1, description="Batches whose gradients make one step.")
    learning_rate: NonNegativeFloat = Field(5e-5, description="Highest learning rate of the schedule.")
    lr_scheduler_type: Literal[
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "constant",
        "constant_with_warmup",
        "inverse_sqrt",
        "cosine_with_min_lr",
        "cosine_warmup_with_min_lr",
        "warmup_stable_decay",
    ] = Field("linear", description="How the learning rate goes after the warm-up.")
    lr_scheduler_kwargs: dict[str, bool | int | float | str] | None = Field(
        None,
        validate_default=True,
        description="What that schedule takes by name, such as { num_cycles = 3 }; its own defaults by default.",
        examples=[{}],
    )
    warmup_steps: NonNegativeFloat = Field(
        0.0, description='Steps of linear warm-up; below 1, a fraction of all steps. None with "constant".'
    )
    label_smoothing_factor: NonNegativeFloat = Field(
        0.0, le=1, description="Share of every label that is spread over all classes; in evaluations, too."
    )
    class_weights: list[PositiveFloat] | Literal["balanced"] | None = Field(
        None,
        description='How much a row of each class counts in the loss, in the order of the task\'s classes; "balanced": '
        "the less the more rows of the class there are to train on. In evaluations, too; all alike by default.",
    )
    optim: Literal["adamw_torch_fused", "adamw_torch", "adam", "nadam", "sgd", "adagrad", "rmsprop", "adafactor"] = (
        Field(
            "adamw_torch_fused",
            description="The optimizer: AdamW, fused into one kernel or parameter by parameter, or another; adam and "
            "nadam are torch's, which transformers has no name for.",
        )
    )
    optim_args: dict[str, bool | int | float | str] | str | None = Field(
        None,
        description="What that optimizer takes by name, such as { momentum = 0.9 } for sgd; text as transformers has "
        "it, too.",
        examples=[{}],
    )
    weight_decay: NonNegativeFloat = Field(0.0, description="Decay of all weights but biases and norms.")
    adam_beta1: Beta = Field(0.9, description="The decay of the gradient's mean in AdamW, Adam and NAdam.")
    adam_beta2: Beta = Field(0.999, description="Their decay of the gradient's square.")
    adam_epsilon: PositiveFloat = Field(1e-8, description="Their term against division by zero.")
    max_grad_norm: NonNegativeFloat = Field(1.0, description="Largest gradient norm; 0 clips nothing.")
    bf16: bool = Field(False, description="Forward passes in bfloat16 by autocast; weights stay float32.")
    neftune_noise_alpha: PositiveFloat | None = Field(
        None,
        description="NEFTune: noise on what the model embeds, in training alone, uniform up to this over the root of "
        "the batch's length times the width; 5 to 15 are usual.",
    )
    fp16: bool = Field(
        False,
        description="Forward passes in float16 by autocast, with the loss scaled for its gradients; weights stay "
        "float32. On CUDA alone.",
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Compute what layers said again for their gradients, and do not keep it: less memory, more time, "
        "the same curve.",
    )
    gradient_checkpointing_kwargs: dict[str, bool | int] | None = Field(
        None,
        description="every_n_layers = 2 does so for every second layer alone.",
        examples=[{"every_n_layers": 2}],
    )
    torch_compile: bool = Field(False, description="Compile the model by torch.compile, for lengths of any kind.")
    torch_compile_backend: Literal["inductor", "cudagraphs", "aot_eager", "eager"] | None = Field(
        None, description='What compiles; "inductor" by default.'
    )
    torch_compile_mode: Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"] | None = (
        Field(None, description="inductor's mode; the two that tune choose by measuring, and so anew in every run.")
    )
    tf32: bool | None = Field(
        None, description="Multiply float32 as TF32, on a GPU that has it; as torch does it by default."
    )
    torch_empty_cache_steps: PositiveInt | None = Field(
        None, description="Give back the memory that torch holds on a GPU unused after so many steps, each time."
    )
    full_determinism: bool = Field(
        False, description="Deterministic algorithms alone, for the same bits on a GPU, too; slower there."
    )
    eval_strategy: Literal["no", "steps", "epoch"] = Field("no", description="When to evaluate.")
    eval_steps: Steps | None = Field(
        None,
        description='Steps between evaluations, with eval_strategy = "steps"; below 1, a fraction of all steps. '
        "500 by default.",
    )
    eval_delay: NonNegativeFloat = Field(
        0.0,
        description="Epochs before the first evaluation that eval_strategy asks for, or steps, as that counts; only "
        "from there on is there a best one, and patience. The last step is always evaluated.",
    )
    eval_on_start: bool = Field(
        False, description="Evaluate before the first step, too; that one is never the best, as nothing is learnt yet."
    )
    save_strategy: Literal["no", "steps", "epoch", "best"] = Field(
        "steps", description='When to write a checkpoint; "best": after each evaluation better than all before.'
    )
    save_steps: Steps = Field(
        500,
        description='Steps between checkpoints, with save_strategy = "steps"; below 1, a fraction of all steps.',
    )
    save_total_limit: PositiveInt | None = Field(
        None, description="Checkpoints to keep: the newest, and the best one among them; all by default."
    )
    load_best_model_at_end: bool = Field(
        False, description="Let the run's model be that of its best evaluation, not the last."
    )
    metric_for_best_model: str | None = Field(
        None, description='The metric that tells the best evaluation, such as "f1"; the loss by default.'
    )
    greater_is_better: bool | None = Field(
        None, description="That metric's better direction; as the metric itself says by default."
    )
    early_stopping_patience: PositiveInt | None = Field(
        None, description="Stop after so many evaluations in a row without a better one."
    )
    early_stopping_threshold: NonNegativeFloat = Field(
        0.0, description="What an evaluation must be better by to count for early stopping."
    )
    data_seed: NonNegativeInt | None = Field(None, description="Seed of the order of the rows; seed by default.")
    train_sampling_strategy: Literal["random", "sequential", "group_by_length"] = Field(
        "random",
        description='Order of the rows in an epoch; "group_by_length": at random, rows of a like length together, for '
        "less padding.",
    )
    dataloader_drop_last: bool = Field(False, description="Leave out an epoch's last batch if it is incomplete.")
    dataloader_num_workers: NonNegativeInt = Field(0, le=1024, description="Processes that collate batches.")
    dataloader_prefetch_factor: PositiveInt | None = Field(
        None, description="Batches that each of them has ready; 2 by default."
    )
    dataloader_persistent_workers: bool = Field(False, description="Keep them from one epoch to the next.")
    dataloader_multiprocessing_context: Literal["fork", "spawn"] | None = Field(
        None, description='How they begin; as Python does it on this system by default, and "spawn" for its forkserver.'
    )
    dataloader_pin_memory: bool = Field(
        True, description="Hand batches to a GPU by memory that is pinned; for a CPU or mps there is none."
    )
    preprocessing_num_workers: PositiveInt | None = Field(
        None, le=1024, description="Processes that tokenize, for splits of 10,000 rows or more; by default this one."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="Where to train; the best there is by default."
    )

    @model_validator(mode="before")
    @classmethod
    def _evaluates_every_500_steps(cls, values: Any) -> Any:
        """As TrainingArguments, which takes logging_steps' default there."""
        if isinstance(values, dict) and values.get("eval_strategy") == "steps" and values.get("eval_steps") is None:
            return {**values, "eval_steps": 500}
        return values

    @field_validator("class_weights", mode="before")
    @classmethod
    def _one_for_each_class(cls, value: Any) -> Any:
        """One sentence, where a union would have one for each of its parts."""
        if (
            value is None
            or value == "balanced"
            or (isinstance(value, list) and value and all(map(_is_positive, value)))
        ):
            return value
        raise ValueError(
            f'must be "balanced" or a list of positive numbers that float32 has, one for each class, not {shown(value)}'
        )

    @field_validator("optim_args", mode="before")
    @classmethod
    def _as_a_table(cls, value: Any) -> Any:
        return read_optimizer_arguments(value) if isinstance(value, str) else value

    @field_validator("lr_scheduler_kwargs")
    @classmethod
    def _what_the_schedule_takes(cls, value: Any, info: ValidationInfo) -> Any:
        if "lr_scheduler_type" in info.data and "learning_rate" in info.data:
            _refuse(schedule_faults(info.data["lr_scheduler_type"], value or {}, info.data["learning_rate"]))
        return value

    @field_validator("optim_args")
    @classmethod
    def _what_the_optimizer_takes(cls, value: Any, info: ValidationInfo) -> Any:
        if "optim" in info.data:
            _refuse(optimizer_faults(info.data["optim"], value or {}))
        return value

    @field_validator("adam_beta1", "adam_beta2", "adam_epsilon")
    @classmethod
    def _for_adam_alone(cls, value: float, info: ValidationInfo) -> float:
        optim, default = info.data.get("optim"), cls.model_fields[str(info.field_name)].default
        if optim not in (None, *WITH_ADAM_KEYS) and value != default:
            raise ValueError(f"it is Adam's and its kin's, and optim = \"{optim}\" has none; see optim_args")
        return value

    @field_validator("lr_scheduler_type", "optim", "train_sampling_strategy", mode="before")
    @classmethod
    def _say_why_not(cls, value: Any) -> Any:
        others = {**OTHER_SCHEDULES, **OTHER_OPTIMIZERS, **OTHER_SAMPLING}
        if isinstance(value, str) and (refusal := others.get(value)):
            raise ValueError(f'"{value}" is not taken: {refusal.reason}')
        return value

    @field_validator("gradient_checkpointing_kwargs")
    @classmethod
    def _checkpointing_of_layers(cls, value: Any) -> Any:
        for key, given in (value or {}).items():
            layers = key == "every_n_layers" and type(given) is int and given > 0
            if not layers and (key, given) != ("use_reentrant", False):
                raise ValueError(f"takes every_n_layers, from 1, and no {key} = {shown(given)}")
        return value

    @model_validator(mode="after")
    def _levers_fit(self) -> Self:
        if self.gradient_checkpointing_kwargs and not self.gradient_checkpointing:
            raise ValueError("gradient_checkpointing_kwargs needs gradient_checkpointing = true")
        if (self.torch_compile_backend or self.torch_compile_mode) and not self.torch_compile:
            key = "torch_compile_backend" if self.torch_compile_backend else "torch_compile_mode"
            raise ValueError(f"{key} needs torch_compile = true")
        if self.torch_compile_mode and self.torch_compile_backend not in (None, "inductor"):
            raise ValueError(f'torch_compile_mode is inductor\'s, and not for "{self.torch_compile_backend}"')
        for key in (
            "dataloader_prefetch_factor",
            "dataloader_persistent_workers",
            "dataloader_multiprocessing_context",
        ):
            if getattr(self, key) and not self.dataloader_num_workers:
                raise ValueError(f"{key} is about processes that collate: it needs dataloader_num_workers, from 1")
        if self.torch_empty_cache_steps and self.device == "cpu":
            raise ValueError('torch_empty_cache_steps is for the memory of a GPU, and the device is "cpu"')
        if self.fp16 and self.bf16:
            raise ValueError("fp16 and bf16 are two precisions: at most one of them can be true")
        if self.tf32 and self.device in ("cpu", "mps"):
            raise ValueError(f'tf32 is the tensor cores\' of a GPU, and the device is "{self.device}"')
        return self

    @field_validator("warmup_steps")
    @classmethod
    def _whole_warmup(cls, steps: float) -> float:
        if math.isfinite(steps):
            _whole_from_one(steps)
        return steps

    @model_validator(mode="after")
    def _coherent(self) -> Self:
        if self.max_steps == 0 or self.max_steps < -1:
            raise ValueError("max_steps must be 1 or more, or -1 to train for num_train_epochs")
        if self.looks_for_best and self.eval_strategy == "no":
            raise ValueError(f'{self._asks_for_best()} needs evaluations: set eval_strategy to "epoch" or "steps"')
        return self

    @model_validator(mode="after")
    def _delay_in_between(self) -> Self:
        delay, by_epochs = self.eval_delay, self.eval_strategy == "epoch"
        if not delay:
            return self
        if self.eval_strategy == "no":
            raise ValueError('eval_delay keeps nothing back with eval_strategy = "no"')
        first = 1 if by_epochs else self.eval_steps or 0
        if delay <= first:
            unit = "epoch" if by_epochs else "step"
            raise ValueError(
                f"eval_delay = {delay:g} keeps nothing back: the first evaluation is after {unit} {first:g}"
            )
        if by_epochs and self.max_steps < 0 and delay > self.num_train_epochs:
            raise ValueError(delay_beyond(delay, f"{self.num_train_epochs:g} epochs", self.eval_strategy))
        if not by_epochs and delay > self.max_steps > 0:
            raise ValueError(delay_beyond(delay, f"{self.max_steps} steps", self.eval_strategy))
        return self

    @property
    def precision(self) -> Literal["float32", "bfloat16", "float16"]:
        """What forward passes compute in, as `Backend.precisions` calls it."""
        if self.fp16:
            return "float16"
        return "bfloat16" if self.bf16 else "float32"

    @property
    def optimizer_arguments(self) -> Mapping[str, Value]:
        """`optim_args`, empty where there are none."""
        return self.optim_args if isinstance(self.optim_args, dict) else {}

    @property
    def looks_for_best(self) -> bool:
        """Whether anything depends on which evaluation is the best."""
        return self._asks_for_best() is not None

    def _asks_for_best(self) -> str | None:
        if self.load_best_model_at_end:
            return "load_best_model_at_end"
        if self.early_stopping_patience is not None:
            return "early_stopping_patience"
        return 'save_strategy = "best"' if self.save_strategy == "best" else None


WITH_FLOAT16 = frozenset({"cuda"})
"""The types of device that train in float16 with a scaled loss. On a CPU Accelerate and Trainer would train in float32
without a word. MPS has an autocast and a scaler of its own, which nobody has held to the others yet.
"""


def float16_problem(device: str) -> Problem | None:
    """What is wrong with `fp16` on a device.

    Args:
        device: Its type, such as "cpu".

    Returns:
        The problem; None if the device trains in float16.
    """
    if device in WITH_FLOAT16:
        return None
    hint = 'Write bf16 = true for bfloat16, or device = "cuda" on a machine that has it.'
    return Problem(f'float16 is trained in on CUDA alone, and the device is "{device}"', "training.fp16", hint)


OWN_KEYS = frozenset(
    {"class_weights", "device", "early_stopping_patience", "early_stopping_threshold", "preprocessing_num_workers"}
)
"""Keys of `[training]` that are ours; all others are `TrainingArguments`' by name, type and default."""

RUNNER_KEYS = frozenset({"preprocessing_num_workers"})
"""Keys of `[training]` that the runner obeys, whatever the backend does."""

OTHER_SPELLINGS = {
    "batch_size": "per_device_train_batch_size",
    "train_batch_size": "per_device_train_batch_size",
    "eval_batch_size": "per_device_eval_batch_size",
    "epochs": "num_train_epochs",
    "num_epochs": "num_train_epochs",
    "steps": "max_steps",
    "lr": "learning_rate",
    "scheduler": "lr_scheduler_type",
    "lr_scheduler": "lr_scheduler_type",
    "warmup": "warmup_steps",
    "optimizer": "optim",
    "clip": "max_grad_norm",
    "clip_grad_norm": "max_grad_norm",
    "gradient_clipping": "max_grad_norm",
    "accumulation_steps": "gradient_accumulation_steps",
    "grad_accumulation_steps": "gradient_accumulation_steps",
    "mixed_precision": "bf16",
    "deterministic": "full_determinism",
    "num_workers": "dataloader_num_workers",
    "num_proc": "preprocessing_num_workers",
    "drop_last": "dataloader_drop_last",
    "patience": "early_stopping_patience",
    "early_stopping": "early_stopping_patience",
    "best_metric": "metric_for_best_model",
    "label_smoothing": "label_smoothing_factor",
    "class_weight": "class_weights",
}
"""What people write for a key of `[training]` elsewhere, and the key that is meant; see `training_arguments`, too."""
