"""The scripts of the shells, click's but for what settings need: no space behind `training.` and `max_steps=`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from ftrun.cli import COMPLETE_VARIABLE

_BASH_BEFORE = "            COMPREPLY+=($value)\n"
_BASH_NOW = _BASH_BEFORE + "            [[ $value == *[=.] ]] && compopt -o nospace\n"
_ZSH_BEFORE = 'completions_with_descriptions+=("$key":"$descr")\n            fi\n        elif [[ "$type" == "dir" ]]'
_ZSH_NOW = _ZSH_BEFORE.replace(
    'elif [[ "$type" == "dir" ]]',
    'elif [[ "$type" == "open" ]]; then\n            compadd -U -S "" -- "$key"\n        elif [[ "$type" == "dir" ]]',
)


class Bash(BashComplete):
    """Bash takes a word apart at `=`, and replaces only what is behind it."""

    source_template = BashComplete.source_template.replace(_BASH_BEFORE, _BASH_NOW)

    @staticmethod
    def _check_version() -> None:
        """Which bash reads the script is not known here."""

    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        words = _joined([*args, incomplete])
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        value = str(item.value)
        behind = value.partition("=")[2] if self._is_behind_equals() else ""
        return f"{item.type},{behind or value}"

    def _is_behind_equals(self) -> bool:
        args, incomplete = super().get_completion_args()
        return "=" in (incomplete, args[-1] if args else "")


def _joined(words: list[str]) -> list[str]:
    """`--set`, `training.optim`, `=`, `adamw` as `--set`, `training.optim=adamw`; the last is what is incomplete."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


class Zsh(ZshComplete):
    """What goes on behind a completion comes without a space."""

    source_template = ZshComplete.source_template.replace(_ZSH_BEFORE, _ZSH_NOW)

    def format_completion(self, item: CompletionItem[Any]) -> str:
        if item.type == "plain" and str(item.value).endswith(("=", ".")):
            item = CompletionItem(item.value, "open", None)
        return super().format_completion(item)


class Fish(FishComplete):
    """What stands behind a comma is a part of the help, too."""

    source_template = FishComplete.source_template.replace('string split ","', 'string split -m 1 ","')


SHELLS: Mapping[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh, "fish": Fish}


def script(shell: str) -> str:
    """The script for a shell to read."""
    return SHELLS[shell](click.Command("ftrun"), {}, "ftrun", COMPLETE_VARIABLE).source()


def take_part() -> None:
    """Have click use these."""
    for name, kind in SHELLS.items():
        add_completion_class(kind, name)
