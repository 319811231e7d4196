"""A run's description: what came of it, and a command that can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

from ftrun.runs.description import description, repeat_command, resume_command
from ftrun.runs.folder import RunFolder


def test_a_description_has_how_it_ended_its_numbers_the_best_checkpoint_and_a_command() -> None:
    told = description(
        "finished after 3 steps", "to repeat it", "ftrun x", {"eval/f1": 0.5, "eval/loss": float("nan")}, "checkpoint-2"
    )
    table = "| metric | value |\n| --- | ---: |\n| eval/f1 | 0.5000 |\n| eval/loss | nan |"
    best = "Best checkpoint: `checkpoint-2`"
    assert told == f"Finished after 3 steps.\n\n{table}\n\n{best}\n\nTo repeat it:\n\n    ftrun x"


def test_what_there_is_not_is_left_out() -> None:
    told = description("no GPU is there.", "to go on", "ftrun x")
    assert told == "No GPU is there.\n\nTo go on:\n\n    ftrun x"


def test_commands_can_be_pasted_in_any_folder() -> None:
    folder = RunFolder(Path("/my data/runs/tiny-1"))
    assert shlex.split(resume_command(folder)) == ["ftrun", "resume", "/my data/runs/tiny-1"]
    assert shlex.split(repeat_command(folder)) == ["ftrun", "/my data/runs/tiny-1/experiment.toml"]
