"""CSV of "hub" that pandas reads without a word, and not as it is meant, is told of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import HubSettings
from ftrun_plugins.datasets.hub import build as build_hub


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (r'"He said \"hi\" there",x', "train.csv is not well formed in line 4: ',' expected after '\"'"),
        ('"",x,more', ""),
        ("short", "train.csv has one cell in line 4, and 3 in its header"),
    ],
)
def test_csv_that_pandas_reads_in_its_own_way_is_told(workdir: Path, row: str, told: str) -> None:
    Path("train.csv").write_text(f'text,label,more\n"a ""b""",x,1\nb,y,2\n{row}\n')
    splits = build_hub(HubSettings(path=str(workdir), text_columns=["text"], drop_unlabelled=True), evaluated=False)
    assert [one for one in splits.notices if "in its own way" in one] == (
        [f'{told}: `datasets` reads it in its own way, and [dataset] use = "files" as it is written'] if told else []
    )


def test_a_split_that_nobody_asks_for_is_left_alone(workdir: Path) -> None:
    Path("train.csv").write_text("text,label\na,x\nb,y\n")
    Path("test.csv").write_text('text,label\n"a \\"b\\"",x\ntext,label\n')
    settings = {"path": str(workdir), "text_columns": ["text"]}
    assert not [one for one in build_hub(HubSettings(**settings), evaluated=False).notices if "test" in one]
    with pytest.raises(ExperimentError, match="row 2 of test_0_100pct is the header again"):
        build_hub(HubSettings(**settings, test_splits=["test[:100%]"]), evaluated=False)


@pytest.mark.parametrize(
    ("card", "content"),
    [
        ({"sep": r"\|\|", "engine": "python"}, "text||label\na, so||x\nb||y\n"),
        ({"skipinitialspace": True}, 'text, label\n"a, so", x\nb, "y"\n'),
        ({"escapechar": "\\"}, "text,label\na\\, so,x\nb,y\n"),
        ({"usecols": ["text", "label"]}, 'note,text,label,note\n1,"a, so",x,2\n3,b,y,4\n'),
    ],
)
def test_csv_that_is_read_as_its_card_says_is_left_alone(workdir: Path, card: dict[str, Any], content: str) -> None:
    config = {"config_name": "default", "data_files": "train.csv", **card}
    Path("README.md").write_text(f"---\n{json.dumps({'configs': [config]})}\n---\n")
    Path("train.csv").write_text(content)
    settings = HubSettings(path=str(workdir), text_columns=["text"], label_column="label")
    splits = build_hub(settings, evaluated=False)
    assert splits.train["text"][:] == ["a, so", "b"] and splits.task.class_names == ("x", "y")
    assert not [one for one in splits.notices if "in its own way" in one]
