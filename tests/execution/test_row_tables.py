"""Rows to be predicted keep their columns as they are written, from every form of file to every other."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ftrun.errors import ExperimentError
from ftrun.execution.row_tables import (
    RowTable,
    check_rows_writable,
    check_shown,
    check_writable,
    read_rows,
    rows_of_split,
    rows_of_texts,
    write_rows,
    write_text,
)
from ftrun.rowfiles import Dialect
from helpers import rows_of
from pyarrow import parquet

ADDED = {"prediction": ["x", "y"], "probability_x": [0.75, 0.25]}


def written(name: str, content: str) -> Path:
    Path(name).write_text(content)
    return Path(name)


def read(name: str, content: str, **dialect: Any) -> RowTable:
    return read_rows(written(name, content), Dialect(**dialect))


def test_cells_of_csv_stay_as_they_are_written(workdir: Path) -> None:
    table = read("in.csv", 'id,text,note\n001,a b,None\n1e5," c ","say ""x"""\n')
    write_rows(table, ADDED, Path("out.csv"))
    assert Path("out.csv").read_text() == (
        'id,text,note,prediction,probability_x\n001,a b,None,x,0.75\n1e5, c ,"say ""x""",y,0.25\n'
    )
    write_rows(table, ADDED, Path("out.tsv"))
    assert Path("out.tsv").read_text().startswith("id\ttext\tnote\tprediction\tprobability_x\n001\ta b\tNone\tx\t")


def test_packed_rows_are_those_that_were_packed(workdir: Path) -> None:
    Path("in.tsv.gz").write_bytes(gzip.compress(b"id\ttext\n001\ta b\n"))
    table = read_rows(Path("in.tsv.gz"), Dialect())
    assert (table.columns, table.suffix, table.delimiter) == ({"id": ["001"], "text": ["a b"]}, ".tsv", "\t")
    with pytest.raises(ExperimentError, match="must end in one of"):
        check_writable(Path("out.csv.gz"), None)


def test_cells_that_are_no_text_are_had_as_they_are_where_text_is_not_asked_for(workdir: Path) -> None:
    table = read("in.json", '{"words": ["a", "b"]}\n{"words": "a b"}\n')
    assert table.cells("words") == [["a", "b"], "a b"]
    with pytest.raises(ExperimentError, match='has a list in column "words", row 1'):
        table.texts("words")
    with pytest.raises(ExperimentError, match='has no text in column "words": row 2'):
        read("in.json", '{"words": ["a"]}\n{}\n').cells("words")


def test_a_delimiter_is_kept_where_the_form_is(workdir: Path) -> None:
    table = read("in.csv", "id;text\n001;a\n2;b\n", delimiter=";")
    write_rows(table, ADDED, Path("out.csv"))
    assert Path("out.csv").read_text().startswith("id;text;prediction;probability_x\n001;a;x;0.75\n")


def test_a_cell_with_the_end_of_a_line_in_it_is_read_back_as_it_was(workdir: Path) -> None:
    for cell in ("a\rb", "a\nb", "a\r\nb", "\r", "a,b", 'a "b"'):
        write_rows(RowTable("rows", {"text": [cell, "c"]}), ADDED, Path("out.csv"))
        assert Path("out.csv").read_bytes().startswith(b"text,prediction,probability_x\n")
        again = read_rows(Path("out.csv"), Dialect())
        assert again.columns == {"text": [cell, "c"], "prediction": ["x", "y"], "probability_x": ["0.75", "0.25"]}


def test_an_index_without_a_name_is_a_column_like_any_other(workdir: Path) -> None:
    table = read("in.csv", ",text\n0,a\n1,b\n")
    assert table.texts("text") == ["a", "b"]
    write_rows(table, ADDED, Path("out.csv"))
    assert Path("out.csv").read_text() == ",text,prediction,probability_x\n0,a,x,0.75\n1,b,y,0.25\n"
    for ending in (".jsonl", ".parquet"):
        write_rows(table, ADDED, Path(f"out{ending}"))
        assert read_rows(Path(f"out{ending}"), Dialect()).columns["prediction"] == ["x", "y"]


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (f"{2**70}", [f"{2**70}", f"{2**70}"]),
        ("{}", ["{}", "{}"]),
        ("[{}]", ["[{}]", "[{}]"]),
        ('{"a": {}}', ['{"a": {}}', '{"a": {}}']),
        ("[]", [[], []]),
    ],
)
def test_what_parquet_cannot_hold_goes_into_it_as_text(workdir: Path, cells: str, told: list[Any]) -> None:
    table = read("in.jsonl", f'{{"text": "a", "more": {cells}}}\n' * 2)
    write_rows(table, ADDED, Path("out.parquet"))
    assert parquet.read_table("out.parquet").column("more").to_pylist() == told


