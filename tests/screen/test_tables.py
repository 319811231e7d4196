"""Tables: what is in them is what was found, to the letter."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ftrun.execution.facts import Inspection, Lengths, Numbers, SplitFacts
from ftrun.runs.folder import RunFolder
from ftrun.runs.journal import Journal
from ftrun.runs.results import RunResult
from ftrun.screen.tables import MOST_CLASSES, comparison_table, inspection_tables
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console


def shown(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def split(labels: Mapping[str, int] | Numbers, name: str = "train", **facts: Any) -> SplitFacts:
    rows = 4 if isinstance(labels, Numbers) else sum(labels.values())
    return SplitFacts(
        **{"name": name, "context": "training", "rows": rows, "lengths": None, "loss": 0.7, "counted": rows, **facts},
        labels=labels,
    )


def look(
    *splits: SplitFacts, max_length: int | None = None, trainable: int = 1000, is_cut_by_setting: bool = False
) -> str:
    return shown(inspection_tables(Inspection(splits, max_length, 1000, trainable, is_cut_by_setting)))


def test_the_balance_of_the_classes_is_in_rows_and_per_cent() -> None:
    told = look(split({"no": 1500, "yes": 500}), split({"no": 1, "yes": 0}, "validation"))
    assert ["no", "1,500", "(75.0%)", "1", "(100.0%)"] in [line.split() for line in told.splitlines()]
    assert ["yes", "500", "(25.0%)", "0", "(0.0%)"] in [line.split() for line in told.splitlines()]


def test_lengths_say_how_many_rows_are_cut() -> None:
    lengths = Lengths(rows=1000, median=20, most=60, longest=1234, cut=15)
    told = look(split({"a": 1000}, lengths=lengths), max_length=64)
    assert "1,234" in told and "1.5%" in told and "rows are cut after 64 tokens by the model" in told
    assert "by its max_length" not in told and "does not tell" not in told
    told = look(split({"a": 1000}, lengths=lengths), max_length=64, is_cut_by_setting=True)
    assert "rows are cut after 64 tokens by the model, by its max_length" in told


def test_a_model_without_lengths_or_limit_leaves_the_places_empty() -> None:
    told = look(split({"a": 2}))
    assert "cut after" not in told and "1,000 parameters; the model does not tell how many tokens rows have" in told


def test_what_is_frozen_is_told() -> None:
    assert "1,000 parameters, 10 of them trained" in look(split({"a": 2}), trainable=10)


def test_the_labels_of_a_regression_are_a_range() -> None:
    told = look(split(Numbers(-1.0, 0.25, 5.0)), split(Numbers(0.0, 1.0, 2.0), "validation"))
    assert ["train", "-1", "0.25", "5"] in [line.split() for line in told.splitlines()]


def test_labels_of_every_place_are_shares_of_the_places() -> None:
    told = look(split({"O": 30, "B": 10}, rows=4, counted=40))
    assert ["O", "30", "(75.0%)"] in [line.split() for line in told.splitlines()]


def test_labels_that_nobody_here_knows_are_left_out() -> None:
    unknown = replace(split({"a": 1}), labels=None)
    assert "class" not in look(unknown) and "parameters" in look(unknown)


def test_of_many_classes_the_largest_are_shown_and_the_rest_counted() -> None:
    told = look(split({f"class{number}": number for number in range(1, MOST_CLASSES + 6)}))
    assert "class25" in told and "class5 " not in told and "and 5 more" in told


@pytest.mark.parametrize("name", ["[red]", "[/]", "[/x]", ":key:", "[link=x]a", "a[b]", "负面", "\\[a]"])
def test_a_class_is_shown_as_the_data_has_it(name: str) -> None:
    assert name in look(split({name: 2, "other": 2}), split({name: 1, "other": 2}, name))


def result(folder: Path, losses: Mapping[int, float], **facts: Any) -> RunResult:
    folder.mkdir(parents=True)
    journal = Journal(RunFolder(folder).journal)
    for step, loss in losses.items():
        journal.metrics(step, {"train/loss": loss})
    journal.close()
    told: dict[str, Any] = {"experiment": "tiny", "backend": "loop", "run": folder.name, "status": "FINISHED", **facts}
    return RunResult(run_folder=folder, **told)


def cells(table: Any) -> list[list[str]]:
    return [line.split() for line in shown(table).splitlines()]


def test_a_run_whose_loss_differs_in_the_last_bit_is_not_the_same(tmp_path: Path) -> None:
    curve = {1: 0.1 + 0.2, 2: 0.5}
    first, same, other, shorter = (
        result(tmp_path / "first", curve),
        result(tmp_path / "same", curve, backend="trainer"),
        result(tmp_path / "other", {**curve, 1: 0.3}, backend="accelerate"),
        result(tmp_path / "shorter", {1: 0.1 + 0.2}, backend="shorter"),
    )
    rows = {row[0]: row[-1] for row in cells(comparison_table([first, same, other, shorter])) if row}
    assert [rows[name] for name in ("loop", "trainer", "accelerate", "shorter")] == ["first", "yes", "no", "no"]


def test_runs_that_took_no_step_are_not_called_the_same(tmp_path: Path) -> None:
    runs = [result(tmp_path / name, {}, backend=name, status="FAILED") for name in ("loop", "trainer")]
    assert ["trainer", "0.0", "s", "no"] in cells(comparison_table(runs))


def test_the_loss_comes_last_and_a_number_that_a_run_has_not_is_left_empty(tmp_path: Path) -> None:
    first = result(tmp_path / "a", {1: 1.0}, metrics={"eval/loss": 0.5, "eval/f1": 0.75}, examples_per_second=21.04)
    second = result(tmp_path / "b", {1: 1.0}, backend="trainer", metrics={"eval/loss": float("nan")})
    rows = cells(comparison_table([first, second]))
    assert any(row[:3] == ["backend", "f1", "loss"] for row in rows)
    assert ["loop", "0.7500", "0.5000", "0.0", "s", "21.0", "the", "first"] in rows
    assert ["trainer", "nan", "0.0", "s", "yes"] in rows


def test_runs_of_several_experiments_are_told_apart(tmp_path: Path) -> None:
    runs = [result(tmp_path / name, {1: 1.0}, experiment=name) for name in ("mrpc", "mine")]
    told = shown(comparison_table(runs))
    assert "experiment" in told and "mrpc" in told and "mine" in told
    assert "experiment" not in shown(comparison_table(runs[:1]))


@given(st.dictionaries(st.text("[]/#@:\\ab ", min_size=1, max_size=8), st.integers(1, 10**12), min_size=1, max_size=30))
def test_any_classes_can_be_shown(labels: dict[str, int]) -> None:
    look(split(labels))


def test_the_first_rows_are_shown_and_the_rest_counted() -> None:
    from ftrun.screen.tables import rows_table
    from rich.console import Console

    console = Console(width=60, record=True, quiet=False, file=io.StringIO())
    console.print(
        rows_table({"text": [f"row {row}" for row in range(25)], "share": [0.123456] * 25, "none": [None] * 25})
    )
    told = console.export_text()
    assert "row 19" in told and "row 20" not in told and "0.1235" in told and "None" not in told
    assert "and 5 more rows; --out FILE writes all of them" in told
