"""What a checkpoint holds: one format for all backends, in transformers' file names, each written or read here."""

from __future__ import annotations

import contextlib
import errno
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import PreTrainedModel, TrainerState

from ftrun.contracts import Job, OwnCheckpoints, TrainableModel
from ftrun.errors import ExperimentError, Problem

log = logging.getLogger(__name__)

OPTIMIZER, SCHEDULER, RANDOM, STATE = "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"
SCALER = "scaler.pt"
KEEPING = {"amsgrad", "centered", "momentum", "beta1"}
"""Settings of optimizers by which, as they are on or off, more or less is kept of each tensor."""
WEIGHTS = "state_dict.pt"
"""The weights of a model that is no `transformers.PreTrainedModel`, which nobody else knows how to read back."""


def write_checkpoint(
    job: Job,
    folder: Path,
    state: TrainerState,
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    scaler: torch.amp.GradScaler | None = None,
) -> None:
    """Write everything that the next step depends on.

    The folder holds what `save_pretrained` writes, and so opens with `from_pretrained` where the model has that. Beside
    it stand `optimizer.pt`, `scheduler.pt`, `rng_state.pth`, where the loss is scaled `scaler.pt` and, of a model that
    is no `transformers.PreTrainedModel`, `state_dict.pt`, all of which open with `weights_only=True`; and
    `trainer_state.json`. Of a model with
    `save_checkpoint` it holds what that writes in place of the model.

    Raises:
        OSError: If it cannot be written.
    """
    model = job.model
    _save(job, folder, model.save_checkpoint if isinstance(model, OwnCheckpoints) else model.save_pretrained)
    with _disk_errors():
        torch.save(optimizer.state_dict(), folder / OPTIMIZER)
        torch.save(scheduler.state_dict(), folder / SCHEDULER)
        torch.save(random_states(), folder / RANDOM)
        if scaler is not None and scaler.is_enabled():
            torch.save(scaler.state_dict(), folder / SCALER)
        if not isinstance(model, (PreTrainedModel, OwnCheckpoints)):
            torch.save(model.state_dict(), folder / WEIGHTS)
    state.save_to_json(str(folder / STATE))


def save_model(job: Job, folder: Path) -> None:
    """The model as its `save_pretrained` writes it, and its tokenizer where there is one.

    Raises:
        OSError: If it cannot be written.
    """
    _save(job, folder, job.model.save_pretrained)


def _save(job: Job, folder: Path, write: Callable[[Path], Any]) -> None:
    with _disk_errors():
        folder.mkdir(exist_ok=True)  # transformers' own makes it, and nobody asks that of another's
        write(folder)
        if job.tokenizer is not None:
            job.tokenizer.save_pretrained(folder)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Torch, safetensors and tokenizers tell of a full disk each in an error of its own."""
    try:
        yield
    except Exception as error:
        text = str(error)
        if any(sign in text for sign in ("PytorchStreamWriter", "unexpected pos", "iostream error")):
            raise OSError("torch could not write it; is the disk full?") from error
        if isinstance(error, SafetensorError) or "(os error " in text:
            raise OSError(text) from error
        raise


def load_weights(model: TrainableModel, folder: Path) -> None:
    """Put the weights of a checkpoint into a model of the same class, bit for bit.

    Raises:
        ExperimentError: If they are of a model with other parameters.
    """
    try:
        if isinstance(model, OwnCheckpoints):
            model.load_checkpoint(folder)
            return
        stored = _stored(model, folder)
    except FileNotFoundError as error:  # the checkpoint itself is whole
        raise _other_model(folder, f"it has no {Path(error.filename or 'weights').name}") from error
    own = model.state_dict()
    if differing := [name for name in {**own, **stored} if _size(own.get(name)) != _size(stored.get(name))]:
        name = differing[0]
        raise _other_model(folder, f"{name} is {_size(stored.get(name))} there, and {_size(own.get(name))} here")
    model.load_state_dict(stored)


def _stored(model: TrainableModel, folder: Path) -> Mapping[str, Any]:
    if not isinstance(model, PreTrainedModel):
        weights: Mapping[str, Any] = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        return weights
    try:
        return type(model).from_pretrained(folder).state_dict()
    except OSError as error:
        if any(folder.glob("*.safetensors")):
            raise
        raise FileNotFoundError(errno.ENOENT, "no weights", "model.safetensors") from error


def _size(value: Any) -> str:
    """Of a tensor, as one says it."""
    if value is None:
        return "missing"
    return " x ".join(map(str, value.shape)) or "a number" if isinstance(value, torch.Tensor) else "a value"


def _other_model(folder: Path, why: str) -> ExperimentError:
    message = f"{folder.name} is of a model with other parameters: {why}"
    return ExperimentError(Problem(message, "model", "Go on with the [model] that the run was begun with."))


def load_state(folder: Path) -> TrainerState:
    """The trainer's state of a checkpoint."""
    state: TrainerState = TrainerState.load_from_json(str(folder / STATE))
    return state


