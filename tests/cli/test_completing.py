"""What a shell completes, by click's own way to ask."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ftrun.cli import COMMANDS, group
from ftrun.cli.shells import SHELLS, Bash
from plugin_packages import Site, offering


def completed(line: str) -> list[str]:
    """What the last word of a line may become; those that the shell knows itself are "file"."""
    *args, incomplete = line.split(" ")
    items = Bash(group, {}, "ftrun", "_FTRUN_COMPLETE").get_completions(args, incomplete)
    return [item.value if item.type == "plain" else item.type for item in items]


@pytest.fixture(autouse=True)
def here(tiny: Path) -> None:
    tiny.write_text(tiny.read_text() + "[profile.small]\nseed = 3\n[profile.large]\nmodel = { model_type = 'x' }\n")
    for number, name in enumerate(("tiny-1", "tiny-2", "other-3")):
        Path("runs", name).mkdir(parents=True)
        Path("runs", name, "experiment.toml").write_text(tiny.read_text())
        Path("runs", name, "journal.jsonl").touch()
        os.utime(f"runs/{name}/journal.jsonl", (number, number))
    Path("runs/no-run").mkdir()


@pytest.mark.parametrize(
    ("line", "candidates"),
    [
        ("de", ["describe"]),
        ("tiny.toml --prof", ["--profile"]),
        ("--prof", ["--profile"]),
        ("tiny.toml --set training.lear", ["training.learning_rate="]),
        ("tiny.toml --set=training.lear", ["training.learning_rate="]),
        ("--set training.lear", ["training.learning_rate="]),
        ("run tiny.toml --set model.", None),
        ("tiny.toml --set model.use=sequence-classification --set model.check", ["model.checkpoint="]),
        ("tiny.toml --set training.bf16=", ["training.bf16=true", "training.bf16=false"]),
        ("tiny.toml --profile ", ["large", "small"]),
        ("show tiny.toml --profile s", ["small"]),
        ("tiny.toml --backend ", ["trainer", "loop", "accelerate"]),
        ("resume tiny-1 --backend l", ["loop"]),
        ("resume tiny-1 --set dataset.max_t", ["dataset.max_train_samples="]),
        ("check tiny.toml --unset training.l", ["training.learning_rate"]),
        ("resume ", ["other-3", "tiny-2", "tiny-1"]),
        ("predict tiny", ["tiny-2", "tiny-1"]),
        ("evaluate o", ["other-3"]),
        ("sync tiny-1 t", ["tiny-2", "tiny-1"]),
        ("predict no-such", ["file"]),
        ("predict tiny-1 --data ", ["file"]),
        ("check ti", ["file"]),
        ("describe mo", ["model"]),
        ("describe model ", ["sequence-classification", "sequence-classification-from-config"]),
        ("describe metrics rec", ["recall"]),
        ("describe training max_s", ["max_steps"]),
        ("describe no-such-kind ", []),
        ("completion ", ["bash", "fish", "zsh"]),
        ("no-such.toml --profile ", []),
        ("nonsense --set training.lear", ["file"]),
    ],
)
def test_a_line_goes_on(line: str, candidates: list[str] | None) -> None:
    found = completed(line)
    if candidates is None:
        assert "model.model_type=" in found and "model.checkpoint=" not in found
    else:
        assert found == candidates


def test_with_nothing_begun_there_are_all_commands_and_files() -> None:
    assert completed("") == [*COMMANDS, "file"]


def test_a_file_that_is_wrong_leaves_what_is_known_without_it(tiny: Path) -> None:
    tiny.write_text("this is [no TOML")
    assert completed("tiny.toml --set training.lear") == ["training.learning_rate="]
    assert completed("tiny.toml --profile ") == [] == completed("tiny.toml --unset ")


def test_plugins_are_completed_and_one_that_is_left_out_is_not(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    site.add(offering("backend", "backend()", before="import sys\nprint('noise')\nprint('noise', file=sys.stderr)"))
    site.add("raise BaseException", "broken")
    assert completed("tiny.toml --no-plugin t") == ["their-package"]
    assert completed("tiny.toml --backend t") == ["trainer", "theirs"]
    assert completed("tiny.toml --no-plugin their-package --backend t") == ["trainer"]
    assert capfd.readouterr() == ("", "")


ANSWERS = {
    "bash": "plain,training.learning_rate=\n",
    "zsh": "open\ntraining.learning_rate=\n_\n",
    "fish": "plain,training.learning_rate=\tHighest learning rate of the schedule.\n",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_answers_each_shell(shell: str) -> None:
    line = "ftrun tiny.toml --set training.lear"
    asked = {"COMP_WORDS": line, "COMP_CWORD": "training.lear" if shell == "fish" else "3"}
    env = {**os.environ, **asked, "_FTRUN_COMPLETE": f"{shell}_complete"}
    done = subprocess.run([sys.executable, "-m", "ftrun"], env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (ANSWERS[shell], "")
