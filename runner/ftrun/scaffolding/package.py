"""A plugin's package, written from templates: it installs, lints, type-checks and passes its own tests as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

import jinja2

from ftrun.contracts import CONTRACT_VERSION
from ftrun.errors import ExperimentError, Problem
from ftrun.scaffolding.names import Names, names_of

PluginKind = Literal["dataset", "model", "collator", "metric", "backend", "observer"]
PLUGIN_KINDS: tuple[PluginKind, ...] = get_args(PluginKind)
WORDS: Mapping[str, str] = {"dataset": "data set"}
SUMMARIES: Mapping[str, str] = {
    "dataset": "A few words of two colours",
    "model": "A bag of words",
    "collator": "Pads to multiples of so many tokens",
    "metric": "The share of rows that are predicted wrongly",
    "backend": "SGD with momentum",
}
BESIDE: Mapping[str, Sequence[str]] = {"model": ["network"], "backend": ["session"]}
"""Modules with the heavy part of a kind."""


def new_package(distribution: str, kinds: Sequence[PluginKind], folder: Path) -> list[Path]:
    """Write a package.

    Args:
        distribution: What pip is to call it.
        kinds: What it is to have, each once.
        folder: Where to; made, and empty if it is there.

    Returns:
        The files, relative to the folder.

    Raises:
        ExperimentError: If the name will not do, or something is in the folder, or it cannot be written.
    """
    names = names_of(distribution)
    files = _files(names, [kind for kind in PLUGIN_KINDS if kind in kinds])
    try:
        if folder.is_dir() and any(folder.iterdir()):
            raise ExperimentError(Problem(f"{folder} is there and not empty", hint="Choose another by --folder."))
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise ExperimentError(Problem(f"{folder} cannot be written: {error.strerror or error}")) from error
    return list(files)


def _files(names: Names, kinds: Sequence[PluginKind]) -> Mapping[Path, str]:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ftrun.scaffolding"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - these are programs and TOML, and no HTML
    )
    filling = _filling(names, kinds)
    source = Path("src", names.module)
    templates = {
        "pyproject.toml": Path("pyproject.toml"),
        "README.md": Path("README.md"),
        "gitignore": Path(".gitignore"),
        "experiment.toml": Path("experiment.toml"),
        "test.yml": Path(".github", "workflows", "test.yml"),
        "init.py": source / "__init__.py",
        **{f"{module}.py": source / f"{module}.py" for kind in kinds for module in (kind, *BESIDE.get(kind, ()))},
        **{f"test_{kind}.py": Path("tests", f"test_{kind}.py") for kind in kinds},
    }
    written = {
        path: environment.get_template(f"{template}.jinja").render(filling) for template, path in templates.items()
    }
    return {**written, source / "py.typed": ""}


def _filling(names: Names, kinds: Sequence[PluginKind]) -> Mapping[str, Any]:
    offers: dict[str, list[str]] = {kind: [_offered(kind)] for kind in kinds if kind != "observer"}
    if "model" in kinds:  # it has no tokenizer, so it comes with a collator that needs none
        offers.setdefault("collator", ["batches"])
    words = {kind: WORDS.get(kind, kind) for kind in PLUGIN_KINDS}
    offered = [kind for kind in kinds if kind != "observer"]
    called = {kind: names.of(kind, is_alone=len(offered) == 1) for kind in offered}
    return {
        "distribution": names.distribution,
        "module": names.module,
        "component": names.component,
        "called": called,
        "name": names.words,
        "batches": called.get("collator", f"{names.component}-batches"),
        "kinds": kinds,
        "offers": offers,
        "imports": _imports(names.module, kinds),
        "words": words,
        "summaries": SUMMARIES,
        "article_of_kinds": _listed([f"{'an' if words[kind][0] in 'aeiou' else 'a'} {words[kind]}" for kind in kinds]),
        "contract": CONTRACT_VERSION,
        "ftrun_version": version("ftrun"),
    }


def _imports(module: str, kinds: Sequence[PluginKind]) -> Sequence[str]:
    lines = [f"from {module}.{kind} import {kind} as {_offered(kind)}" for kind in kinds if kind != "observer"]
    if "model" in kinds and "collator" not in kinds:
        lines.append(f"from {module}.model import batches")
    if "observer" in kinds:
        hooks = ("ftrun_evaluated", "ftrun_run_finished")
        lines += [f"from {module}.observer import {hook} as {hook}" for hook in hooks]
    return sorted(lines)


def _offered(kind: str) -> str:
    """What a package calls its component: by the kind's word alone it would hide the module of that name."""
    return f"{kind}_component"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
