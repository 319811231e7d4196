"""`ftrun completion SHELL`: the script by which a shell completes the command."""

from __future__ import annotations

import click

from ftrun.cli import shells


@click.command("completion")
@click.argument("shell", type=click.Choice(sorted(shells.SHELLS)))
def command(shell: str) -> int:
    """Print the script by which a shell completes commands, settings, components, profiles and runs.

    \b
      bash    eval "$(ftrun completion bash)"         in ~/.bashrc
      zsh     eval "$(ftrun completion zsh)"          in ~/.zshrc, after compinit
      fish    ftrun completion fish | source          in ~/.config/fish/config.fish
    """
    click.echo(shells.script(shell), nl=False)
    return 0
