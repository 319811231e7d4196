"""The process that draws: everything at once, nothing by halves, and one picture's fault is no other's."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from ftrun.contracts import Predictions
from ftrun.execution.recording import record_predictions
from ftrun.pictures.drawing import draw
from ftrun.pictures.subject import Drawn, Subject, as_line, drawn_from
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from helpers import rows_of, splits_of

SUBJECT = Subject("classification", ["no", "yes"], ["text"], ["validation"], {"loss": "min", "f1": "max"}, 2)
OF_CLASSES = {
    *("loss.png", "metrics.png", "validation/confusion.png", "validation/precision_recall.png"),
    *("validation/reliability.png", "validation/per_class.json", "validation/wrong.json"),
}


@pytest.fixture(autouse=True)
def matplotlib_as_it_was() -> Iterator[None]:
    level = logging.getLogger("matplotlib").level
    with mpl.rc_context(), warnings.catch_warnings():
        yield
    logging.getLogger("matplotlib").setLevel(level)


def recorded(workdir: Path, kind: str = "classification") -> RunFolder:
    """The folder of a run with two steps and two rows."""
    folder = RunFolder.create(workdir / "runs", "tiny")
    journal = Journal(folder.journal)
    journal.metrics(1, {"train/loss": 2.0})
    journal.metrics(2, {"train/loss": 1.0, "eval/loss": 1.0, "eval/f1": 0.5})
    numbers = kind == "regression"
    told = splits_of(rows_of(text=["a", "b"], label=[0.5, 1.5] if numbers else [0, 1]), kind)
    logits = np.array([[1.0], [2.0]] if numbers else [[1.0, 2.0], [0.0, 1.0]], np.float32)
    labels = np.array([0.5, 1.5] if numbers else [0, 1])
    record_predictions(journal, folder, told, {"validation": Predictions(logits, labels, 0.5, kind)})
    journal.close()
    return folder


def drawn_in(folder: RunFolder) -> set[str]:
    return {path.relative_to(folder.pictures).as_posix() for path in folder.pictures.rglob("*.*")}


def hidden(folder: RunFolder) -> list[str]:
    return [path.name for path in folder.path.glob(".pictures*")]


def test_everything_is_there_in_a_process_of_its_own(workdir: Path) -> None:
    folder = recorded(workdir)
    command = [sys.executable, "-m", "ftrun.pictures.drawing", str(folder.path)]
    done = subprocess.run(command, input=as_line(SUBJECT), capture_output=True, check=True)
    tables = [f"pictures/validation/{name}.json" for name in ("per_class", "wrong")]
    assert drawn_from(done.stdout) == Drawn(tables, [], True) and done.stderr == b""
    assert drawn_in(folder) == OF_CLASSES and hidden(folder) == []
    assert json.loads((folder.path / tables[1]).read_text())["data"] == [["a", "no", "yes", pytest.approx(0.7310586)]]


def test_numbers_have_figures_of_their_own(workdir: Path) -> None:
    folder = recorded(workdir, "regression")
    assert draw(folder, Subject("regression", splits=["validation"])) == Drawn([], [], True)
    split = {"validation/predicted_over_true.png", "validation/residuals.png"}
    assert drawn_in(folder) == {"loss.png", "metrics.png"} | split


def test_of_another_kind_there_are_the_curves(workdir: Path) -> None:
    folder = recorded(workdir)
    assert draw(folder, Subject("token_classification", splits=["validation"])).failed == []
    assert drawn_in(folder) == {"loss.png", "metrics.png"}


def test_what_cannot_be_drawn_takes_nothing_else_with_it(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recorded(workdir)
    folder.logits("validation").unlink()
    assert draw(folder, SUBJECT).failed == ["validation/precision_recall.png"]
    assert drawn_in(folder) == OF_CLASSES - {"validation/precision_recall.png"}
    assert "precision_recall.png cannot be drawn" in capsys.readouterr().err


def test_what_was_drawn_before_and_what_was_left_half_is_gone(workdir: Path) -> None:
    folder = recorded(workdir)
    for name in (".pictures.1", "pictures"):
        (folder.path / name).mkdir()
        (folder.path / name / "old.png").write_text("half")
    draw(folder, SUBJECT)
    assert drawn_in(folder) == OF_CLASSES and hidden(folder) == []


def test_of_several_classes_a_row_there_are_the_curves_and_the_scores_of_each_class(workdir: Path) -> None:
    folder = RunFolder.create(workdir / "runs", "tiny")
    journal = Journal(folder.journal)
    journal.metrics(1, {"train/loss": 2.0, "eval/f1": 0.5})
    told = splits_of(rows_of(text=["a", "b", "c"], label=[[1, 1], [0, 1], [0, 0]]), "multi_label")
    logits = np.array([[1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]], np.float32)
    said = Predictions(logits, np.array([[1, 1], [0, 1], [0, 0]]), 0.5, "multi_label")
    record_predictions(journal, folder, told, {"validation": said})
    journal.close()
    subject = Subject("multi_label", ["no", "yes"], ["text"], ["validation"], {"f1": "max"}, 1)
    assert draw(folder, subject).failed == []
    assert drawn_in(folder) == {"loss.png", "metrics.png", "validation/per_class.json"}
    table = json.loads((folder.pictures / "validation" / "per_class.json").read_text())
    assert table["data"] == [["no", 0.5, 1.0, pytest.approx(2 / 3), 1], ["yes", 1.0, 1.0, 1.0, 2]]
