"""Files of rows: cells are what is written in them, and a file that is not what it is said to be is refused by line."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import FilesSettings, _check_files
from ftrun_plugins.datasets.reading import RowFile
from hypothesis import given
from hypothesis import strategies as st

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:12ab\nsize 345\n"


def read(path: Path, **settings: Any) -> dict[str, list[Any]]:
    wanted = {"text_columns": ["text"], "train": str(path), "validation": str(path), **settings}
    columns: dict[str, list[Any]] = RowFile(path, "train", FilesSettings(**wanted)).read().to_pydict()
    return columns


def written(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "name", "settings"),
    [
        ("text,label\n001,None\n,NA\n 1.0 ,null\n", "rows.csv", {}),
        ("text\tlabel\n001\tNone\n\tNA\n 1.0 \tnull\n", "rows.tsv", {}),
        ("text\tlabel\n001\tNone\n\tNA\n 1.0 \tnull\n", "ROWS.TSV", {}),
        ("text;label\n001;None\n;NA\n 1.0 ;null\n", "rows.csv", {"delimiter": ";"}),
        ("\ufefftext,label\n001,None\n,NA\n 1.0 ,null\n", "rows.csv", {}),
        ('"text","label"\r\n"001","None"\r\n"","NA"\r\n" 1.0 ","null"\r\n\r\n', "rows.csv", {}),
        ("text,label\r001,None\r,NA\r 1.0 ,null", "rows.csv", {}),
        ("idle,label,text\nx,None,001\nx,NA,\nx,null, 1.0 \n", "rows.csv", {}),
        ("text,label\n001,None\n,NA\n 1.0 ,null\n".encode("utf-16"), "rows.csv", {"encoding": "utf-16"}),
        ("\ufefftext,label\n001,None\n,NA\n 1.0 ,null\n".encode("utf-16-le"), "rows.csv", {"encoding": "utf-16-le"}),
        (
            '\ufeff"text","label"\n001,None\n,NA\n 1.0 ,null\n'.encode("utf-16-le"),
            "rows.csv",
            {"encoding": "utf-16-le"},
        ),
        ("\ufefftext,label\n001,None\n,NA\n 1.0 ,null\n", "rows.csv", {"encoding": "U8"}),
    ],
)
def test_cells_are_text_as_written(workdir: Path, content: str | bytes, name: str, settings: dict[str, Any]) -> None:
    path = written(workdir, content, name)
    assert read(path, **settings) == {"text": ["001", "", " 1.0 "], "label": ["None", "NA", "null"]}


def test_what_json_has_for_no_number_is_no_text(workdir: Path) -> None:
    path = written(workdir, '{"text": "a", "label": 1}\n{"text": NaN, "label": 0}\n', "rows.jsonl")
    assert read(path)["text"] == ["a", None]


@given(
    cells=st.lists(st.tuples(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))), min_size=1),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_csv_writes_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("text", "label"), *cells])
    assert list(zip(*read(path, delimiter=delimiter).values(), strict=True)) == cells


def test_a_quote_can_be_a_character_like_any_other(workdir: Path) -> None:
    path = written(workdir, 'text\tlabel\n"so he said\tx\n5" nails\ty\n', "rows.tsv")
    with pytest.raises(ExperimentError, match=r"line 2[\s\S]*quoting = false"):
        read(path)
    assert read(path, quoting=False)["text"] == ['"so he said', '5" nails']


def test_texts_between_quotes_that_are_characters_are_told_of(workdir: Path) -> None:
    told = []
    for rows in ('"a b",1\n"c",0\n', '"a b",1\nc,0\n'):
        settings = FilesSettings(train="a.csv", text_columns=["text"], quoting=False)
        reader = RowFile(written(workdir, f"text,label\n{rows}", "a.csv"), "train", settings)
        reader.read()
        told.append(reader.notices)
    how = "which are part of it: [dataset] quoting = true"
    assert told == [[f'every text of a.csv in column "text" stands between two ", {how}'], []]


def test_a_very_long_cell_is_read_and_pythons_limit_is_as_it_was(workdir: Path) -> None:
    before = csv.field_size_limit(1234)
    try:
        assert len(read(written(workdir, f"text,label\n{'a' * 500_000},x\n"))["text"][0]) == 500_000
        assert csv.field_size_limit() == 1234
    finally:
        csv.field_size_limit(before)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("text,label\n", "has no rows"),
        ("text,label\na,x\nb\n", r"one cell in line 3, and 2 in its header\n.*the end of a line must be quoted"),
        ("text,label\na,x,\n", r'3 cells in line 2, and 2 in its header\n.*If each row ends with ","'),
        ('text,label\n"a \\"b\\" c",x\n', r"not well formed in line 2.*\n.*each \" stands twice"),
        ('text,label\n"a\nb",x\nc,d,e\n', "3 cells in line 4"),
        ('label,text\nx, "a, b"\n', r'3 cells in line 2, and 2 in its header\n.*right after ",", without a space'),
        ('text,label\n"a,x\nb,y\n', "not well formed in line 2"),
        ("text,label,text\na,x,b\n", 'more than one column named "text"'),
        ("text;label\na;x\n", r'[\s\S]*delimiter = ";"'),
        ("text\tlabel\na\tx\n", r'[\s\S]*delimiter = "\\t"'),
        ("Text,Label\na,x\n", r'has no column "text", "label"[\s\S]*Did you mean "Text"'),
        ("text, label\na, x\n", r'has no column "label"[\s\S]*" label"'),
        ("text,label\nä,x\nö,y\n".encode("cp1252"), r'not UTF-8 text in line 2[\s\S]*encoding = "cp1252"'),
        ("text,label\nä,x\n".encode("utf-16"), r'encoding = "utf-16"'),
        (gzip.compress(b"text,label\na,x\n", mtime=0), "compressed by gzip"),
        (b"PK\x03\x04\xff\xfe", "a zip archive, such as an Excel file"),
    ],
)
def test_what_is_no_such_table_is_refused_with_its_line(workdir: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(ExperimentError, match=words) as refused:
        read(written(workdir, content))
    assert refused.value.problems[0].place == "dataset.train"


def test_a_wrong_header_is_told_by_check_before_any_work(workdir: Path) -> None:
    written(workdir, "text;label\na;x\n", "train.csv")
    written(workdir, "text,label,label\na,x,y\n", "validation.csv")
    problems = _check_files(FilesSettings(text_columns=["text"], train="train.csv", validation="validation.csv"))
    assert [problem.place for problem in problems] == ["train", "validation"]
    assert "delimiter" in str(problems[0].hint) and 'named "label"' in problems[1].message


def lines(*rows: Any) -> str:
    return "\n".join(map(json.dumps, rows))


ROWS = [{"text": "a", "label": "x", "more": [1]}, {"label": "NA", "text": ""}]


@pytest.mark.parametrize(
    "content",
    [lines(*ROWS), json.dumps(ROWS), json.dumps(ROWS, indent=2), "\ufeff" + lines(*ROWS), lines(*ROWS) + "\n\n"],
)
def test_json_is_a_list_or_lines(workdir: Path, content: str) -> None:
    assert read(written(workdir, content, "rows.json")) == {"text": ["a", ""], "label": ["x", "NA"]}


def test_numbers_as_text_are_text(workdir: Path) -> None:
    rows = [{"text": 5, "label": 1}, {"text": 1.5, "label": 2}, {"text": True, "label": 3}]
    assert read(written(workdir, lines(*rows), "rows.json"))["text"] == ["5", "1.5", "true"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", "has no rows"),
        ("", "has no rows"),
        ("5\n6", "no object in line 1"),
        ('["a"]', "no object in row 1"),
        ('{"text": "a", "label": 1}\n{"text": "b", "la', "no JSON in line 2"),
        (json.dumps({"data": ROWS}, indent=1), r"no JSON in line 1[\s\S]*a list of objects, or one object a line"),
        ('{"text": "a", "label": 1, "label": 2}', 'more than one value is named "label"'),
        (lines({"text": "a", "label": ["x", "y"]}), 'a list in column "label", row 1'),
        (lines({"text": {"en": "a"}, "label": "x"}), 'an object in column "text", row 1'),
        (
            lines({"text": "a", "label": "x"}, {"text": "b", "label": 2}),
            'mixes kinds of values in column "label": row 2',
        ),
        (
            lines({"text": "a", "label": True}, {"text": "b", "label": 1}),
            'mixes kinds of values in column "label": row 2',
        ),
        ('{"text": "\\ud800", "label": "x"}', 'half a character .* in column "text", row 1'),
        (lines({"text": "a", "label": 10**30}), "too large"),
        ("[" * 100_000, "nested too deeply|no JSON"),
        ('{"text": "ä", "label": 1}'.encode("cp1252"), r"not UTF-8 text in line 1[\s\S]*JSON is UTF-8"),
    ],
)
def test_json_that_is_no_table_is_refused_with_its_line(workdir: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        read(written(workdir, content, "rows.jsonl"))


def test_parquet_is_read_by_its_columns_and_a_damaged_one_refused(workdir: Path) -> None:
    path = workdir / "rows.parquet"
    pd.DataFrame({"more": [[1], [2]], "label": [True, False], "text": ["a", "b"]}).to_parquet(path)
    assert read(path) == {"text": ["a", "b"], "label": [True, False]}
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ExperimentError, match="is no Parquet that can be read"):
        read(path)


def test_settings_that_read_no_file_are_refused() -> None:
    named = {"text_columns": ["text"], "train": "a.csv", "validation": "b.csv"}
    for settings, words in [
        ({"delimiter": ",,"}, "one character"),
        ({"delimiter": '"'}, "one character"),
        ({"encoding": "klingon"}, "no text encoding"),
        ({"encoding": "base64"}, "no text encoding"),
        ({"label_ids": True}, "class_names, which is missing"),
        ({"class_names": ["x", "x"]}, "x more than once"),
        ({"class_names": ["x", " "]}, "has no name"),
        ({"text_columns": ["label"]}, "both a text column and the label column"),
        ({"text_columns": ["text", "text"]}, "one column twice"),
    ]:
        with pytest.raises(ValueError, match=words):
            FilesSettings(**{**named, **settings})


@pytest.mark.parametrize(
    ("content", "encoding", "told"),
    [
        ("text,label\nä,x\n".encode(), "utf-16", r'not UTF-16 text.*\s+It seems to be UTF-8: .*encoding = "utf-8"'),
        ("text,label\nä fine day,x\n".encode("cp1252"), "utf-8", r'encoding = "cp1252", perhaps'),
        ("text,label\n今天天气很好,x\n".encode("gb18030"), "utf-8", r'such as gb18030.*encoding = "\.\.\."\.$'),
    ],
)
def test_the_encoding_that_is_asked_about_does_no_harm(workdir: Path, content: bytes, encoding: str, told: str) -> None:
    with pytest.raises(ExperimentError, match=told):
        read(written(workdir, content), encoding=encoding)


@pytest.mark.parametrize(
    ("content", "name", "told"),
    [
        ("text,label\n", "rows.csv", "has no rows"),
        ("", "rows.jsonl", "has no rows"),
        ('{"text": ["a", "b"], "label": [0, 1]}', "rows.json", "one object with all rows inside"),
        ('{"data": [{"text": "a", "label": 0}]}', "rows.json", 'one object with all rows inside\n.*orient="records"'),
        ('{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n', "rows.csv", "looks like JSON\n.*rows.jsonl"),
        ("sep=;\ntext;label\na;x\n", "rows.csv", "begins with a line for Excel, sep=, and no header"),
        ("text,label\na,x\n".encode("utf-16-le"), "rows.csv", 'NUL characters in its header.*\n.*"utf-16-le"'),
        ("text;label\na, so;x\nb, too;y\n", "rows.csv", r'between its cells\? .*delimiter = ";"$'),
        ('text,label\n"a, so",x\n', "rows.tsv", r'between its cells\? .*delimiter = ","$'),
        ('[\n{"text": "a",\n "label": "x"}\n]', "rows.csv", "looks like JSON\n.*rows.jsonl"),
        ('[{"text": "a", "label": 0}, {"text": "b", "label": 0}]', "rows.csv", "looks like JSON\n.*rows.jsonl"),
        ("<!DOCTYPE html>\n<html>a, b</html>\n", "rows.csv", "looks like a page of the web"),
        ('{"version": "1", "data": [{"text": "a", "label": 0}]}', "rows.json", "one object with all rows inside"),
        *[(POINTER, f"rows{ending}", "a pointer of Git LFS") for ending in (".csv", ".jsonl", ".parquet")],
        (
            '"text","label"\n"1","a","x"\n',
            "rows.csv",
            "has 3 cells in line 2, and 2 in its header\n.*row.names = FALSE",
        ),
    ],
)
def test_a_file_that_holds_no_rows_as_it_stands_says_why(workdir: Path, content: str, name: str, told: str) -> None:
    path = written(workdir, content, name)
    for look in (RowFile(path, "train", FilesSettings(train=str(path))).contents, lambda: read(path)):
        with pytest.raises(ExperimentError, match=told):
            look()


def test_whole_numbers_that_no_float_holds_stay_apart_or_are_refused(workdir: Path) -> None:
    rows = [{"text": "a", "label": 2**53}, {"text": "b", "label": 2**53 + 1}]
    more = [{"text": "c", "label": float("nan")}, {"text": "d", "label": 1.0}]
    path = written(workdir, "\n".join(map(json.dumps, [*rows, more[0]])), "rows.jsonl")
    assert read(path)["label"] == [2**53, 2**53 + 1, None]
    path = written(workdir, "\n".join(map(json.dumps, [*rows, *more])), "more.jsonl")
    with pytest.raises(ExperimentError, match=r'has 9007199254740993 in column "label", row 2, which is too large'):
        read(path)
    assert read(path, kind="regression")["label"] == [2.0**53, 2.0**53, None, 1.0]


def test_parquet_of_views_is_text(workdir: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    views = pa.array(["a good", "b"]).cast(pa.string_view())
    parquet.write_table(pa.table({"text": views, "label": views}), workdir / "rows.parquet")
    path = workdir / "rows.parquet"
    assert read(path) == {"text": ["a good", "b"], "label": ["a good", "b"]}
    assert RowFile(path, "train", FilesSettings(train=str(path))).contents()["text"] == "text"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_utf8_that_says_so_is_not_read_as_something_else(workdir: Path, encoding: str) -> None:
    path = written(workdir, "\ufefftext,label\nä,x\n")
    with pytest.raises(ExperimentError, match=f"begins with the mark of UTF-8, and is read as {encoding}"):
        read(path, encoding=encoding)
