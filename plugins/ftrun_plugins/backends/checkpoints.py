"""Checkpoints: one format for all backends, in transformers' file names, published whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ftrun.contracts import Job
from ftrun.errors import RunError
from torch.optim.lr_scheduler import LRScheduler
from transformers import TrainerState

FOLDER = "checkpoints"
PREFIX = "checkpoint-"
MANIFEST = "manifest.json"


def checkpoint_folder(run_folder: Path, step: int) -> Path:
    """Where the checkpoint of a step stands."""
    return run_folder / FOLDER / f"{PREFIX}{step}"


def save_checkpoint(
    job: Job, step: int, epoch: float, total_steps: int, optimizer: torch.optim.Optimizer, scheduler: LRScheduler
) -> Path:
    """Write everything that the next step depends on: aside, synced, then renamed into place.

    The folder opens with `from_pretrained`; beside the model stand `optimizer.pt`, `scheduler.pt`, `rng_state.pth`,
    `trainer_state.json` and a manifest of SHA-256 checksums. Older ones beyond `save_total_limit` are then removed.

    Raises:
        RunError: If it cannot be written; the checkpoints before it are untouched.
    """
    final = checkpoint_folder(job.run_folder, step)
    aside = final.with_name(f".{final.name}.partial")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        save_model(job, aside)
        torch.save(optimizer.state_dict(), aside / "optimizer.pt")
        torch.save(scheduler.state_dict(), aside / "scheduler.pt")
        torch.save(random_states(), aside / "rng_state.pth")
        _trainer_state(job, step, epoch, total_steps).save_to_json(str(aside / "trainer_state.json"))
        _publish(aside, final, step)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise RunError(f"the checkpoint {final} cannot be written: {error.strerror or error}") from error
    _remove_old(final.parent, job.training.save_total_limit)
    return final


def save_model(job: Job, folder: Path) -> None:
    """The model as safetensors, with its configuration and tokenizer, for `from_pretrained`."""
    job.model.save_pretrained(folder)
    job.tokenizer.save_pretrained(folder)


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
    return states


def restore_random_states(states: dict[str, Any]) -> None:
    """Put all generators back to `random_states()`."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    state = states["numpy"]
    np.random.set_state(
        ("MT19937", state["key"].numpy().astype(np.uint32), state["pos"], state["has_gauss"], state["gauss"])
    )
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def _trainer_state(job: Job, step: int, epoch: float, total_steps: int) -> TrainerState:
    return TrainerState(
        epoch=epoch,
        global_step=step,
        max_steps=total_steps,
        num_train_epochs=int(-(-job.training.num_train_epochs // 1)),
        train_batch_size=job.training.per_device_train_batch_size,
    )


def _publish(aside: Path, final: Path, step: int) -> None:
    files = {file.name: _sealed(file) for file in sorted(aside.iterdir())}
    manifest = aside / MANIFEST
    manifest.write_text(json.dumps({"format": 1, "step": step, "files": files}, indent=2) + "\n", encoding="utf-8")
    _sync(manifest)
    _sync(aside)
    shutil.rmtree(final, ignore_errors=True)
    aside.rename(final)
    _sync(final.parent)


def _sealed(file: Path) -> dict[str, Any]:
    """Sync a file to disk and take its size and checksum."""
    _sync(file)
    with file.open("rb") as stream:
        return {"size": file.stat().st_size, "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_old(folder: Path, limit: int | None) -> None:
    if limit is None:
        return
    steps = sorted(int(path.name.removeprefix(PREFIX)) for path in folder.glob(f"{PREFIX}*"))
    for step in steps[:-limit]:
        shutil.rmtree(folder / f"{PREFIX}{step}", ignore_errors=True)
