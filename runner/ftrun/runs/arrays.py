"""Arrays on disk, in NumPy's own format: any reader of it reads them, and nobody here imports NumPy."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from ftrun.runs.folder import write_whole

MAGIC = b"\x93NUMPY\x01\x00"
ALIGNMENT = 64


def write_array(path: Path, array: Any) -> None:
    """Write an array as float32, as `numpy.save` does, whole or not at all.

    The format is that of NumPy's `numpy.lib.format`, version 1.0.

    Args:
        path: The file, in a folder that is there.
        array: A NumPy array, or what has `shape`, `astype` and `tobytes` as one.
    """
    shape = tuple(int(size) for size in array.shape)
    header = repr({"descr": "<f4", "fortran_order": False, "shape": shape}).encode("latin-1")
    filled = -(-(len(MAGIC) + 2 + len(header) + 1) // ALIGNMENT) * ALIGNMENT
    header = header.ljust(filled - len(MAGIC) - 3) + b"\n"
    write_whole(path, MAGIC + struct.pack("<H", len(header)) + header + array.astype("<f4").tobytes())
