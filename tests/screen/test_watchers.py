"""What a person watching sees: bars on a terminal, plain lines in a pipe, and what is said word for word in both."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import EvaluationReport, Splits, Task
from ftrun.execution.watcher import Watcher
from ftrun.runs.results import RunResult
from ftrun.screen import watchers
from ftrun.screen.watchers import LiveWatcher, PlainWatcher, make_watcher
from ftrun.tracking.feeder import Delivery
from helpers import plan_of
from rich.console import Console


def terminal(**how: Any) -> Console:
    return Console(**{"file": io.StringIO(), "force_terminal": True, "width": 120, "_environ": {}, **how})


def pipe() -> Console:
    return Console(file=io.StringIO(), width=80, _environ={})


def seen(console: Console) -> str:
    """All that was written, without what colours it and moves about."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_a_terminal_has_bars_and_a_pipe_plain_lines() -> None:
    assert isinstance(make_watcher(terminal()), LiveWatcher)
    for console in (pipe(), terminal(_environ={"TERM": "dumb"})):
        assert not isinstance(make_watcher(console), LiveWatcher)


def go_by(watcher: Watcher, tiny: Path) -> None:
    """A run, from its beginning to its end."""
    report = EvaluationReport(2, 1.0, {"eval/f1": 0.5, "eval/loss": 0.25})
    result = RunResult("tiny", "loop", "tiny-1", tiny.parent / "runs" / "tiny-1", "FINISHED", steps=2)
    with watcher:
        watcher.run_started(plan_of(tiny), result.run_folder)
        watcher.working("opening the data set")
        watcher.data_opened(
            Splits(Task("regression", ("text",)), [1] * 1234, {"validation": [1]}, "mine", "here", "ab")
        )  # type: ignore[arg-type]
        watcher.notice("the first row is odd")
        watcher.encoding("train", 1000, 1234)
        watcher.encoding("train", 1234, 1234)
        watcher.training_started(2, 1)
        watcher.stepped(1, 0.5, 0.7)
        watcher.stepped(2, 1.0, 0.6)
        watcher.evaluating("validation", 0, 1)
        watcher.evaluating("validation", 1, 1)
        watcher.evaluated(report)
        watcher.delivering(Delivery(pending=3))
        watcher.run_finished(result, 3)


@pytest.mark.parametrize("console", [pipe(), terminal()], ids=["pipe", "terminal"])
def test_a_run_is_told_from_beginning_to_end(console: Console, tiny: Path) -> None:
    go_by(make_watcher(console), tiny)
    told = seen(console)
    said = ["tiny on loop", "mine: train 1,234, validation 1 rows", "note: the first row is odd"]
    said += ["evaluation at step 2, epoch 1.00: f1 0.5000, loss 0.2500", "finished", "3 records are not in MLflow yet"]
    places = [told.index(sentence) for sentence in said]
    assert places == sorted(places)


def test_what_a_pipe_gets_is_text_alone(tiny: Path) -> None:
    console = pipe()
    go_by(make_watcher(console), tiny)
    assert isinstance(console.file, io.StringIO)
    assert not set("\x1b\r") & set(console.file.getvalue())
    assert "tokenized train: 1,234 rows\ntraining: 2 steps\n" in console.file.getvalue()


def test_a_run_that_goes_on_says_how_much_is_behind() -> None:
    console = pipe()
    PlainWatcher(console).training_started(2000, 1001)
    assert seen(console) == "training: 2,000 steps, 1,000 of them behind\n"


def test_a_pipe_hears_of_a_step_only_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(watchers.time, "monotonic", lambda: now)
    console = pipe()
    watcher = PlainWatcher(console)
    watcher.training_started(100, 1)
    for step in range(1, 101):
        now += 0.5
        watcher.stepped(step, step / 100, 1 / step)
    lines = seen(console).splitlines()[1:]
    assert lines[0] == "step 20/100  epoch 0.20  loss 0.0500  2.00 steps/s" and len(lines) == 5


SENTENCES = ["[red]", "[/]", "[/api] gives 502", "a:100:b", "the class [bold]", "C:\\[x]", "负面"]


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("live", [False, True])
def test_a_sentence_is_shown_word_for_word(sentence: str, live: bool) -> None:
    console = terminal() if live else pipe()
    with make_watcher(console) as watcher:
        watcher.notice(sentence)
        watcher.data_opened(Splits(Task("regression", ("text",)), [1], {sentence: [1]}, sentence, "here", "ab"))  # type: ignore[arg-type]
    assert seen(console).count(sentence) == 3


@pytest.mark.parametrize("sentence", SENTENCES)
def test_bars_show_names_and_errors_word_for_word(sentence: str) -> None:
    console = terminal()
    with make_watcher(console) as watcher:
        assert isinstance(watcher, LiveWatcher)
        watcher.encoding(sentence, 1, 2)
        watcher._live.refresh()
        assert f"tokenizing {sentence}" in seen(console)
        watcher.encoding(sentence, 2, 2)
        watcher.delivering(Delivery(pending=1, error=sentence))
        watcher._live.refresh()
        assert f"({sentence})" in seen(console)


def test_a_bar_says_what_is_done_with_rows_and_how_much_of_a_model_is_here() -> None:
    console = terminal()
    with make_watcher(console) as watcher:
        assert isinstance(watcher, LiveWatcher)
        watcher.fetching("tiny-1", 2**20, 3 * 2**20)
        watcher._live.refresh()
        assert "fetching tiny-1 from MLflow" in seen(console) and "1 MiB of 3 MiB" in seen(console)
        assert "1048576" not in seen(console)
        watcher.predicting("new.csv", 1, 2)
        watcher._live.refresh()
    assert "predicting new.csv" in seen(console) and "evaluating" not in seen(console)
    line = pipe()
    make_watcher(line).fetching("tiny-1", 5, 5)
    assert seen(line) == "the model of tiny-1 is from MLflow: 5 bytes\n"


def test_a_split_without_rows_harms_no_bar() -> None:
    with make_watcher(terminal()) as watcher:
        watcher.encoding("train", 0, 0)
        watcher.training_started(0, 1)
        watcher.evaluating("validation", 0, 0)


def test_no_secret_is_shown(tiny: Path) -> None:
    for console in (pipe(), terminal()):
        with make_watcher(console) as watcher:
            watcher.notice("https://me:hunter22@mlflow.example/ does not answer")
        assert "hunter22" not in seen(console) and "https://***@mlflow.example/" in seen(console)


def test_who_looks_away_sees_nothing(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    go_by(Watcher(), tiny)
    assert capsys.readouterr() == ("", "")
