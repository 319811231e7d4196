"""GLUE's tasks, with GLUE's classes in GLUE's order."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize("labels", [("0", "1"), ("not_equivalent", "equivalent")])
def test_glue_in_files_of_csv_has_ids_or_names(workdir: Path, labels: tuple[str, str]) -> None:
    from ftrun_plugins.datasets import GlueSettings
    from ftrun_plugins.datasets.glue import build as build_glue

    folder = workdir / "glue" / "mrpc"
    folder.mkdir(parents=True)
    card = "configs:\n- config_name: mrpc\n  data_files:\n"
    for split in ("train", "validation"):
        lines = ["sentence1,sentence2,label", *(f"a {split},b,{label}" for label in labels)]
        (folder / f"{split}.csv").write_text("\n".join(lines) + "\n")
        card += f"  - split: {split}\n    path: mrpc/{split}.csv\n"
    (workdir / "glue" / "README.md").write_text(f"---\n{card}---\n")
    splits = build_glue(GlueSettings(task="mrpc", path=str(workdir / "glue")))
    assert list(splits.train["label"]) == [0, 1] and splits.train.features["label"].names[1] == "equivalent"
