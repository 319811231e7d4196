"""The checkpoints of a run: published whole or not at all, and known to be whole by their checksums."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftrun.errors import RunError

PREFIX = "checkpoint-"
MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A published checkpoint.

    Attributes:
        step: The optimizer steps before it; folder: where it is.
        format: What it holds, as its backend names it; None where that was not written down.
    """

    step: int
    folder: Path
    format: str | None = None


class Checkpoints:
    """Publishes the checkpoints of one run.

    Files are written aside; then they are synced, their checksums are put into a manifest and the folder gets its name,
    in a thread, while training goes on. So a crash at any moment leaves whole checkpoints, and perhaps a part of one
    under a hidden name.

    Args:
        folder: Where the checkpoints go; made when the first one is written.
        limit: How many to keep, the best one among them, as transformers' `save_total_limit`; None for all.
        published: Called with each checkpoint once it stands.
        resumed_from: The step of the checkpoint that the run goes on from, the newest whole one; else 0.
        format: What they hold, as the backend names it.
    """

    def __init__(
        self,
        folder: Path,
        limit: int | None,
        published: Callable[[Checkpoint], None],
        resumed_from: int = 0,
        format: str | None = None,
    ) -> None:
        self.folder = folder
        self.format = format
        self.limit = limit
        self.resumed_from = resumed_from
        self._published = published
        self._publisher: ThreadPoolExecutor | None = None
        self._publishing: Future[None] | None = None

    def folder_of(self, step: int) -> Path:
        """Where the checkpoint of a step stands, or will."""
        return self.folder / f"{PREFIX}{step}"

    @contextlib.contextmanager
    def writing(self, step: int, best_step: int | None = None) -> Iterator[Path]:
        """A folder to write into; when the block ends, it is published in the background.

        Raises:
            RunError: If it, or the checkpoint before it, cannot be written.
        """
        self.wait()
        aside = self.folder / f".{PREFIX}{step}.partial"
        with self._told(step, aside):
            if self._publisher is None:
                self._remove_leftovers()
            self.folder.mkdir(exist_ok=True)  # not its parents: a run folder that was removed is not made anew
            aside.mkdir()
            yield aside
        self._publisher = self._publisher or ThreadPoolExecutor(1, "ftrun-checkpoints")
        self._publishing = self._publisher.submit(self._publish, aside, step, best_step)

    def wait(self) -> None:
        """Return when the last checkpoint is published.

        Raises:
            RunError: If it cannot be.
        """
        publishing, self._publishing = self._publishing, None
        if publishing:
            publishing.result()

    def close(self) -> None:
        """Wait, and let the thread go."""
        try:
            self.wait()
        finally:
            if self._publisher:
                self._publisher.shutdown()

    @contextlib.contextmanager
    def _told(self, step: int, aside: Path) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            shutil.rmtree(aside, ignore_errors=True)
            if isinstance(error, OSError):
                raise RunError(self._cannot(step, error)) from error
            raise

    def _cannot(self, step: int, error: OSError) -> str:
        before = [path.name for path in _published(self.folder)][:1]
        kept = f"{before[0]} is whole, to resume from" if before else "there is none before it"
        return f"the checkpoint {self.folder_of(step)} cannot be written: {error.strerror or error}; {kept}"

    def _publish(self, aside: Path, step: int, best_step: int | None) -> None:
        final = self.folder_of(step)
        with self._told(step, aside):
            files = {file.name: _sealed(file) for file in sorted(aside.iterdir())}
            manifest = aside / MANIFEST
            facts = {"format": FORMAT, "step": step, "best_step": best_step, "holds": self.format, "files": files}
            manifest.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
            _sync(manifest)
            _sync(aside)
            aside.rename(final)
            _sync(final.parent)
        self._published(Checkpoint(step, final, self.format))
        self._remove_old(best_step)

    def _remove_old(self, best_step: int | None) -> None:
        if self.limit is None:
            return
        best = None if best_step is None else self.folder_of(best_step)
        published = _published(self.folder)
        best_is_old = best in published[self.limit :]
        for folder in published[max(self.limit - best_is_old, 1) :]:
            if folder != best:
                removed = folder.with_name(f".{folder.name}.removed")  # never half a checkpoint under its own name
                folder.rename(removed)
                shutil.rmtree(removed, ignore_errors=True)

    def _remove_leftovers(self) -> None:
        """What a killed process was writing or removing, and what is newer than the newest whole one."""
        damaged = [folder for folder in _published(self.folder) if _step(folder) > self.resumed_from]
        for leftover in [*self.folder.glob(f".{PREFIX}*"), *damaged]:
            shutil.rmtree(leftover, ignore_errors=True)


