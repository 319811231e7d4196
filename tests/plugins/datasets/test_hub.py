"""Any data set of text and labels, from the Hub or a folder that is laid out like one."""

from __future__ import annotations

from pathlib import Path

import ftrun
import pytest
from ftrun.errors import ExperimentError
from ftrun_plugins.datasets import (
    HubSettings,
)
from ftrun_plugins.datasets.hub import build as build_hub


def write_csv(path: Path, rows: list[tuple[str, object]], separator: str = ",") -> None:
    path.write_text("\n".join(separator.join(map(str, row)) for row in [("text", "label"), *rows]) + "\n")


def test_a_folder_laid_out_like_a_repository_is_opened_without_the_hub(workdir: Path) -> None:
    folder = workdir / "repository"
    folder.mkdir()
    for split in ("train", "validation"):
        write_csv(folder / f"{split}.csv", [("a", 0), ("b", 1)])
    splits = build_hub(HubSettings(path=str(folder), text_columns=["text"]))
    assert len(splits.train) == 2 and splits.task.class_names == ("0", "1")
    with pytest.raises(ExperimentError, match=r'no split "dev"[\s\S]*train, validation'):
        build_hub(HubSettings(path=str(folder), text_columns=["text"], evaluation_splits=["dev"]))


def test_several_evaluation_splits_have_metrics_of_their_own(tiny: Path) -> None:
    folder = tiny.parent / "repository"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        write_csv(folder / f"{split}.csv", [("a", 0), ("b", 1)] * 4)
    dataset = {
        "use": "hub",
        "path": str(folder),
        "text_columns": ["text"],
        "evaluation_splits": ["validation", "test"],
    }
    metrics = [{"use": "accuracy"}]
    result = ftrun.run(tiny, overrides={"dataset": dataset, "metrics": metrics}, progress=False)
    assert result.status == "FINISHED", result.error
    assert set(result.metrics) == {
        *("eval/validation/loss", "eval/validation/accuracy", "eval/test/loss", "eval/test/accuracy"),
    }


def test_a_repository_of_csv_has_its_cells_as_they_are_written(workdir: Path) -> None:
    for suffix, mark in ((".csv", ","), (".tsv", "\t")):
        folder = workdir / f"repository{suffix}"
        folder.mkdir()
        rows = [("001", "None"), ("", "NA"), ("null", "007"), ("1.0", "None")]
        for split in ("train", "validation"):
            write_csv(folder / f"{split}{suffix}", list(rows), mark)
        splits = build_hub(HubSettings(path=str(folder), text_columns=["text"]))
        assert list(splits.train["text"]) == ["001", "", "null", "1.0"]
        assert splits.task.class_names is not None
        assert [splits.task.class_names[label] for label in splits.train["label"]] == ["None", "NA", "007", "None"]