def test_half_a_character_goes_into_json_alone(workdir: Path) -> None:
    table = read("in.jsonl", '{"text": "a", "more": "x"}\n{"text": "b", "more": ["\\ud800"]}\n')
    check_rows_writable(table, Path("out.jsonl"))
    write_rows(table, ADDED, Path("out.jsonl"))
    assert read_rows(Path("out.jsonl"), Dialect()).columns["more"] == ["x", ["\ud800"]]
    for ending in (".csv", ".tsv", ".parquet"):
        with pytest.raises(ExperimentError, match=r'half a character.*column "more", row 2\n.*\.jsonl'):
            check_rows_writable(table, Path(f"out{ending}"))
    with pytest.raises(ExperimentError, match=r"half a character.*in the name of column '\\ud800'"):
        check_rows_writable(RowTable("rows", {"\ud800": ["a"]}), Path("out.csv"))


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("us"), pa.timestamp("ms", tz="UTC")])
def test_a_moment_that_python_has_not_is_text(workdir: Path, kind: pa.DataType) -> None:
    beyond = pa.array([10**7 if pa.types.is_date(kind) else 2**58, 1], kind)
    parquet.write_table(pa.table({"text": ["a", "b"], "when": beyond}), "in.parquet")
    table = read_rows(Path("in.parquet"), Dialect())
    for ending in (".jsonl", ".csv", ".parquet"):
        write_rows(table, ADDED, Path(f"out{ending}"))
    assert all(isinstance(cell, str) for cell in table.columns["when"])
    assert parquet.read_table("out.parquet").column("when").type == kind


def test_rows_between_two_stray_quotes_are_told_of(workdir: Path) -> None:
    table = read("in.csv", 'id,text\n1,"a\n2,b\n3,c"\n4,"two\nlines"\n5,d\n')
    (told,) = table.notices
    assert told.startswith('lines 2 to 4 of in.csv: 3 lines between two " are read as one row')
    assert "--quoting false" in told or "quoting = false" in told
    assert len(table) == 3 and read("one.csv", 'text\n"two\nlines"\n').notices == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("text\na\n\n\nb\n\n", ['one.csv has 2 blank lines that are no rows: a text with nothing in it is written ""']),
        (
            'text\n\na\n""\nb\n\n\n',
            ['one.csv has 1 blank line that is no row: a text with nothing in it is written ""'],
        ),
        ('text\na\n""\nb\n\n', []),
        ("text,label\na,1\n\nb,2\n", []),
    ],
)
def test_blank_lines_between_texts_are_told_of(workdir: Path, content: str, told: list[str]) -> None:
    assert read("one.csv", content).notices == told


def test_columns_without_a_name_are_kept_however_many(workdir: Path) -> None:
    table = read("in.csv", "text,,,Unnamed: 2\na,1,2,3\nb,4,5,6\n")
    write_rows(table, {}, Path("out.csv"))
    assert Path("out.csv").read_text() == "text,Unnamed: 1,Unnamed: 2.1,Unnamed: 2\na,1,2,3\nb,4,5,6\n"
    assert list(read("one.csv", "text,\na,1\n").columns) == ["text", ""]


def test_json_keeps_what_a_row_has_and_nothing_else(workdir: Path) -> None:
    table = read("in.jsonl", '{"text": "ü", "tags": ["a", 1]}\n{"text": 5, "n": null}\n')
    assert table.texts("text") == ["ü", "5"]
    write_rows(table, ADDED, Path("out.jsonl"))
    first, second = map(json.loads, Path("out.jsonl").read_text().splitlines())
    assert first == {"text": "ü", "tags": ["a", 1], "prediction": "x", "probability_x": 0.75}
    assert second == {"text": 5, "n": None, "prediction": "y", "probability_x": 0.25}
    write_rows(table, ADDED, Path("out.csv"))
    assert Path("out.csv").read_text().splitlines()[1:] == ['ü,"[""a"", 1]",,x,0.75', "5,,,y,0.25"]
    write_rows(table, ADDED, Path("out.parquet"))
    assert parquet.read_table("out.parquet").column("text").to_pylist() == ["ü", "5"]


