"""A file in a form that a plugin's data set alone knows is measured and predicted as its splits are."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import ftrun
import pytest
from click.testing import CliRunner, Result
from ftrun.cli import group
from ftrun.errors import ExperimentError
from helpers import points_of, run
from plugin_packages import Site
from plugin_packages import site as site

PLUGIN = """
from collections.abc import Sequence
from pathlib import Path

from ftrun import ExperimentError, Problem, RunError, hookimpl
from ftrun.contracts import Dataset, Splits, Task
from ftrun.settings import LocalPath, Settings

ftrun_contract = "1.2"
MARK = "__label__"


class LinesSettings(Settings):
    train: LocalPath
    validation: LocalPath
    kind: str = "classification"


def parsed(path):
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        mark, _, text = line.partition(" ") if line.startswith(MARK) else ("", "", line)
        yield text, mark.removeprefix(MARK) or None


def told_by(kind, label, classes):
    # "1.5" is a number, "a+b" are two classes
    if label is None:
        return None if kind == "regression" else -1
    if kind == "regression":
        return float(label)
    return [int(name in label.split("+")) for name in classes] if kind == "multi_label" else classes.index(label)


def rows_of(lines, classes, kind):
    from datasets import Dataset as Rows

    table = {"text": [text for text, _ in lines], "words": [len(text.split()) for text, _ in lines]}
    labels = [label for _, label in lines]
    if any(labels):
        unknown = [label for label in labels if label is not None and label not in classes]
        if unknown and kind == "classification":
            raise ExperimentError(Problem(f"no line to train on has the label {unknown[0]}", "train"))
        table["label"] = [told_by(kind, label, classes) for label in labels]
    return Rows.from_dict(table)


def classes_of(settings):
    return sorted({name for _, label in parsed(settings.train) for name in label.split("+")})


def build(settings):
    classes, kind = classes_of(settings), settings.kind
    train, validation = (rows_of(list(parsed(path)), classes, kind) for path in (settings.train, settings.validation))
    task = Task(kind, ("text",), "label", None if kind == "regression" else tuple(classes))
    return Splits(task, train, {"validation": validation}, "lines", settings.train, Path(settings.train).read_text()[:9])


def read(settings, file, task):
    from datasets import Dataset as Rows

    if file.is_dir() and file.name != "folder.ft":
        parts = sorted(file.glob("*.ft"))
        lines = [line for part in parts for line in parsed(part)]
        return rows_of(lines, task.class_names or (), settings.kind) if parts else None
    if file.suffix not in (".ft", ".tsv"):
        return None
    print("reading", file)
    lines = list(parsed(file))
    answer = lines[0][0] if lines else ""
    if answer == "RAISE":
        return {}["answers"]
    if answer == "RUN":
        raise RunError("a service is away")
    odd = {
        "LIST": [{"text": "a"}],
        "COLUMN": Rows.from_dict({"words": [1]}),
        "CLASS": Rows.from_dict({"text": ["a"], "label": [7]}),
        "NAME": Rows.from_dict({"text": ["a"], "label": ["good"]}),
        "OTHER": Rows.from_dict({"body": ["a fine day"]}),
    }
    if answer in odd:
        return odd[answer]
    return rows_of(lines, task.class_names or (), settings.kind)


@hookimpl
def ftrun_datasets():
    return [Dataset(name="lines", summary="Labelled lines", settings=LinesSettings, build=build, read=read)]
"""
LINES = [f"__label__{'good' if row % 3 else 'bad'} row {row} is {'fine' if row % 3 else 'poor'}" for row in range(18)]
DATASET = {"use": "lines", "train": "train.ft", "validation": "dev.ft"}
WRONG = {
    "": "--data: new.ft has no rows",
    "__label__odd a": "--data: no line to train on has the label odd",
    "LIST": 'the data set "lines" of lines-package 1.0 gives a list for new.ft',
    "COLUMN": "has no column text in new.ft, which its task names; there are: words",
    "CLASS": "has the label 7 in row 1 of new.ft: it must be a whole number from 0 to 1",
    "NAME": "has the label 'good' in row 1 of new.ft: it must be a whole number",
}
OVERRIDES = {"training.max_steps": 4, "metrics": [{"use": "accuracy"}], "name": "lines"}


@pytest.fixture
def trained(tiny: Path, site: Site) -> ftrun.RunResult:
    """A run on the plugin's lines."""
    site.add(PLUGIN, distribution="lines-package")
    Path("train.ft").write_text("\n".join(LINES))
    Path("dev.ft").write_text("\n".join(LINES[:7]))
    return run(tiny, {**OVERRIDES, "dataset": DATASET})


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, [*map(str, arguments), "--device", "cpu"], standalone_mode=False)


def refusal(*arguments: str | Path) -> str:
    done = command(*arguments)
    assert done.return_value == 2 and not done.stdout, done.output
    return " ".join(done.stderr.split())


