"""The command `ftrun`: a module a command, each imported when it is called."""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

import click
from click.shell_completion import CompletionItem

from ftrun.errors import FtrunError, nearest
from ftrun.redaction import redacted

COMPLETE_VARIABLE = "_FTRUN_COMPLETE"
"""Where click reads what a shell asks for."""
COMMANDS = {
    "run": "Run experiments; `ftrun FILE` is short for it.",
    "check": "Say all that is wrong with experiment files, without training.",
    "show": "Print the resolved experiment, every default filled in.",
    "plugins": "List the installed plugins and their components.",
    "describe": "Say what the keys of a component or a table are, with TOML to paste.",
    "schema": "Print the JSON Schema of an experiment file, for editors.",
    "resume": "Go on with a run that stopped.",
    "predict": "Predict rows with a run's model.",
    "evaluate": "Measure a run's model on further rows with labels.",
    "sync": "Deliver to MLflow what it has not got of a run.",
    "push": "Put a run's model on the Hugging Face Hub.",
    "runs": "List the runs here with state, metric and size; clean up.",
    "new": "Write a package or an experiment to start from.",
    "cache": "Show what tokenized data takes on this disk, or clear it.",
    "completion": "Print the script by which a shell completes the command.",
}


class Commands(click.Group):
    """Imports a command when it is called, and takes a file for `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"ftrun.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        found = [CompletionItem(name, help=help) for name, help in COMMANDS.items() if name.startswith(incomplete)]
        if incomplete.startswith("-"):  # `ftrun --profile smoke FILE` is a run, too
            run = self.get_command(ctx, "run")
            assert run is not None
            with run.make_context("run", [], parent=ctx, resilient_parsing=True) as context:
                found += run.shell_complete(context, incomplete)
            return found + click.Command.shell_complete(self, ctx, incomplete)
        return found if found and incomplete else [*found, CompletionItem(incomplete, type="file")]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        first = args[0]
        if first in COMMANDS:
            return super().resolve_command(ctx, args)
        if first.endswith(".toml") or Path(first).exists():
            return "run", self.get_command(ctx, "run"), args
        if ctx.resilient_parsing:  # a line that is being completed
            return None, None, []
        close = nearest(first, COMMANDS)
        hint = f" Did you mean `ftrun {close}`?" if close else " An experiment file ends in .toml; see `ftrun --help`."
        raise click.UsageError(f'there is no command and no file "{first}".{hint}', ctx)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # `ftrun --profile smoke FILE` reads as a run, too
        own = {"--help", "-h", "--version"}
        if args and args[0].startswith("-") and args[0].split("=")[0] not in own:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with: ftrun experiments/quickstart.toml, and then: mlflow ui",
)
@click.version_option(package_name="ftrun", message="ftrun %(version)s")
def group() -> None:
    """Declare a fine-tuning experiment once, in TOML; run it on the Trainer, a plain PyTorch loop or Accelerate and get
    the same curve; have MLflow hold everything about it.

    \b
      ftrun experiments/mrpc_accel.toml                    run an experiment
      ftrun experiments/mrpc_accel.toml --profile smoke    the same road in seconds, offline
      ftrun FILE --set training.learning_rate=3e-5         with another setting
      ftrun resume RUN                                     go on with a run that stopped
      ftrun predict RUN --data FILE --out FILE             its model's predictions of further rows
      ftrun check FILE                                     what is wrong with it, if anything
    """


def _tell_fault(kind: type[BaseException], fault: BaseException, trace: TracebackType | None) -> None:
    """A fault of ours, as Python tells it but for the secrets in it."""
    sys.stderr.write(redacted("".join(traceback.format_exception(kind, fault, trace))))


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """What an encoding has no place for, as JSON and TOML write it; TOML's way beyond the first 65,536 characters."""
    assert isinstance(error, UnicodeEncodeError)
    codes = map(ord, error.object[error.start : error.end])
    return "".join(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}" for code in codes), error.end


def _escape_what_cannot_be_shown() -> None:
    """A name in Chinese, where the locale is Latin-1, is no reason to say nothing."""
    codecs.register_error("ftrun.escaped", _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError):  # a descriptor that has become another's: it is as it was then
                stream.reconfigure(errors="ftrun.escaped")


def main() -> None:
    """The command's entry point; errors become exit codes here and in the commands, nowhere else."""
    sys.excepthook = _tell_fault
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # libraries read it as they are imported; ours are shown
    _escape_what_cannot_be_shown()
    if COMPLETE_VARIABLE in os.environ:
        from ftrun.cli.shells import take_part

        take_part()
    try:
        sys.exit(group.main(standalone_mode=False, prog_name="ftrun") or 0)
    except FtrunError as error:
        from ftrun.cli.common import status_of, tell

        tell(error, "ftrun")
        sys.exit(status_of(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # `ftrun show FILE | head`: nobody reads on, and that is no error
        sys.exit(0)
