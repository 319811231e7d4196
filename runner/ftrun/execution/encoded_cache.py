"""The encoded splits on this disk: each whole or not there, used by any run, the least recently used removed first.

ftrun-encoded/
    KEY/rows.arrow     the encoded rows, as `datasets` reads them
    KEY/about.json     what they are, with a checksum; changed last when they were last used, locked while in use
    KEY.partial-...    being written, or left by a writer that was killed
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from ftrun.runs.checkpoints import sync_folder

log = logging.getLogger(__name__)

LIMIT_BYTES = 20 * 1024**3
"""What the cache may take on disk, but for what is in use."""
ROWS, ABOUT = "rows.arrow", "about.json"
PARTIAL, GONE = ".partial-", ".gone-"
LEFTOVER_SECONDS = 3600.0
"""Age at which what no writer has locked counts as left behind."""


def encoded_cache_folder() -> Path:
    """Where encoded splits are kept: below HF_DATASETS_CACHE, HF_HOME or ~/.cache/huggingface, as `datasets` has it."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    datasets_cache = os.environ.get("HF_DATASETS_CACHE") or Path(home) / "datasets"
    return Path(datasets_cache).expanduser() / "ftrun-encoded"


@dataclass(frozen=True)
class Entry:
    """An encoded split in the cache, or what a writer left behind.

    Attributes:
        folder: Where it is; its name is the key.
        size: Bytes on disk.
        used: When it was last used, in seconds since the epoch.
        about: What it is: `data`, `split`, `rows` and `model`; empty where that cannot be read.
    """

    folder: Path
    size: int
    used: float
    about: Mapping[str, Any]


class EncodedCache:
    """The cache as one run uses it: what it found or wrote is kept from being removed until the run has ended."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT_BYTES) -> None:
        self.folder = folder or encoded_cache_folder()
        self.limit = limit
        self._in_use = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._in_use.close()

    def find(self, key: str) -> Path | None:
        """The file of encoded rows under a key, held for this run; None if it is not there or not whole."""
        entry = self.folder / key
        if not os.path.lexists(entry):
            return None
        try:
            with contextlib.ExitStack() as opened:
                held = opened.enter_context((entry / ABOUT).open("rb"))
                _lock(held, fcntl.LOCK_SH)
                _check_whole(entry)
                self._in_use.enter_context(opened.pop_all())
        except (OSError, ValueError) as error:
            log.warning("the cached %s cannot be used and is made anew: %s", entry, error)
            return None
        with contextlib.suppress(OSError):  # somebody else's cache, that may only be read
            os.utime(entry / ABOUT)
        return entry / ROWS

    @contextlib.contextmanager
    def writing(self, key: str, about: Mapping[str, Any]) -> Iterator[Path]:
        """A path to write encoded rows to; when the block ends they are published under the key, for `find`.

        A block that raises, or is killed, publishes nothing. What is whole under the key already stays; another
        process may be using it.

        Raises:
            OSError: If the folder cannot be written, or the disk is full.
        """
        partial = self.folder / f"{key}{PARTIAL}{os.getpid()}-{time.monotonic_ns()}"
        partial.mkdir(parents=True)
        try:
            with (partial / ABOUT).open("w", encoding="utf-8") as held:
                _lock(held, fcntl.LOCK_SH)
                yield partial / ROWS
                json.dump({**about, "checksum": _checksum(partial / ROWS)}, held)
                held.flush()
                sync_folder(partial)
                _publish(partial, self.folder / key)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def discard(self, key: str) -> None:
        """Remove what is kept under a key, so that it is made anew.

        Raises:
            OSError: If it cannot be removed.
        """
        _put_away(self.folder / key)

    def prune(self) -> None:
        """Remove what killed writers left behind, and the least recently used until the limit is kept."""
        kept = [entry for entry in entries(self.folder) if not (_is_leftover(entry) and _remove(entry))]
        size = sum(entry.size for entry in kept)
        for entry in sorted(kept, key=lambda entry: entry.used):
            if size <= self.limit:
                break
            if entry.about and _remove(entry):
                log.info("removed %s, %s bytes, to keep the cache below %s", entry.folder, entry.size, self.limit)
                size -= entry.size


def entries(folder: Path) -> Sequence[Entry]:
    """All that is in the cache, with what killed writers left."""
    found = []
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(OSError):  # removed meanwhile
                found.append(_entry(path))
    return found


def clear(folder: Path) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """Remove all that no run is using.

    Returns:
        What was removed, and what was kept because it is in use or may not be removed.
    """
    removed: list[Entry] = []
    kept: list[Entry] = []
    for entry in entries(folder):
        (removed if _remove(entry) else kept).append(entry)
    return removed, kept


def _entry(path: Path) -> Entry:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    size = sum(file.lstat().st_size for file in files if not file.is_dir())
    about: Mapping[str, Any] = {}
    used = path.lstat().st_mtime
    with contextlib.suppress(OSError, ValueError):
        used = (path / ABOUT).stat().st_mtime
        read = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        about = read if isinstance(read, dict) and PARTIAL not in path.name else {}
    return Entry(path, size, used, about)


def _is_leftover(entry: Entry) -> bool:
    return not entry.about and time.time() - entry.used > LEFTOVER_SECONDS


def _remove(entry: Entry) -> bool:
    """Remove an entry; False if it is in use or cannot be removed."""
    with contextlib.ExitStack() as stack:
        try:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                held: IO[bytes] = stack.enter_context((entry.folder / ABOUT).open("rb"))
                _lock(held, fcntl.LOCK_EX)
            _put_away(entry.folder)
        except OSError as error:
            log.info("%s stays in the cache: %s", entry.folder, error)
            return False
    return True


def _lock(file: IO[Any], how: int) -> None:
    """Lock a file, shared or alone, for as long as it is open; where there are no locks, as on some networks, not.

    Raises:
        BlockingIOError: If another process has it.
    """
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        log.info("%s cannot be locked: %s", file.name, error)


def _check_whole(entry: Path) -> None:
    """Compare the rows with their checksum.

    Raises:
        OSError, ValueError: If they are not whole.
    """
    about = json.loads((entry / ABOUT).read_text(encoding="utf-8"))
    if not isinstance(about, dict) or about.get("checksum") != _checksum(entry / ROWS):
        raise ValueError("the rows are not those that were written")


def _publish(partial: Path, entry: Path) -> None:
    try:
        partial.rename(entry)
    except OSError:
        if not os.path.lexists(entry):
            raise
        try:
            _check_whole(entry)
        except (OSError, ValueError):
            _put_away(entry)
            partial.rename(entry)


def _put_away(path: Path) -> None:
    """Remove a file or folder, so that nobody finds a part of it."""
    gone = path if GONE in path.name else path.with_name(f"{path.name}{GONE}{time.monotonic_ns()}")
    with contextlib.suppress(FileNotFoundError):
        path.rename(gone)
        if gone.is_dir() and not gone.is_symlink():
            shutil.rmtree(gone)
        else:
            gone.unlink()


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
