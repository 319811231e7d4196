"""`ftrun predict`: what it prints and writes, where, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from ftrun.cli import group
from helpers import Ftrun, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on pairs."""
    from helpers import TINY

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "tiny.toml").write_text(TINY)
        return run(folder / "tiny.toml", {"training.max_steps": 2}).run_folder


def predict(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["predict", *map(str, arguments)], standalone_mode=False)


PAIRS = "id,sentence1,sentence2\n001,one,two\n002,,three\n"


def test_a_file_comes_back_with_what_is_predicted(workdir: Path, trained: Path) -> None:
    Path("in.csv").write_text(PAIRS)
    done = predict(trained, "--data", "in.csv", "--out", "out.csv")
    assert done.return_value == 0 and done.stdout == "" and "2 rows predicted: out.csv" in done.stderr, done.output
    header, first, second = Path("out.csv").read_text().splitlines()
    assert header == "id,sentence1,sentence2,prediction,probability_not_equivalent,probability_equivalent"
    assert first.startswith("001,one,two,") and second.startswith("002,,three,")
    again = predict(trained, "--data", "in.csv", "--out", "out.csv", "--overwrite")
    assert again.return_value == 0 and "2 rows predicted: out.csv" in again.stderr, again.output
    in_pipe = predict(trained, "--data", "in.csv")
    assert in_pipe.stdout == Path("out.csv").read_text()


def test_a_stray_quote_is_told_with_the_option_that_makes_it_a_character(workdir: Path, trained: Path) -> None:
    Path("in.csv").write_text('sentence1,sentence2\n"one,two\nthree,four\n')
    refused = predict(trained, "--data", "in.csv")
    assert refused.return_value == 2 and "not well formed in line 2" in refused.stderr, refused.output
    assert "--quoting false" in refused.stderr
    done = predict(trained, "--data", "in.csv", "--quoting", "false", "--out", "out.csv")
    assert done.return_value == 0 and "2 rows predicted" in done.stderr, done.output
    Path("in.csv").write_text('sentence1,sentence2\n"one,two\nthree",four\n')
    told = predict(trained, "--data", "in.csv", "--out", "told.csv")
    assert "lines 2 to 3 of in.csv: 2 lines between two" in told.stderr and "1 row predicted" in told.stderr


def test_texts_of_ones_own_come_back_as_json_in_a_pipe(workdir: Path, trained: Path) -> None:
    done = predict(trained, "--text", "one", "two", "--text", "three", "four")
    assert done.return_value == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == [("one", "two"), ("three", "four")]
    assert all(row["prediction"] in ("equivalent", "not_equivalent") for row in rows)


def test_a_second_text_may_begin_like_an_option(workdir: Path, trained: Path) -> None:
    done = predict(trained, "--text", "-one", "-b", "--text", "three", "--- four", "--device", "cpu")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["sentence1"], row["sentence2"]) for row in rows] == [("-one", "-b"), ("three", "--- four")], (
        done.output
    )
    assert isinstance(predict(trained, "--text", "one", "--dvice", "cpu").exception, click.NoSuchOption)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
def test_a_pipe_of_few_characters_gets_json_all_the_same_and_no_csv(
    workdir: Path, trained: Path, ftrun_command: Ftrun, encoding: str
) -> None:
    Path("in.csv").write_text("sentence1,sentence2\nh\u00e9,\u4e2d\n", encoding="utf-8")
    env = {"PYTHONIOENCODING": encoding}
    done = ftrun_command("predict", trained, "--text", "h\u00e9 \u4e2d \U0001f600", "b", env=env)
    assert json.loads(done.stdout)["sentence1"] == "h\u00e9 \u4e2d \U0001f600", done.stderr
    refused = ftrun_command("predict", trained, "--data", "in.csv", env=env)
    assert refused.returncode == 2 and "has no place for '\\" in refused.stderr and not refused.stdout, refused.stderr


def test_a_device_that_is_not_there_is_told_by_the_option(workdir: Path, trained: Path) -> None:
    done = predict(trained, "--text", "a", "b", "--device", "mps")
    assert done.return_value == 2 and "--device: there is no" in done.stderr, done.output


def test_a_split_comes_back_with_its_labels(workdir: Path, trained: Path) -> None:
    done = predict(trained, "--data", "validation")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    recorded = json.loads((trained / "predictions" / "validation.json").read_text())
    place = recorded["columns"].index("prediction")
    assert [row["prediction"] for row in rows] == [row[place] for row in recorded["data"]]
    assert {row["label"] for row in rows} == {"equivalent", "not_equivalent"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say what to predict"),
        (["--data", "in.csv", "--text", "one"], "say what to predict"),
        (["--text", "one"], "1 text for a model of 2"),
        (["more", "--text", "one", "--text", "two"], "no second text of a pair"),
        (["more.csv", "--data", "in.csv"], "there is 'more.csv' beside --data 'in.csv', which names one file or split"),
        (["--data", "in.csv", "more.csv", "last.csv"], "Say it once for each file"),
        (["--data", "nothing.csv"], "there is no file"),
        (["--data", "."], "is a folder"),
        (["--data", "in.csv", "--out", "in.csv"], "is the file that is read"),
        (["--data", "in.csv", "--out", "ragged.csv"], "ragged.csv is there already"),
        (["--data", "in.csv.gz"], "is not packed by gzip"),
        (["--data", "in.parquet.gz"], "must end in one of"),
        (["--data", "ragged.csv"], "one cell in line 3"),
        (["--data", "in.csv", "--delimiter", ";"], "--delimiter"),
        (["--data", "in.csv", "--delimiter", "xx"], "must be one character"),
        (["--data", "in.csv", "--encoding", "klingon"], 'knows no text encoding "klingon"'),
        (["--data", "nosplit"], 'no split "nosplit"'),
        (["--glue-submission", "there"], "no task of GLUE"),
    ],
)
def test_what_is_wrong_is_a_sentence(workdir: Path, trained: Path, arguments: list[str], told: str) -> None:
    Path("in.csv").write_text(PAIRS)
    Path("in.csv.gz").write_bytes(b"")
    Path("in.parquet.gz").write_bytes(b"")
    Path("ragged.csv").write_text("sentence1,sentence2\none,two\nthree\n")
    done = predict(trained, *arguments)
    assert done.return_value == 2 and told in done.stderr and "Traceback" not in done.output, done.output
