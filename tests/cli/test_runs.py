"""`ftrun runs`, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import Ftrun, run


def test_the_runs_are_listed_and_cleaned(tiny: Path, ftrun_command: Ftrun) -> None:
    result = run(tiny, {"training.save_strategy": "epoch"})
    (Path("runs") / "notes").mkdir()
    shown = ftrun_command("runs")
    assert shown.returncode == 0 and "runs/notes: it is no run's folder" in shown.stderr
    cells = shown.stdout.rstrip("\n").split("\t")
    assert cells[:3] == [result.run, "finished", "loop"] and cells[4] == "12" and cells[7] == "0"
    (told,) = json.loads(ftrun_command("runs", "--json").stdout)
    assert told["metrics"] == pytest.approx(dict(result.metrics)) and told["state"] == "finished"

    refused = ftrun_command("runs", "--clean")
    assert refused.returncode == 2 and "say --yes to remove these" in refused.stderr
    assert f"{result.run}: 2 checkpoints, " in refused.stdout
    assert len(list((result.run_folder / "checkpoints").iterdir())) == 2
    cleaned = ftrun_command("runs", "--clean", "--yes")
    assert cleaned.returncode == 0 and cleaned.stdout.endswith(" freed\n")
    assert list((result.run_folder / "checkpoints").iterdir()) == []
    assert (result.run_folder / "model" / "model.safetensors").is_file()
    assert "There is nothing to remove." in ftrun_command("runs", "--clean").stdout


def test_nothing_is_shown_where_there_is_none(workdir: Path, ftrun_command: Ftrun) -> None:
    assert ftrun_command("runs").stdout == ""
    assert ftrun_command("runs", "--json").stdout == "[]\n"
    facts = json.loads(ftrun_command("runs", "--clean", "--json").stdout)
    assert facts == {"removed": {}, "bytes": 0, "kept": {}, "failed": []}