def newest_whole(folder: Path, best_after: float = math.inf) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole checkpoint in a folder, and a sentence about every newer one that is of no use.

    Args:
        folder: Where the checkpoints are.
        best_after: The step after which the best one of a checkpoint's time must be whole, too, for
            `load_best_model_at_end`; by default it need not.
    """
    skipped: list[str] = []
    for path in _published(folder):
        damage = damage_of(path)
        best = _best_of(path) if not damage and _step(path) > best_after else None
        if damage:
            skipped.append(f"{path.name} is not whole: {damage}")
        elif best and (damage := damage_of(best)):
            skipped.append(f"{path.name} is whole, but the best one before it, {best.name}, is not: {damage}")
        else:
            return Checkpoint(_step(path), path, _Manifest.read(path).holds), skipped
    return None, skipped


@dataclass(frozen=True)
class _Manifest:
    """What a checkpoint says of itself.

    Attributes:
        step: The optimizer steps before it.
        best_step: Those before the best one of its time; None if there was none.
        holds: What its files hold, as its backend names it.
        files: Size in bytes and checksum of each file by name.
    """

    step: int
    best_step: int | None
    holds: str | None
    files: dict[str, tuple[int, str]]

    @classmethod
    def read(cls, folder: Path) -> _Manifest:
        """That of a checkpoint.

        Raises:
            OSError: If it cannot be read.
            ValueError, KeyError, TypeError, AttributeError: If it is none.
        """
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {name: (int(file["size"]), str(file["sha256"])) for name, file in facts["files"].items()}
        best = facts["best_step"]
        return cls(int(facts["step"]), None if best is None else int(best), facts.get("holds"), files)


def _best_of(folder: Path) -> Path | None:
    """The best checkpoint of the time of a whole one, if that is another."""
    best_step = _Manifest.read(folder).best_step
    return None if best_step in (None, _step(folder)) else folder.with_name(f"{PREFIX}{best_step}")


def damage_of(folder: Path) -> str | None:
    """What is wrong with a checkpoint's files, by its manifest; None if they are as they were written."""
    try:
        manifest = _Manifest.read(folder)
    except FileNotFoundError:
        return f"it has no {MANIFEST}"
    except Exception:  # whatever may stand in a damaged file
        return f"its {MANIFEST} cannot be read"
    if manifest.step != _step(folder):
        return f"its {MANIFEST} is that of step {manifest.step}"
    problems = (_damage_of_file(folder / name, *facts) for name, facts in manifest.files.items())
    return next((problem for problem in problems if problem), None)


def _damage_of_file(file: Path, size: int, sha256: str) -> str | None:
    try:
        found = file.stat().st_size
        if found != size:
            return f"{file.name} has {found:,} bytes of {size:,}"
        return None if _checksum(file) == sha256 else f"{file.name} was altered"
    except FileNotFoundError:
        return f"{file.name} is missing"
    except (OSError, ValueError) as error:  # the latter where its name in the manifest can be none
        return f"{file.name} cannot be read: {getattr(error, 'strerror', None) or error}"


def _published(folder: Path) -> list[Path]:
    """The checkpoints under their final names, the newest first."""
    named = (path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal())
    return sorted(named, key=_step, reverse=True)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix(PREFIX))


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sealed(file: Path) -> dict[str, Any]:
    """Sync a file to disk and take its size and checksum."""
    _sync(file)
    return {"size": file.stat().st_size, "sha256": _checksum(file)}


def sync_folder(folder: Path) -> None:
    """Return when a folder and all that is in it is on disk."""
    for path in [*folder.rglob("*"), folder, folder.parent]:
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
