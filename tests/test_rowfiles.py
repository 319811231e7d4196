"""Files of rows by themselves; tests/plugins/datasets/test_reading.py has them as a data set reads them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from ftrun.errors import ExperimentError
from ftrun.rowfiles import Dialect, RowFile, suspected_delimiter, text_of

COMMAND = Dialect(setting="--{} {}")


def reader(folder: Path, content: str | bytes, name: str = "rows.csv") -> RowFile:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RowFile(path, "--data", COMMAND)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a,b\n1,2\n3\n", "one cell in line 3, and 2 in its header"),
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
