"""JSON of "hub": text and labels are those of the files, whatever `datasets` makes of dates, fractions and mixed kinds."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ftrun.contracts import Splits
from ftrun.errors import ExperimentError
from ftrun.execution.row_tables import read_rows
from ftrun.rowfiles import Dialect
from ftrun_plugins.datasets import HubSettings
from ftrun_plugins.datasets.hub import build

DAYS = [f"2020-01-{day:02}" for day in range(1, 7)]


def lines(**columns: Sequence[Any]) -> str:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def opened(**settings: Any) -> Splits:
    return build(HubSettings(path=str(Path.cwd()), **settings), evaluated=False)


@pytest.mark.parametrize("form", ["{}", "{}T00:00:00Z", "{} 00:00:00", "{}T12:30"])
def test_dates_are_trained_on_as_predict_sees_them_in_the_file(workdir: Path, form: str) -> None:
    days = [form.format(day) for day in DAYS]
    Path("train.jsonl").write_text(lines(text=["a"] * 6, when=days, label=[0, 1] * 3))
    splits = opened(text_columns=["text", "when"])
    assert list(splits.train["when"]) == days == read_rows(Path("train.jsonl"), Dialect()).texts("when")


def test_so_are_those_of_several_files_of_every_split_and_of_parts(workdir: Path) -> None:
    rows = {"text": DAYS[:3], "label": [0, 1, 0]}
    Path("train-1.jsonl").write_text(lines(**rows))
    Path("train-2.jsonl").write_text(lines(text=DAYS[3:], label=[1, 0, 1]))
    Path("test.jsonl.gz").write_bytes(gzip.compress(lines(**rows).encode()))
    splits = opened(text_columns=["text"], train_split="train[1:5]", test_splits=["test"])
    assert list(splits.train["text"]) == DAYS[1:5] and list(splits.test["test"]["text"]) == DAYS[:3]


def test_labels_may_be_dates_in_lists_too(workdir: Path) -> None:
    Path("train.jsonl").write_text(lines(text=["a", "b", "c"], label=[DAYS[0], DAYS[1], DAYS[0]]))
    assert opened(text_columns=["text"]).task.class_names == tuple(DAYS[:2])
    Path("train.jsonl").write_text(lines(text=["a", "b", "c"], label=[DAYS[:2], [], DAYS[:1]]))
    assert opened(text_columns=["text"], kind="multi_label").task.class_names == tuple(DAYS[:2])


def test_fractions_keep_their_digits_and_numbers_beside_text_are_text(workdir: Path) -> None:
    rows = [{"text": text, "label": number * 1e-13} for number, text in enumerate([0.123456789012345, "b", 3])]
    Path("train.json").write_text(json.dumps(rows))
    splits = opened(text_columns=["text"], kind="regression")
    assert list(splits.train["text"]) == ["0.123456789012345", "b", "3"]
    assert list(splits.train["label"]) == [0, 1e-13, 2e-13]


def test_what_stands_in_its_file_otherwise_is_refused_where_the_file_cannot_be_read(workdir: Path) -> None:
    with zipfile.ZipFile("train.jsonl.zip", "w") as packed:
        packed.writestr("train.jsonl", lines(text=DAYS, when=DAYS, label=[0, 1] * 3))
    with pytest.raises(ExperimentError, match=r'train.jsonl.zip has dates in "text", .*\n.*use = "files"'):
        opened(text_columns=["text"])


def test_whole_numbers_that_no_float_holds_are_refused_beside_fractions(workdir: Path) -> None:
    Path("train.jsonl").write_text(lines(text=["a", "b", "c"], label=[2**53, 2**53 + 1, 0.0]))
    with pytest.raises(ExperimentError, match='has 9007199254740993 in column "label", row 2'):
        opened(text_columns=["text"])
