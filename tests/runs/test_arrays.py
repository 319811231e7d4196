"""Arrays on disk, as NumPy reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ftrun.runs.arrays import write_array


@pytest.mark.parametrize("shape", [(3, 2), (1,), (0, 4), (2, 3, 4), (123456, 1)])
def test_numpy_reads_what_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=shape).astype("float32")
    write_array(tmp_path / "a.npy", array)
    found = np.load(tmp_path / "a.npy", mmap_mode="r" if array.size else None)
    assert found.dtype == np.float32 and np.array_equal(found, array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


def test_columns_in_another_order_stay_where_they_are(tmp_path: Path) -> None:
    array = np.arange(12, dtype="float64").reshape(4, 3)[..., [2, 0, 1]]
    write_array(tmp_path / "a.npy", array)
    assert np.load(tmp_path / "a.npy").tolist() == array.tolist()


def test_the_header_is_numpys_own(tmp_path: Path) -> None:
    array = np.ones((5, 7), "float32")
    np.save(tmp_path / "theirs.npy", array)
    write_array(tmp_path / "ours.npy", array)
    ours, theirs = ((tmp_path / f"{name}.npy").read_bytes() for name in ("ours", "theirs"))
    assert len(ours) == len(theirs) and ours.find(b"\n") % 64 == 63
