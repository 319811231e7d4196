"""The scripts and the answers of the three shells: click's, with what settings need."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete
from ftrun.cli import group
from ftrun.cli.shells import SHELLS, Bash, Zsh, script


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_completes_the_command_ftrun(shell: str) -> None:
    text = script(shell)
    assert f"_FTRUN_COMPLETE={shell}_complete" in text and "%(" not in text
    clicks = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    assert SHELLS[shell].source_template != clicks.source_template, "click's own is another now: what we change is gone"


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_its_script(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")
    subprocess.run([shell, "-n"], input=script(shell), text=True, check=True)


@pytest.mark.parametrize(
    ("words", "at", "args", "incomplete", "answered"),
    [
        ("ftrun x.toml --set training.lear", 3, ["x.toml", "--set"], "training.lear", "training.optim=adamw"),
        ("ftrun x.toml --set training.optim = ad", 5, ["x.toml", "--set"], "training.optim=ad", "adamw"),
        ("ftrun x.toml --set training.optim =", 4, ["x.toml", "--set"], "training.optim=", "adamw"),
        ("ftrun x.toml --set = training.op", 4, ["x.toml"], "--set=training.op", "adamw"),
    ],
)
def test_bash_takes_words_apart_at_equals_and_replaces_what_is_behind(
    monkeypatch: pytest.MonkeyPatch, words: str, at: int, args: list[str], incomplete: str, answered: str
) -> None:
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(at))
    bash = Bash(group, {}, "ftrun", "_FTRUN_COMPLETE")
    assert bash.get_completion_args() == (args, incomplete)
    assert bash.format_completion(CompletionItem("training.optim=adamw")) == f"plain,{answered}"


def test_zsh_puts_no_space_behind_what_goes_on() -> None:
    zsh = Zsh(group, {}, "ftrun", "_FTRUN_COMPLETE")
    for value in ("training.", "training.max_steps="):
        assert zsh.format_completion(CompletionItem(value, help="help")) == f"open\n{value}\n_"
    assert zsh.format_completion(CompletionItem("loop", help="help")) == "plain\nloop\nhelp"
