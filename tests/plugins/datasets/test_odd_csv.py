"""CSV of "hub" that pandas reads without a word, and not as it is meant, is told of."""

from __future__ import annotations

from pathlib import Path

import pytest
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
        [f"{told}: `datasets` reads it in its own way"] if told else []
    )