def load_optimizer(folder: Path, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
    """Put optimizer and schedule where they were. Moments and position come from the checkpoint, all else (learning
    rate, decay, betas) from the settings: the same, unless somebody allowed a change.

    Args:
        folder: The checkpoint's.
        optimizer: Any of torch's, with the groups of the one that was saved; of another kind it begins with no moments.
        scheduler: A `LambdaLR`, as `transformers.get_scheduler` makes; one of another class goes on with the rates that
            it had.

    Raises:
        ExperimentError: If the checkpoint is of a model with other parameters to learn.
    """
    settings = [{key: group[key] for key in group if key != "params"} for group in optimizer.param_groups]
    _load_moments(folder, optimizer)
    saved = torch.load(folder / SCHEDULER, map_location="cpu", weights_only=True)
    if not isinstance(scheduler, LambdaLR):
        scheduler.load_state_dict(saved)
        return
    scheduler.load_state_dict({**saved, "base_lrs": scheduler.base_lrs})
    factors = [factor(scheduler.last_epoch) for factor in scheduler.lr_lambdas]
    for group, values, base, factor in zip(optimizer.param_groups, settings, scheduler.base_lrs, factors, strict=True):
        group.update({**values, "lr": base * factor})
    scheduler._last_lr = [group["lr"] for group in optimizer.param_groups]


def _load_moments(folder: Path, optimizer: torch.optim.Optimizer) -> None:
    saved = torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True)
    counts, own = (
        [len(group["params"]) for group in groups] for groups in (saved["param_groups"], optimizer.param_groups)
    )
    if counts != own:
        raise _other_model(folder, f"{sum(counts):,} tensors were learning there, and {sum(own):,} here")
    if all(map(_keeps_alike, saved["param_groups"], optimizer.param_groups)):
        optimizer.load_state_dict(saved)
    else:
        log.warning("%s is of another optimizer, whose moments this one cannot use: they begin anew", folder.name)


def _keeps_alike(group: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the optimizers of two groups keep the same of each tensor, as their settings tell: a later version of one
    may have more of these.
    """
    added = {"params", "lr", "initial_lr"}
    names, others = group.keys() - added, other.keys() - added
    if not (names <= others or others <= names):
        return False
    return all(bool(group[name]) == bool(other[name]) for name in KEEPING & names & others)


def load_scaler(folder: Path, scaler: torch.amp.GradScaler) -> None:
    """Put the scale and what it grows by where they were; of a checkpoint without them it begins as it is."""
    if scaler.is_enabled() and (folder / SCALER).is_file():
        scaler.load_state_dict(torch.load(folder / SCALER, map_location="cpu", weights_only=True))


def load_random_states(folder: Path) -> None:
    """Put all generators where they were."""
    restore_random_states(torch.load(folder / RANDOM, map_location="cpu", weights_only=True))


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put all generators back where they were, whoever draws from them meanwhile."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)


def random_states() -> dict[str, Any]:
    """The states of all generators that training may draw from, as plain values and tensors."""
    version, internal, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)
    states: dict[str, Any] = {
        "python": [version, list(internal), gauss],
        "numpy": {
            "key": torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            "pos": int(numpy_state["state"]["pos"]),
            "has_gauss": int(numpy_state["has_gauss"]),
            "gauss": float(numpy_state["gauss"]),
        },
        "cpu": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    if torch.backends.mps.is_available():
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put all generators back to `random_states()`; those of devices that are not here are left out."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    state = states["numpy"]
    np.random.set_state(
        ("MT19937", state["key"].numpy().astype(np.uint32), state["pos"], state["has_gauss"], state["gauss"])
    )
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"][: torch.cuda.device_count()])
    if "mps" in states and torch.backends.mps.is_available():
        torch.mps.set_rng_state(states["mps"])
