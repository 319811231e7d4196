"""The house in order: every module has its tests where a reader looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from helpers import PROJECT

HOMES = {"runner/ftrun": "", "plugins/ftrun_plugins": "plugins"}
"""Where modules are, and the folder of `tests` that their rooms are in."""

FACES = {
    "contracts/components": "declarations: what a plugin offers, as data",
    "contracts/training": "declarations: what a backend is called with, and what it calls",
    "execution/facts": "declarations: what a look at data and model finds",
    "execution/outcome": "declarations: how a run ended",
    "execution/watcher": "looks away; test_watchers.py has it see a whole run",
    "testing/keys": "declarations: what two runs differ by; test_backends.py tries a broken backend by them",
    "testing/elsewhere": "what another process encodes; test_models.py has it of a sound model, and of one by hash()",
    "testing/killing": "a run that kills itself; test_backends.py has it kill, and fail to",
    "testing/plain": "values to be compared; test_models.py and test_collators.py compare by them",
    "testing/reporter": "keeps what it is told; tests/training and test_own_backend.py look at that",
    "plugins/backends/accelerate": "a loop; test_backends.py holds all three to one curve",
    "plugins/backends/loop": "a loop; test_backends.py holds all three to one curve",
    "hookspecs": "declarations: the hooks; test_catalogue.py has plugins answer each",
    "plugins/datasets/glue_tasks": "GLUE's facts in a table; test_glue.py holds them to the data",
    "cli/push": "reads options and calls; execution/test_push.py has it",
    **{
        f"cli/{name}": "reads options and calls; test_cli.py has them all"
        for name in (
            "check",
            "common",
            "completion",
            "describe",
            "evaluate",
            "plugins",
            "resume",
            "run",
            "schema",
            "show",
            "sync",
        )
    },
}
"""Modules without a test file of their own, each with the reason."""


def modules() -> Iterator[str]:
    """Every module as `room/name`, those of the plugins as `plugins/kind/name`."""
    for home, room in HOMES.items():
        for file in sorted((PROJECT / home).rglob("*.py")):
            if not file.stem.startswith("__"):
                yield (PurePosixPath(room) / file.relative_to(PROJECT / home).with_suffix("")).as_posix()


def its_tests(module: str) -> Path:
    path = PurePosixPath(module)
    return PROJECT / "tests" / path.with_name(f"test_{path.name}.py")


def test_every_module_has_its_tests_where_a_reader_looks_for_them() -> None:
    found = list(modules())
    assert len(found) > 60 and {"screen/wording", "plugins/models/heads", "errors"} <= set(found)
    without = [name for name in found if not its_tests(name).is_file()]
    assert [name for name in without if name not in FACES] == []


def test_every_file_of_tests_in_a_room_is_named_after_a_module_of_it() -> None:
    """Or after the room, for what the package itself promises; those beside the rooms are about the whole."""
    folder = PROJECT / "tests"
    named = {its_tests(name) for name in modules()}
    rooms = {its_tests(f"{name}/{PurePosixPath(name).name}") for name in packages()}
    files = [file for file in folder.rglob("test_*.py") if file.parent != folder]
    assert len(files) > 40
    others = [file.relative_to(folder).as_posix() for file in files if file not in named | rooms]
    assert others == []


def packages() -> set[str]:
    """Every room, and every kind of plugin."""
    return {PurePosixPath(name).parent.as_posix() for name in modules()} - {".", "plugins"}


def test_no_exception_is_stale() -> None:
    found = list(modules())
    assert [name for name in FACES if name not in found or its_tests(name).is_file()] == []
    assert len(FACES) < len(found) / 4