def test_parquet_keeps_its_types(workdir: Path) -> None:
    arrow = pa.table({"id": pa.array([1, 2], pa.int8()), "text": pa.array(["a", "b"]).dictionary_encode()})
    parquet.write_table(arrow, "in.parquet")
    table = read_rows(Path("in.parquet"), Dialect())
    write_rows(table, ADDED, Path("out.parquet"))
    again = parquet.read_table("out.parquet")
    assert again.schema.field("id").type == pa.int8()
    assert again.column("prediction").to_pylist() == ["x", "y"]
    assert table.texts("id") == ["1", "2"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("in.csv", "a,b\n1\n", "one cell in line 2, and 2 in its header"),
        ("in.csv", "a,b\n", "has no rows"),
        ("in.csv", "", "is empty"),
        ("in.json", "[1]", "no object in row 1"),
        ("in.jsonl", '{"a": 1}\n{"a"', "no JSON in line 2"),
        ("in.parquet", "no such thing", "no Parquet that can be read"),
        ("in.txt", "a", "must end in one of .csv"),
    ],
)
def test_a_file_that_is_none_is_told_with_its_place(workdir: Path, name: str, content: str, told: str) -> None:
    with pytest.raises(ExperimentError, match=told) as caught:
        read(name, content)
    assert caught.value.problems[0].place == "--data"


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"text": null}', "no text.*row 2"),
        ("{}", "no text.*row 2"),
        ('{"text": NaN}', "no text.*row 2"),
        ('{"text": [1]}', "a list.*row 2"),
        ('{"text": {"a": 1}}', "an object.*row 2"),
        ('{"text": "\\ud800"}', "half a character.*row 2"),
    ],
)
def test_a_row_without_text_is_named(workdir: Path, row: str, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        read("in.jsonl", '{"text": "a"}\n' + row).texts("text")


def test_texts_are_as_many_as_the_model_takes() -> None:
    assert rows_of_texts([("a", "b")], ["one", "two"]).columns == {"one": ["a"], "two": ["b"]}
    with pytest.raises(ExperimentError, match=r"1 text for a model of 2"):
        rows_of_texts([("a",)], ["one", "two"])


def test_a_split_has_its_columns() -> None:
    assert rows_of_split("test", rows_of(text=["a"], label=[1])).columns == {"text": ["a"], "label": [1]}


def test_what_cannot_be_written_is_told_before(workdir: Path) -> None:
    data = written("in.csv", "a\n1\n")
    for out, told in {
        "out.txt": "must end in one of",
        "in.csv": "is the file that is read",
        "nowhere/out.csv": "there is no folder",
    }.items():
        with pytest.raises(ExperimentError, match=told):
            check_writable(Path(out), data)
    Path("out.csv").write_text("old")
    with pytest.raises(ExperimentError, match=r"out\.csv is there already\n.*--overwrite"):
        check_writable(Path("out.csv"), data)
    check_writable(Path("out.csv"), data, overwrite=True)
    assert Path("out.csv").read_text() == "old" and sorted(path.name for path in workdir.iterdir()) == [
        "in.csv",
        "out.csv",
    ]


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_stream_of_few_characters_gets_json_that_says_the_same_and_no_csv(encoding: str) -> None:
    table = RowTable("rows", {"text": ["h\u00e9 \u4e2d \U0001f600"]})
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    write_text(table, {"prediction": ["\u8d1f"]}, stream, ".jsonl")
    stream.seek(0)
    assert json.loads(stream.read()) == {"text": "h\u00e9 \u4e2d \U0001f600", "prediction": "\u8d1f"}
    with pytest.raises(
        ExperimentError, match=f"standard output is in {encoding}, which has no place for (.|\n)*PYTHONIOENCODING"
    ):
        check_shown(table, (), stream)
    with pytest.raises(ExperimentError, match=r"has no place for '\\u8d1f'"):
        check_shown(RowTable("rows", {"text": ["a"]}), ["\u8d1f"], stream)
    check_shown(table, ["\u8d1f"], io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