def test_a_file_gives_the_numbers_that_the_same_split_gives(trained: ftrun.RunResult) -> None:
    numbers = {key.removeprefix("eval/"): value for key, value in trained.metrics.items()}
    done = command("evaluate", trained.run, "--data", "dev.ft", "--json")
    assert done.return_value == 0 and json.loads(done.stdout) == numbers, done.output
    assert {key: points_of(trained.run_folder)[f"eval/dev/{key}", 4] for key in numbers} == numbers
    shutil.copy("dev.ft", "held out.ft")
    for told in (Path("held out.ft"), "held out.ft", "./held out.ft"):
        assert ftrun.evaluate(trained.run, told, device="cpu", progress=False) == numbers
    assert points_of(trained.run_folder)["eval/held out/loss", 4] == numbers["loss"]
    assert command("evaluate", trained.run, "--data", "validation", "--json").stdout == done.stdout


def test_labels_are_by_the_classes_that_the_model_knows(trained: ftrun.RunResult) -> None:
    numbers = {key.removeprefix("eval/"): value for key, value in trained.metrics.items()}
    Path("train.ft").write_text("\n".join([*LINES, "__label__awful no", "__label__awful never"]))  # which comes first
    done = command("evaluate", trained.run, "--data", "dev.ft", "--json")
    assert json.loads(done.stdout) == numbers, done.output
    Path("new.ft").write_text("__label__good a\n__label__awful b\n")
    told = refusal("evaluate", trained.run, "--data", "new.ft")
    assert "--data: no line to train on has the label awful" in told


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "labels"), [("regression", ["0.5", "-1", "2"]), ("multi_label", ["a", "a+b", "b"])])
def test_labels_of_other_kinds_are_as_in_its_splits(tiny: Path, site: Site, kind: str, labels: list[str]) -> None:
    site.add(PLUGIN, distribution="lines-package")
    text = "".join(f"__label__{labels[row % 3]} row {row}\n" for row in range(12))
    for name in ("train.ft", "dev.ft"):
        Path(name).write_text(text)
    ended = run(tiny, {**OVERRIDES, "metrics": [], "dataset": {**DATASET, "kind": kind}})
    numbers = ftrun.evaluate(ended.run, "dev.ft", device="cpu", progress=False)
    assert numbers == {"loss": ended.metrics["eval/loss"]}
    told = [row["label"] for row in ftrun.predict(ended.run_folder / "model", "dev.ft", device="cpu").rows[:3]]
    assert told == ([0.5, -1.0, 2.0] if kind == "regression" else [["a"], ["a", "b"], ["b"]])


def test_predictions_stand_beside_the_columns_that_the_data_set_reads(trained: ftrun.RunResult) -> None:
    done = command("predict", trained.run, "--data", "dev.ft", "--out", "out.csv")
    assert done.return_value == 0 and "7 rows predicted" in done.stderr, done.output
    split = command("predict", trained.run, "--data", "validation", "--out", "split.csv")
    assert split.return_value == 0 and Path("out.csv").read_text() == Path("split.csv").read_text()
    with Path("out.csv").open() as stream:
        first = next(csv.DictReader(stream))
    assert first["label"] == "bad" and first["words"] == "4" and first["prediction"] in ("good", "bad")


def test_a_file_is_predicted_and_measured_though_the_data_is_gone(trained: ftrun.RunResult) -> None:
    Path("train.ft").unlink()
    assert ftrun.evaluate(trained.run, "dev.ft", device="cpu", progress=False)["loss"] == trained.metrics["eval/loss"]
    Path("new.ft").write_text("a fine day\na poor one\n")
    done = command("predict", trained.run, "--data", "new.ft")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.return_value == 0 and [row["text"] for row in rows] == ["a fine day", "a poor one"], done.output
    assert "label" not in rows[0] and "reading new.ft" in done.stderr
    told = refusal("evaluate", trained.run, "--data", "new.ft")
    assert '--data: new.ft has no labels in "label", so there is nothing to measure' in told


def test_a_row_without_a_label_among_others_is_predicted_and_not_measured(trained: ftrun.RunResult) -> None:
    Path("new.ft").write_text("__label__good a\nb\n")
    rows = ftrun.predict(trained.run, Path("new.ft"), device="cpu", progress=False).rows
    assert [row["label"] for row in rows] == ["good", None]
    assert 'new.ft has no label in column "label": row 2' in refusal("evaluate", trained.run, "--data", "new.ft")


def test_a_file_in_no_form_of_the_data_set_is_read_as_everywhere(trained: ftrun.RunResult) -> None:
    Path("new.csv").write_text("text;label\na;good\nb;bad\n")
    done = command("evaluate", trained.run, "--data", "new.csv", "--delimiter", ";", "--json")
    assert done.return_value == 0 and set(json.loads(done.stdout)) == {"loss", "accuracy"}, done.output
    done = command("predict", trained.run, "--data", "new.csv", "--delimiter", ";")
    assert done.stdout.splitlines()[0].startswith("text;label;prediction"), done.output


