"""What the shells complete: each function gives candidates for one option or argument, and never a fault."""

from __future__ import annotations

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ftrun.contracts import Kind
    from ftrun.planning.catalogue import Catalogue

Items = list[CompletionItem[str]]
Complete = Callable[[click.Context, click.Parameter, str], Items]


def _quiet(function: Callable[[click.Context, str], Iterable[tuple[str, str]]]) -> Complete:
    """A function of click's, that says nothing where it fails: a person is in the midst of a line."""

    @functools.wraps(function)
    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> Items:
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                found = list(function(context, incomplete))
            except Exception:
                return []
        return [_item(value, help) for value, help in found]

    return complete


def _item(value: str, help: str) -> CompletionItem[str]:
    return CompletionItem(value, "file") if help == _FILE else CompletionItem(value, help=help or None)


_FILE = "\0file"
"""Stands for what a shell completes by itself."""


def _named(names: Iterable[str], begun: str) -> list[tuple[str, str]]:
    return [(name, "") for name in names if name.startswith(begun)]


def _catalogue(context: click.Context) -> Catalogue:
    from ftrun.planning.catalogue import load_catalogue
    from ftrun.planning.choice import OPTION, Choice

    return load_catalogue(Choice.of(os.environ, context.meta.get(OPTION) or ()))


def _file_of(context: click.Context) -> Path | None:
    """The experiment's file that a command is about."""
    told = [context.params.get(name) for name in ("files", "file", "run")]
    names = [name for one in told for name in ([one] if isinstance(one, str) else one or ())]
    for name in [*names, *context.args]:  # where click finds an option without its value, it knows no argument
        path = Path(name).expanduser()
        if path.is_file():
            return path
        if found := [path for path in _recorded(name) if path.is_file()]:
            return found[0]
    return None


def _recorded(run: str) -> list[Path]:
    from ftrun.runs.folder import RUNS_FOLDER

    return [RUNS_FOLDER / run / "experiment.toml", Path(run) / "experiment.toml"]


def _tables(context: click.Context) -> Mapping[str, Any]:
    """What the file says with what the line has said so far; nothing where that cannot be read."""
    from ftrun.errors import FtrunError
    from ftrun.planning.experiment import load_experiment
    from ftrun.planning.layers import parse_override

    if (path := _file_of(context)) is None:
        return {}
    profile = context.params.get("profile")
    told = [text for text in context.params.get("overrides") or () if "=" in text]
    for layers in ((profile, told), (profile, []), (None, [])):
        with contextlib.suppress(FtrunError):
            return load_experiment(path, layers[0], dict(map(parse_override, layers[1]))).tables
    return {}


@_quiet
def experiments(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Files."""
    return [(begun, _FILE)]


files = experiments


@_quiet
def profiles(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """The profiles of the file, and of those that it extends."""
    from ftrun.planning.experiment import profiles_of

    path = _file_of(context)
    return _named(profiles_of(path), begun) if path else []


@_quiet
def settings(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Keys with their values."""
    from ftrun.planning.completions import settings_by_key

    return settings_by_key(_catalogue(context), _tables(context), begun)


@_quiet
def keys(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Keys that the file sets."""
    from ftrun.planning.completions import keys_of_file

    return keys_of_file(_tables(context), begun)


@_quiet
def backends(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Names of backends."""
    from ftrun.planning.completions import component_names

    return _named(component_names(_catalogue(context), "backend"), begun)


@_quiet
def kinds(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Kinds of components, and the tables of a file."""
    from ftrun.contracts import KINDS
    from ftrun.planning.described import TABLES

    return _named((*KINDS, *TABLES), begun)


@_quiet
def names(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Names of the components of a kind, or keys of a table."""
    from ftrun.planning.completions import component_names
    from ftrun.planning.described import TABLES, kind_meant

    catalogue = _catalogue(context)
    kind = kind_meant(catalogue, context.params["kind"])
    if kind in TABLES:
        return _named(TABLES[kind].model_fields, begun)
    return _named(component_names(catalogue, cast("Kind", kind)), begun)


@_quiet
def distributions(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Distributions with plugins; none of them is loaded for that."""
    from ftrun.hookspecs import ENTRY_POINT_GROUP
    from ftrun.planning.choice import BUILT_IN
    from ftrun.planning.installed import installed

    return _named((one.name for one in installed(ENTRY_POINT_GROUP) if one.name != BUILT_IN), begun)


@_quiet
def runs(context: click.Context, begun: str) -> Iterable[tuple[str, str]]:
    """Names of the runs here, the newest first; files and folders where none is called so."""
    from ftrun.runs.folder import RUNS_FOLDER

    found = [path.parent for path in RUNS_FOLDER.glob("*/journal.jsonl")]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return _named((path.name for path in found), begun) or [(begun, _FILE)]
