"""Files of rows by themselves; tests/plugins/datasets/test_reading.py has them as a data set reads them."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from ftrun import rowfiles
from ftrun.errors import ExperimentError
from ftrun.rowfiles import (
    Dialect,
    RowFile,
    ending_fault,
    ending_of,
    is_packed,
    stem_of,
    suspected_delimiter,
    text_of,
)

COMMAND = Dialect(setting="--{} {}")


def packed(content: bytes) -> bytes:
    """Without the time of day, which would be in the names of tests."""
    return gzip.compress(content, mtime=0)


def reader(folder: Path, content: str | bytes, name: str = "rows.csv") -> RowFile:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RowFile(path, "--data", COMMAND)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b\n1,2\n3\n", "one cell in line 3, and 2 in its header"),
        ("made by hand\na,b\n1,2\n", r"2 cells in line 2, and 1 in its header\n.*what stands above it has to go"),
        ('a,b\n1,"2\n', r"not well formed in line 2.*\n.*--quoting false"),
        (b"a,b\n1,\xff\n", r"line 2.*\n.*--encoding .cp1252., perhaps"),
        (b"PK\x03\x04\xff", "looks like a zip archive"),
    ],
)
def test_what_is_wrong_is_told_with_the_line_and_in_the_words_of_who_asked(
    workdir: Path, content: str | bytes, told: str
) -> None:
    file = reader(workdir, content)
    with pytest.raises(ExperimentError, match=told) as caught, file.disk_errors(), file.cells() as cells:
        list(cells)
    assert caught.value.problems[0].place == "--data"


def test_objects_are_those_of_a_list_or_of_lines(workdir: Path) -> None:
    expected = [{"a": "001", "b": [1]}, {"a": None}]
    assert list(reader(workdir, '[{"a": "001", "b": [1]}, {"a": null}]', "a.json").objects()) == expected
    assert list(reader(workdir, '{"a": "001", "b": [1]}\n\n{"a": null}\n', "b.jsonl").objects()) == expected


def test_a_column_that_is_there_twice_or_has_no_name_is_told(workdir: Path) -> None:
    file = reader(workdir, "")
    with pytest.raises(ExperimentError, match='more than one column named "a"'):
        file.named(["a", "a"])
    with pytest.raises(ExperimentError, match="is empty"):
        file.named([""])


def test_a_header_of_one_cell_may_have_another_delimiter() -> None:
    assert suspected_delimiter(["a;b"], ",") == ";"
    assert suspected_delimiter(["a;b", "c"], ",") is None and suspected_delimiter(["ab"], ",") is None


def test_columns_of_other_kinds_are_text_as_json_has_it() -> None:
    assert text_of(pa.chunked_array([[1.5, 2.0]])).to_pylist() == ["1.5", "2.0"]
    assert text_of(pa.chunked_array([[True, False]])).to_pylist() == ["true", "false"]
    assert text_of(pa.chunked_array([pa.array(["x"]).dictionary_encode()])).to_pylist() == ["x"]


def test_a_packed_file_is_read_as_it_is_unpacked(workdir: Path) -> None:
    with reader(workdir, packed(b"\xef\xbb\xbfa,b\n1,2\n"), "rows.csv.gz").cells() as cells:
        assert list(cells) == [["a", "b"], ["1", "2"]]
    with reader(workdir, packed(b"a\tb\n") + packed(b"1\t2\n"), "ROWS.TSV.GZ").cells() as cells:
        assert list(cells) == [["a", "b"], ["1", "2"]]
    for content in (b'[{"a": 1}]', b' \n{"a": 1}\n'):
        assert list(reader(workdir, packed(content), "rows.json.gz").objects()) == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("rows.csv.gz", b"a,b\n1,2\n", r"not packed by gzip, as its name says\s+.*call it rows\.csv"),
        ("rows.csv.gz", b"", "not packed by gzip"),
        ("rows.csv.gz", packed(b"a,b\n1,2\n" * 99)[:30], r"cannot be unpacked: .*\s+.*fetch it again"),
        ("rows.csv.gz", packed(b"a,b\n")[:-8] + b"12345678", "cannot be unpacked"),
        ("rows.csv.gz", packed(b"a,b\n") + b"more", "cannot be unpacked"),
        ("rows.csv.gz", b"\x1f\x8b" + bytes(range(90)), "cannot be unpacked"),
        ("rows.csv.gz", packed(b"a,b\n1,\xff\n"), "line 2"),
        ("rows.csv.gz", packed(b"PK\x03\x04\xff"), "looks like a zip archive"),
        ("rows.csv", packed(b"a,b\n"), r"compressed by gzip\s+Call it rows\.csv\.gz"),
    ],
)
def test_what_is_not_packed_or_badly_is_told(workdir: Path, name: str, content: bytes, told: str) -> None:
    file = reader(workdir, content, name)
    with pytest.raises(ExperimentError, match=told), file.disk_errors(), file.cells() as cells:
        list(cells)


def test_what_unpacks_to_a_mountain_is_left_before_it_fills_the_memory(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rowfiles, "LARGEST_UNPACKED", 1 << 20)
    mountain = packed(b"a,b\n" + b"0" * (8 << 20))
    csv_file = reader(workdir, mountain, "rows.csv.gz")
    json_file = reader(workdir, packed(b"[" + b"0" * (8 << 20)), "rows.json.gz")
    told = "unpacks to more than 100 times"
    with pytest.raises(ExperimentError, match=told), csv_file.disk_errors(), csv_file.cells() as cells:
        list(cells)
    with pytest.raises(ExperimentError, match=told), json_file.disk_errors():
        list(json_file.objects())


def test_names_end_in_what_a_file_holds_and_perhaps_in_gz() -> None:
    assert (ending_of(Path("a.CSV.gz")), stem_of(Path("a.b.csv.gz")), is_packed(Path("a.csv"))) == (
        ".csv",
        "a.b",
        False,
    )
    assert stem_of(Path("a.csv")) == "a" and ending_fault(Path("a.jsonl.GZ")) is None
    for name in ("a.parquet.gz", "a.gz", "a", ".csv", "a.csv.zip"):
        assert "must end in one of" in (ending_fault(Path(name)) or "")


def test_a_decimal_of_more_digits_than_a_float_is_text_as_it_is() -> None:
    cells = [Decimal("12345678901234567890.10"), Decimal("0.10"), Decimal("5.00"), None]
    assert text_of(pa.chunked_array([pa.array(cells)])).to_pylist() == ["12345678901234567890.10", "0.1", "5.0", None]


def test_numbers_of_single_precision_are_text_of_their_own_digits() -> None:
    cells = pa.array([0.1, 5, 1e-7, 16777216, None, float("nan")], pa.float32())
    assert text_of(pa.chunked_array([cells])).to_pylist() == ["0.1", "5.0", "1e-07", "16777216.0", None, None]
