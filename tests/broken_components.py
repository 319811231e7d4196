"""Components that are broken on purpose, and what the suites of `ftrun.testing` say of each.

A file in `tests/testing/broken/` holds subclasses of a suite: `Sound...`, whose component keeps every promise, and
`Broken...`, each of which breaks one. `fails` names the tests that must fail for it, `says` what the message must hold.
All of a file are run by one pytest within this process.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "testing" / "broken"


@dataclass
class Heard:
    """What one pytest said of each test of each class: pytest's plugin that listens.

    Attributes:
        costly: Words in the names of tests that are run for a broken component only where they must fail.
    """

    costly: Sequence[str] = ()
    classes: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        for item in items:
            self.classes[item.cls.__name__] = item.cls
        items[:] = [item for item in items if not self._left_out(item)]

    def _left_out(self, item: Any) -> bool:
        is_costly = any(word in item.originalname for word in self.costly)
        return is_costly and item.cls.__name__.startswith("Broken") and item.originalname not in fails(item.cls)

    def pytest_runtest_logreport(self, report: Any) -> None:
        name, test = report.nodeid.split("::")[1:]
        test = test.partition("[")[0]
        told = self.outcomes.setdefault(name, {})
        if report.failed or (report.when == "call" and test not in told):
            told[test] = "failed" if report.failed else report.outcome
        if report.failed:
            self.messages[name] = self.messages.get(name, "") + report.longreprtext + "\n"

    def failed(self, name: str) -> set[str]:
        return {test for test, outcome in self.outcomes.get(name, {}).items() if outcome == "failed"}


def heard_of(file: str, folder: Path, costly: Sequence[str] = (), select: str = "") -> Heard:
    """Run a file of suites by pytest, without this one's configuration."""
    heard = Heard(costly)
    (folder / "pytest.ini").write_text("[pytest]\npython_classes = Sound* Broken*\n")
    plugins = [*("-p", "no:xdist"), *("-p", "no:cacheprovider"), *("-p", "no:hypothesispytest")]
    where = [
        "-c",
        str(folder / "pytest.ini"),
        "--rootdir",
        str(folder),
        "--import-mode=importlib",
        "--assert=plain",
        "-q",
        "--basetemp",
    ]
    before = os.environ.pop("PYTEST_ADDOPTS", None)
    try:
        pytest.main([*plugins, *where, str(folder / "base"), "-k", select, str(FOLDER / file)], plugins=[heard])
    finally:
        if before is not None:
            os.environ["PYTEST_ADDOPTS"] = before
    return heard


def fails(suite: Any) -> Sequence[str]:
    """The tests that must fail for a broken component."""
    told = suite.fails
    return [told] if isinstance(told, str) else list(told)


def check(heard: Heard) -> None:
    """Whether the sound ones pass, and each of the others fails in what it is broken in, and in nothing else."""
    assert heard.classes
    wrong = {name: told for name, suite in heard.classes.items() if (told := _wrong(heard, name, suite))}
    assert not wrong, "\n".join(f"{name}: {told}" for name, told in wrong.items())


def _wrong(heard: Heard, name: str, suite: Any) -> str | None:
    failed, told = heard.failed(name), heard.messages.get(name, "")
    if name.startswith("Sound"):
        return None if heard.outcomes[name] and not failed else told
    if failed != set(fails(suite)):
        return f"it fails in {sorted(failed)}: {told}"
    if missing := [
        words for words in ([suite.says] if isinstance(suite.says, str) else suite.says) if words not in told
    ]:
        return f"it does not say {missing}: {told}"
    return f"a traceback through ftrun helps no author: {told}" if "ftrun/testing/" in told else None


def points_of(suite: type[Any]) -> set[str]:
    """All tests of a suite, those that it has from others included."""
    return {name for name in dir(suite) if name.startswith("test_")}


def broken_in(heard: Heard) -> set[str]:
    """The tests that some component was broken for."""
    return {test for suite in heard.classes.values() for test in (fails(suite) if hasattr(suite, "fails") else [])}
