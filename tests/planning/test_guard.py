"""What code of others does to the process as it is imported is noticed and undone."""

from __future__ import annotations

import json
import locale
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import ftrun.settings
import pytest
from ftrun.planning.guard import watched


def _raise_limit() -> None:
    sys.setrecursionlimit(sys.getrecursionlimit() + 7)


CHANGES: dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]] = {
    "path": ("sys.path", lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "argv": ("sys.argv", lambda: sys.argv.append("more"), lambda: list(sys.argv)),
    "set": ("environment variables", lambda: os.environ.update(HOME="/"), lambda: dict(os.environ)),
    "unset": ("environment variables", lambda: os.environ.pop("PATH"), lambda: dict(os.environ)),
    "level": ("logging", lambda: logging.getLogger().setLevel(1), lambda: logging.getLogger().level),
    "handler": (
        "logging",
        lambda: logging.getLogger().addHandler(logging.NullHandler()),
        lambda: list(logging.getLogger().handlers),
    ),
    "disabled": ("logging", lambda: logging.disable(50), lambda: logging.getLogger().manager.disable),
    "warnings": ("warnings", lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters)),
    "shown": ("warnings", lambda: setattr(warnings, "showwarning", print), lambda: warnings.showwarning),
    "signal": (
        "signal handlers",
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "hook": ("hooks", lambda: setattr(sys, "excepthook", print), lambda: sys.excepthook),
    "folder": ("the working folder", lambda: os.chdir("/"), os.getcwd),
    "limit": ("recursion", _raise_limit, sys.getrecursionlimit),
    "function": ("click", lambda: setattr(click, "echo", print), lambda: click.echo),
    "method": ("click", lambda: setattr(click.Command, "main", print), lambda: click.Command.main),
    "ours": ("ftrun", lambda: setattr(ftrun.settings, "validate", print), lambda: ftrun.settings.validate),
    "json": ("Python", lambda: setattr(json, "dumps", print), lambda: json.dumps),
    "module": ("the modules", lambda: sys.modules.pop("click"), lambda: sys.modules.get("click")),
    "processes": (
        "processes",
        lambda: multiprocessing.set_start_method("spawn", force=True),
        lambda: multiprocessing.get_start_method(allow_none=True),
    ),
    "gone": ("ftrun", lambda: delattr(ftrun.settings, "shown"), lambda: ftrun.settings.shown),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_named_and_undone(name: str, workdir: Path) -> None:
    told, change, look = CHANGES[name]
    before = look()
    with watched() as seen:
        change()
    assert look() == before
    assert len(seen.changed) == 1 and told in seen.changed[0] and not seen.kept


def test_what_raises_is_undone_too(workdir: Path) -> None:
    before = list(sys.path)
    with pytest.raises(SystemExit), watched() as seen:
        sys.path.clear()
        print("said")
        sys.exit(3)
    assert sys.path == before and seen.changed == ["sys.path"] and seen.output == "said"


def test_the_locale_is_put_back() -> None:
    others = [name for name in ("C", "C.UTF-8", "POSIX") if name != locale.setlocale(locale.LC_ALL)]
    before = locale.setlocale(locale.LC_ALL)
    with watched() as seen:
        for name in others:
            locale.setlocale(locale.LC_ALL, name)
    assert locale.setlocale(locale.LC_ALL) == before and seen.changed in (["the locale"], [])


def test_who_changes_nothing_is_told_nothing_and_adding_is_no_change() -> None:
    with watched() as seen:
        logging.getLogger("theirs").setLevel(1)
        click.their_own = print  # type: ignore[attr-defined]
    del click.their_own  # type: ignore[attr-defined]
    assert (seen.changed, seen.kept, seen.output) == ([], [], "")


def test_what_is_printed_is_kept_aside_whoever_prints_it(capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with watched() as seen:
        print("python")
        os.write(1, b"c\n")
        subprocess.run(["echo", "child"], check=True)
    print("after")
    assert sorted(seen.output.split()) == ["c", "child", "python"]
    assert capfd.readouterr().out.split() == ["before", "after"]


def test_a_stream_that_was_taken_along_works_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Such as that of a logging handler that a plugin makes."""
    with watched() as seen:
        taken = sys.stdout
        print("aside", file=taken)
    print("later", file=taken)
    assert seen.output == "aside" and capsys.readouterr().out == "later\n"


def test_another_thread_than_the_main_one_is_watched_too() -> None:
    told: list[str] = []

    def work() -> None:
        with watched() as seen:
            sys.path.append("/nowhere")
        told.extend(seen.changed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == ["sys.path"]