def test_a_data_set_that_reads_what_the_runner_would_is_named(trained: ftrun.RunResult) -> None:
    Path("new.tsv").write_text("text\tlabel\na\tgood\n")
    done = command("predict", trained.run, "--data", "new.tsv", "--out", "out.csv")
    told = " ".join(done.stderr.split())
    assert 'new.tsv is read by the data set "lines" of lines-package 1.0, to 2 rows' in told, done.output


def test_what_is_no_such_file_is_a_sentence(trained: ftrun.RunResult) -> None:
    Path("dev.txt").write_text("a\n")
    for told in ("dev.txt", "./dev.txt"):
        fault = refusal("predict", trained.run, "--data", told)
        assert "--data: dev.txt must end in one of" in fault and 'none that the data set "lines"' in fault
    Path("folder.ft").mkdir()
    Path("validation").write_text("a\n")  # a bare name without an ending is a split's
    assert "folder.ft is a folder" in refusal("predict", trained.run, "--data", "folder.ft")
    assert "there is no file" in refusal("predict", trained.run, "--data", "./gone.ft")
    assert 'no file and no split "gone.ft"' in refusal("predict", trained.run, "--data", "gone.ft")
    assert command("predict", trained.run, "--data", "validation").return_value == 0
    told = refusal("predict", trained.run, "--data", "dev.ft", "--encoding", "latin-1")
    assert '--encoding: dev.ft is read by the data set "lines"' in told


def test_a_folder_is_handed_to_the_data_set_and_refused_where_it_knows_none(trained: ftrun.RunResult) -> None:
    numbers = {key.removeprefix("eval/"): value for key, value in trained.metrics.items()}
    for folder in (Path("lines/june.2"), Path("june.2"), Path("lines/empty")):
        folder.mkdir(parents=True)
    for folder in (Path("lines/june.2"), Path("june.2")):
        (folder / "a.ft").write_text("\n".join(LINES[:3]))
        (folder / "b.ft").write_text("\n".join(LINES[3:7]))
    done = command("evaluate", trained.run, "--data", "lines/june.2", "--json")
    assert done.return_value == 0 and json.loads(done.stdout) == numbers, done.output
    assert points_of(trained.run_folder)["eval/june.2/loss", 4] == numbers["loss"]
    for told in ("june.2", Path("june.2"), "./june.2/"):
        assert ftrun.evaluate(trained.run, told, name="june", device="cpu", progress=False) == numbers
    done = command("predict", trained.run, "--data", "lines/june.2", "--out", "out.csv")
    assert done.return_value == 0 and "7 rows predicted" in done.stderr, done.output
    for name in ("predict", "evaluate"):
        assert "--data: lines/empty is a folder Name a file in it" in refusal(
            name, trained.run, "--data", "lines/empty"
        )
    with pytest.raises(ExperimentError, match="data: lines/empty is a folder"):
        ftrun.predict(trained.run, Path("lines/empty"), device="cpu", progress=False)


@pytest.mark.slow
def test_what_is_wrong_with_a_file_or_with_what_is_read_of_it_is_a_sentence(trained: ftrun.RunResult) -> None:
    for content, told in WRONG.items():
        Path("new.ft").write_text(content)
        for name in ("predict", "evaluate"):
            assert told in refusal(name, trained.run, "--data", "new.ft")
        with pytest.raises(ExperimentError, match=re.escape(told.replace("--data", "data"))):
            ftrun.predict(trained.run, Path("new.ft"), device="cpu", progress=False)


def test_what_reading_raises_names_the_file_the_plugin_and_the_log(trained: ftrun.RunResult) -> None:
    def told(content: bytes) -> Any:
        Path("new.ft").write_bytes(content)
        done = command("predict", trained.run, "--data", "new.ft")
        assert done.return_value == 1 and not done.stdout, done.output
        return " ".join(done.stderr.split())

    fault = told(b"RAISE")
    place = r"in the data set \"lines\" of lines-package 1.0 \(lines_package.py, line \d+\)"
    found = re.search(rf"new.ft cannot be read: KeyError: 'answers' {place} \(the traceback is in (\S+)\)", fault)
    assert found and "Traceback" in Path(found[1]).read_text(), fault
    assert re.search(rf"new.ft cannot be read: UnicodeDecodeError: .* {place}", told("é".encode("latin-1")))
    assert "new.ft cannot be read: a service is away" in told(b"RUN")


def test_columns_of_text_may_be_named_otherwise(trained: ftrun.RunResult) -> None:
    Path("new.ft").write_text("OTHER")
    done = command("predict", trained.run, "--data", "new.ft", "--text-column", "body")
    assert done.return_value == 0 and json.loads(done.stdout)["body"] == "a fine day", done.output
    assert "has no column text" in refusal("predict", trained.run, "--data", "new.ft")
