"""Rows come as the queries give them; what is wrong is said before any work."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from ftrun.contracts import Task
from ftrun.errors import ExperimentError
from ftrun.testing import DatasetSuite
from ftrun_sqlite import SqliteSettings
from ftrun_sqlite.reading import problems
from ftrun_sqlite.splits import build, read

ROWS = [("fine", "good"), ("poor", "bad"), (12, "good"), ("fair", None)]
TASK = Task("classification", ("text",), "label", ("bad", "good"))


def settings(folder: Path, train: str, validation: str = "SELECT * FROM t LIMIT 2") -> SqliteSettings:
    database = folder / "rows.db"
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE t (text, label)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", ROWS)
    return SqliteSettings(database=str(database), train=train, validation=validation)


def test_classes_are_those_of_the_rows_to_train_on(tmp_path: Path) -> None:
    splits = build(settings(tmp_path, "SELECT * FROM t LIMIT 3"))
    assert splits.task.class_names == ("bad", "good")
    assert splits.train["text"][:] == ["fine", "poor", "12"] and splits.train["label"][:] == [1, 0, 1]
    assert len(splits.evaluation["validation"]) == 2


def test_what_is_wrong_with_a_query_is_said_before_any_work(tmp_path: Path) -> None:
    assert not problems(settings(tmp_path, "SELECT * FROM t"))
    (refused,) = problems(settings(tmp_path, "SELECT * FROM nowhere"))
    (lacking,) = problems(settings(tmp_path, "SELECT text FROM t"))
    assert refused.place == "train" and "no such table" in refused.message
    assert lacking.message == 'this query gives no column "label"'


def test_a_row_without_a_label_and_an_unknown_class_are_told(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match='row 4 has NULL in "label"'):
        build(settings(tmp_path, "SELECT * FROM t"))
    with pytest.raises(ExperimentError, match='"bad" is no class of the rows to train on'):
        build(settings(tmp_path, "SELECT * FROM t LIMIT 1"))


def test_a_further_file_may_have_no_labels_or_a_query_of_its_own(tmp_path: Path) -> None:
    known = settings(tmp_path, "SELECT * FROM t LIMIT 3")
    further = tmp_path / "further.db"
    with closing(sqlite3.connect(further)) as connection, connection:
        connection.execute("CREATE TABLE news (body)")
        connection.execute("INSERT INTO news VALUES ('fine')")
    with pytest.raises(ExperimentError, match=r"SQLite refuses the query of .*: no such table: t"):
        read(known, further, TASK)
    rows = read(known.model_copy(update={"further": "SELECT body AS text FROM news"}), further, TASK)
    assert rows is not None and rows.to_dict() == {"text": ["fine"]}
    database = settings(tmp_path, "SELECT * FROM t LIMIT 3", "SELECT * FROM t").database
    rows = read(known.model_copy(update={"further": "SELECT * FROM t"}), Path(database), TASK)
    assert rows is not None and rows["label"][:] == [1, 0, 1, None]
    other = tmp_path / "rows.csv"
    other.write_text("text,label\n")
    assert read(known, other, TASK) is None


class TestSqlite(DatasetSuite):
    """What ftrun holds every data set to."""

    component = "sqlite"
    bad_settings = ({"train": "SELECT * FROM nowhere"}, {"text_columns": []})

    def make_further_file(self, folder: Path) -> tuple[Path, str]:
        settings(folder, "SELECT * FROM t")
        return folder / "rows.db", "validation"

    def make_settings(self, folder: Path) -> dict[str, str]:
        return settings(folder, "SELECT * FROM t LIMIT 3").model_dump(include={"database", "train", "validation"})
